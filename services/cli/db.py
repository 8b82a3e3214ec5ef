"""`voile db`: the planes' own records and their schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from services.cli.stores import PlaneStore

app = typer.Typer(help="The planes' stores.\n\nExample: voile db upgrade", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command(epilog="Example: voile db upgrade --dry-run")
def upgrade(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    plane: Annotated[str, typer.Option(help="One plane: ingest, identity or statistics. Default: all.")] = "",
    as_json: Json = False,
) -> None:
    """Bring every plane's records to this version; make a backup first. Tables of figures are made at the start."""
    from services.cli.common import print_result, print_table
    from services.cli.stores import each_store

    found = []
    for store in each_store(plane):
        pending = store.pending()
        if pending and not dry_run:
            store.upgrade()
        found += [{"plane": store.plane, "revision": revision, "title": title} for revision, title in pending]
        store.close()
    heading = "Would be applied" if dry_run else "Applied"
    rows = [list(entry.values()) for entry in found]
    table = ("plane", "revision", "what")
    print_result(
        found, as_json, lambda _: print_table(heading, table, rows) if rows else print("Every plane is up to date.")
    )


@app.command(epilog="Example: voile db status --json")
def status(as_json: Json = False) -> None:
    """Show each plane's schema revision, the newest one, and how many are to be applied."""
    from services.cli.common import print_result, print_table
    from services.cli.stores import each_store

    rows = [_state(store) for store in each_store("")]
    table = ("plane", "revision", "newest", "pending")
    print_result(rows, as_json, lambda _: print_table("", table, [list(row.values()) for row in rows]))


def _state(store: PlaneStore) -> dict[str, Any]:
    try:
        pending = len(store.pending())
        return {"plane": store.plane, "revision": store.revision(), "newest": store.newest(), "pending": pending}
    finally:
        store.close()
