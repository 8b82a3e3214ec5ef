"""voile keys: the keys that wrap the keys of persons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from services.enricher.persons.rotation import KeyStatus

app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.callback()
def _keys() -> None:
    """The keys that wrap the keys of persons."""


@app.command(epilog="Example: voile keys status --json")
def status(as_json: Json = False) -> None:
    """Which key-encryption key wraps whose keys, and how many persons older backups of person keys still open."""
    from services.cli import common, identity

    with identity.opened() as plane:
        found = plane.rotation.status()
    common.print_result(_row(found), as_json, lambda _: _render(found))


@app.command(epilog="Example: voile keys rotate")
def rotate(
    keep_old: Annotated[
        bool, typer.Option("--keep-old", help="Leave the older key to the service, which destroys it in its time.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Wrap the keys of all persons anew and destroy what wrapped them; the services may run, data is not touched.

    Afterwards backups of person-keys and copies of the key folder from before open nobody: make new ones at once.
    One that was killed is gone on with. On several machines they share the key folder.
    """
    from services.cli import common, identity

    with identity.opened() as plane:
        if keep_old and not plane.rotation.status().older:
            plane.rotation.begin()
        count = plane.rotation.rewrap() if keep_old else plane.rotation.rotate()
        found = plane.rotation.status()
    common.print_result({"rewrapped": count, **_row(found)}, as_json, lambda _: print(f"{count:,} keys wrapped anew."))
    if not as_json:
        _render(found)
    common.note("Back up now: voile backup FOLDER --part person-keys --part log, and the key folder apart from it.")


def _row(found: KeyStatus) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(found), "since": found.since.isoformat() if found.since else None, "closed": found.is_closed}


def _render(found: KeyStatus) -> None:
    since = f", since {found.since:%Y-%m-%d %H:%M} UTC" if found.since else ""
    print(f"Key-encryption key {found.current}{since}; {sum(found.persons.values()):,} keys of persons.")
    if found.older:
        print(f"Not destroyed yet: {', '.join(found.older)}; finish with: voile keys rotate")
    if found.destroyed:
        print(
            f"Erased since: {found.destroyed:,}. Backups of person-keys from before hold their keys until a rotation."
        )
