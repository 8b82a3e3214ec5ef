"""voile ingest: the ingest service alone."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _ingest() -> None:
    """The ingest service alone."""


@app.command(epilog="Example: voile ingest serve")
def serve() -> None:
    """Take log lines over HTTP; until stopped."""
    from services.cli import common
    from services.ingest import plane
    from services.runtime.loops import patiently
    from services.runtime.stop import Stop

    settings, stop = common.service_settings("ingest"), Stop().on_signals()
    patiently(lambda: plane.run(settings, common.clock(), stop), stop)
