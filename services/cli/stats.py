"""voile stats: the statistics worker, the days, the figures."""

from __future__ import annotations

import typer

app = typer.Typer(help="Query the statistics; close days.\n\nExample: voile stats run", no_args_is_help=True)


@app.callback()
def _stats() -> None:
    """Query the statistics; close days."""


@app.command(epilog="Example: voile stats run")
def run() -> None:
    """Count accesses and close days, on a ClickHouse server; until stopped."""
    from services.cli import common
    from services.runtime.errors import Fatal
    from services.runtime.stop import Stop
    from services.stats import plane

    settings = common.settings()
    if settings.statistics.analytics.startswith("chdb:"):
        raise Fatal(
            "The embedded statistics store belongs to one process, which also serves the pages: run `voile up`, "
            "or set statistics.analytics to a ClickHouse server."
        )
    plane.run(settings, common.clock(), Stop().on_signals())
