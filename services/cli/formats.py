"""voile formats: the log formats Voile reads."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _formats() -> None:
    """The log formats Voile reads."""


@app.command("list", epilog="Example: voile formats list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False) -> None:
    """All formats by name."""
    from services.cli import common
    from services.ingest.formats import FORMATS

    rows = [{"name": f.name, "description": f.description} for f in FORMATS.values()]
    table = [[row["name"], row["description"]] for row in rows]
    common.print_result(rows, as_json, lambda _: common.print_table("", ("name", "description"), table))
