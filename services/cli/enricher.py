"""voile enricher: the identity services alone."""

from __future__ import annotations

from typing import Annotated

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
    from services.runtime.loops import patiently
    from services.runtime.stop import Stop

    settings, stop = common.service_settings("identity"), Stop().on_signals()
    patiently(lambda: plane.run_loops(settings, common.clock(), stop), stop)


@app.command(epilog="Example: voile enricher serve")
def serve() -> None:
    """The console and the accounts API; until stopped."""
    from services.cli import common
    from services.enricher import plane
    from services.runtime.loops import patiently
    from services.runtime.stop import Stop

    settings, stop = common.service_settings("identity"), Stop().on_signals()
    patiently(lambda: plane.serve(settings, common.clock(), stop), stop)


@app.command(epilog="Example: voile enricher status --json")
def status(as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False) -> None:
    """How far behind linking is, and how much was linked."""
    from dataclasses import asdict

    from services.cli import common, identity

    with identity.opened() as plane:
        found = plane.status()
    text = f"{found.events_linked:,} accesses linked; {found.lag:,} records wait."
    common.print_result(asdict(found), as_json, lambda _: print(text))
