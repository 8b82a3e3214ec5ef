"""`voile db`: the planes' own records and their schema."""

from __future__ import annotations

import typer

app = typer.Typer(help="The planes' stores.\n\nExample: voile db upgrade", no_args_is_help=True)


@app.command()
def upgrade(
    dry_run: bool = typer.Option(False, "--dry-run", help="Only say what would be done."),
    plane: str = typer.Option("", help="One plane: ingest, identity or statistics. Default: all."),
) -> None:
    """Bring every plane's records and tables to this version.

    Example: voile db upgrade --dry-run
    """
    from services.cli.common import note
    from services.cli.stores import each_store

    for store in each_store(plane):
        if not dry_run:
            store.upgrade()
        note(f"{store.plane}: {store.revision() or 'empty'}" + (f" -> {store.newest()}" if dry_run else ""))


@app.command()
def status(json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Show each plane's schema revision and the newest one.

    Example: voile db status --json
    """
    from services.cli.common import print_result, print_table
    from services.cli.stores import each_store

    rows = [{"plane": s.plane, "revision": s.revision(), "newest": s.newest()} for s in each_store("")]
    print_result(rows, json, lambda value: print_table("", ("plane", "revision", "newest"), [*map(_row, value)]))


def _row(entry: dict[str, str | None]) -> list[str | None]:
    return [entry["plane"], entry["revision"], entry["newest"]]
