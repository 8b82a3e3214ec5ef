"""voile enricher: the identity services alone."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _enricher() -> None:
    """The identity services alone."""


@app.command(epilog="Example: voile enricher run")
def run() -> None:
    """Link accesses to persons, apply accounts, finish erasures, delete what is past its term; until stopped."""
    from services.cli import common
    from services.enricher import plane
    from services.runtime.stop import Stop

    plane.run(common.settings(), common.clock(), Stop().on_signals())


@app.command(epilog="Example: voile enricher status --json")
def status(json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Show how far linking is behind and what is linked; also beside a running service."""
    from dataclasses import asdict

    from services.cli import common
    from services.cli.stores import opened_plane
    from services.enricher.status import identity_status

    with opened_plane("identity") as (records, log):
        found = asdict(identity_status(records, log))
    common.print_result(found, json, lambda _: common.print_table("", ("", ""), [*map(list, found.items())]))
