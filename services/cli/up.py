"""`voile up`: the three planes as three processes, restarted when one crashes."""

from __future__ import annotations

import typer

app = typer.Typer()


@app.command()
def up(
    only: str = typer.Option("", help="Run one plane in this process: ingest, identity or statistics."),
) -> None:
    """Run every service on this machine, as three processes.

    Example: voile up
    """
    from services.cli.common import settings
    from services.cli.supervisor import PLANES, run_plane, supervise
    from services.runtime.errors import Fatal

    if not only:
        supervise(settings())
    elif only in PLANES:
        run_plane(only, settings())
    else:
        raise Fatal(f"There is no plane {only!r}; choose one of: {', '.join(PLANES)}")
