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
