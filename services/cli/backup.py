"""`voile backup`: what must not be lost, into a folder; never keys or event rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command(epilog="Example: voile backup /backups/2026-11-14")
def backup(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    *,
    part: Annotated[
        list[str] | None, typer.Option(help="ingest, identity, person-keys, statistics or log. Default: all.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Copy the planes' records and the registry into a folder; the services may run. No key and no event is in it."""
    from dataclasses import asdict

    from services.cli import common
    from services.cli.backing_up import back_up

    files = [asdict(file) for file in back_up(common.settings(), folder, part or [], common.clock())]
    rows = [[file["part"], file["file"], file["bytes"], sum(file["rows"].values())] for file in files]
    table = ("part", "file", "bytes", "rows")
    common.print_result(files, as_json, lambda _: common.print_table(f"In {folder}", table, rows))
    common.note("Keys are in no backup of data: docs/operations.md says how to keep them apart.")
