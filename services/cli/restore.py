"""`voile restore`: a backup into stores that hold nothing yet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command(epilog="Example: voile restore /backups/2026-11-14")
def restore(
    folder: Annotated[Path, typer.Argument(help="What voile backup made.")],
    *,
    part: Annotated[
        list[str] | None, typer.Option(help="ingest, identity, person-keys, statistics or log. Default: all.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Put a backup back, into empty stores and with no service running. Every file is checked first."""
    from dataclasses import asdict

    from services.cli import common
    from services.cli.backing_up import restore as put_back

    made_at, restored = put_back(common.settings(), folder, part or [], common.clock())
    result = {"made_at": made_at, "files": [asdict(file) for file in restored]}
    rows = [[file.part, sum(file.rows.values())] for file in restored]
    common.print_result(result, as_json, lambda _: common.print_table(f"From {made_at}", ("part", "rows"), rows))
    common.note(
        "What was erased after that moment is erased again when the log or the person keys are newer; otherwise give "
        "those requests again (docs/operations.md)."
    )
