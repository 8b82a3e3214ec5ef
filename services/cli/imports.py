"""voile import: access log files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from services.ingest.accounting import Outcome
    from services.ingest.service import Ingest

app = typer.Typer()

STDIN = "-"


@app.command(name="import", epilog="Example: voile import /var/log/nginx/access.log* --source chess-web")
def import_(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Log files, plain or gzip; - for stdin.")],
    *,
    source: Annotated[str, typer.Option(help="The source they belong to; see: voile source list")],
    format_: Annotated[str, typer.Option("--format", help="How the lines look, if not as the source says.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Import access logs. Safe to repeat: what was taken before is a duplicate and changes nothing.

    Every line read is accepted, a duplicate, or rejected for a reason; the summary adds up.
    """
    from services.cli import common, edge
    from services.ingest.accounting import NOTHING

    _refuse_missing(files)
    total = NOTHING
    with edge.opened() as ingest, _progress(files) as show:
        for name in files:
            total += _import(ingest, name, source, format_, _after(total, show))
            show(total, 0, finished=name)
    common.print_result(total.as_dict(), as_json, _print_summary)


def _import(ingest: Ingest, name: str, source: str, format_: str, progress: Callable[[Outcome, int], None]) -> Outcome:
    if name == STDIN:
        return ingest.import_stream(sys.stdin.buffer, source, format_, progress)
    return ingest.import_file(Path(name), source, format_, progress)


def _after(before: Outcome, show: Callable[..., None]) -> Callable[[Outcome, int], None]:
    """The progress of one file, on top of the files `before`."""
    return lambda done, read: show(before + done, read)


def _refuse_missing(files: Sequence[str]) -> None:
    """Before anything is done: a typing mistake in the last name is said at once."""
    from services.runtime.errors import Fatal

    if missing := [name for name in files if name != STDIN and not Path(name).is_file()]:
        raise Fatal(f"There is no file {', '.join(missing)}.")


@contextmanager
def _progress(files: Sequence[str]) -> Iterator[Callable[..., None]]:
    """On a terminal: a bar over the bytes on disk, lines, lines a second, time left, rejects. Else nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda *_, **__: None
        return
    columns = (BarColumn(), TextColumn("{task.fields[said]}"), TimeRemainingColumn(compact=True))
    sizes = {name: Path(name).stat().st_size for name in files if name != STDIN}
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=None if STDIN in files else sum(sizes.values()), said="")
        done = 0

        def show(outcome: Outcome, read: int, finished: str = "") -> None:
            nonlocal done
            done += sizes.get(finished, 0)
            elapsed = max(bars.tasks[0].elapsed or 0.0, 1e-3)
            bars.update(task, completed=done + read, said=_said(outcome, elapsed))

        yield show


def _said(outcome: Outcome, elapsed_s: float) -> str:
    rejected = f", {outcome.rejected_lines:,} rejected" if outcome.rejected_lines else ""
    return f"{outcome.lines:,} lines, {outcome.lines / elapsed_s:,.0f}/s{rejected}"


def _print_summary(summary: dict[str, Any]) -> None:
    from services.cli import common

    rejected = [[f"rejected: {reason}", count] for reason, count in summary["rejected"].items()]
    rows = [["accepted", summary["accepted"]], ["duplicates", summary["duplicates"]], *rejected]
    common.print_table("", ("what became of them", "lines"), [*rows, ["all lines", summary["lines"]]])
