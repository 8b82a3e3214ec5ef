"""voile retention: how long each type of data is kept, and the proof that it is not kept longer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from services.runtime.retention.published import Line

app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.callback()
def _retention() -> None:
    """How long each type of data is kept, and the proof that it is not kept longer."""


@app.command(epilog="Example: voile retention report --json")
def report(as_json: Json = False) -> None:
    """Count what every store has, and compare the oldest with its term. Exits 1 when something is too old.

    Each plane's stores are asked now. One that cannot be reached from here is told by what it said last, with its date.
    """
    from services.cli.retaining import of_every_plane

    _print(of_every_plane(run=False), as_json)


@app.command(epilog="Example: voile retention run")
def run(as_json: Json = False) -> None:
    """Delete, anonymise or isolate what is over now, then report. The services do it every hour by themselves."""
    from services.cli.retaining import of_every_plane

    _print(of_every_plane(run=True), as_json)


def _print(lines: Sequence[Line], as_json: bool) -> None:
    from services.cli import common
    from services.runtime.retention.published import as_json as row_of

    rows = [{**row_of(line), "kept": line.kept} for line in lines]
    columns = ("type", "tenant", "term", "end", "rows", "oldest", "last run", "removed", "verdict")
    common.print_result(rows, as_json, lambda _: common.print_table("", columns, [_row(line) for line in lines]))
    if not all(line.kept for line in lines):
        common.note("Something is kept longer than its term; docs/retention.md says what to look at.")
        raise typer.Exit(1)


def _row(line: Line) -> list[Any]:
    verdict = "kept" if line.kept else f"TOO OLD: {line.over}"
    oldest = f"{line.oldest:%Y-%m-%d}" if line.oldest else "-"
    ran = f"{line.ran_at:%m-%d %H:%M}" if line.ran_at else "-"
    return [line.kind, line.tenant or "-", _term(line.term), line.end, line.rows, oldest, ran, line.removed, verdict]


def _term(term: timedelta) -> str:
    hours = int(term / timedelta(hours=1))
    return f"{hours // 24} d" if hours % 24 == 0 else f"{hours} h"
