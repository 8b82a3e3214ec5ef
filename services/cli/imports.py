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
    from services.runtime.stop import Stop

app = typer.Typer()

STDIN = "-"
_WHEN_SHOWN = (
    "Figures of today show within minutes; those of a day that is over when it closes by itself, a day from now, "
    "or at once: voile stats close"
)
_NOTHING_FITS = (
    "Nothing was taken: every line was rejected. Find out which format the file has with `voile formats detect FILE`, "
    "then import it with --format, or change the source's."
)


@app.command(name="import", epilog="Example: voile import /var/log/nginx/access.log* --source chess-web")
def import_(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Log files, plain, gz, bz2, zst or xz; - for stdin.")
    ],
    *,
    source: Annotated[str, typer.Option(help="The source they belong to; see: voile source list")],
    format_: Annotated[str, typer.Option("--format", help="How the lines look, if not as the source says.")] = "",
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with what is appended, through rotation; until stopped.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Import access logs. Safe to repeat: what was taken before is a duplicate and changes nothing.

    Every line read is accepted, a duplicate, or rejected for a reason; the summary adds up. Exits 1 when a file could
    not be read to its end, or every line was rejected.
    """
    from services.cli import common

    if follow:
        _follow(files, source, format_, lambda done: common.print_result(done.as_dict(), as_json, _print_summary))
        return
    common.require_files(files)
    total, troubles, advice = _import_all(files, source, format_)
    common.print_result(total.as_dict(), as_json, _print_summary)
    if not as_json:
        for sentence in filter(None, (advice, _WHEN_SHOWN if total.accepted else "")):
            common.note(sentence)
    if 0 < total.lines == total.rejected_lines:
        troubles.append(_NOTHING_FITS)
    for trouble in troubles:
        common.note(f"voile: {trouble}")
    if troubles:
        raise typer.Exit(1)


def _import_all(files: Sequence[str], source: str, format_: str) -> tuple[Outcome, list[str], str]:
    """What became of all lines, a sentence for each file that was not read to its end, and what to do about rejects."""
    from services.cli import edge

    with edge.loading():
        from services.ingest.accounting import NOTHING
        from services.ingest.receivers.files import Damaged
        from services.ingest.receivers.packing import Unreadable
        from services.runtime.stop import Stop

    total, troubles, advice = NOTHING, list[str](), ""
    stop = Stop() if STDIN in files else Stop().on_signals()  # a wait for standard input ends by the signal itself
    with edge.opened() as ingest, _progress(files) as show:
        for name in files:
            before, size = total.rejected_lines, _size(name)
            try:
                with edge.naming(name):
                    total += _import(ingest, name, (source, format_), _after(total, show), stop)
            except Unreadable as error:  # the other files are taken all the same
                troubles.append(str(error))
            except Damaged as error:
                total += error.outcome
                troubles.append(f"{'standard input' if name == STDIN else name} {error.what}.")
            troubles += [said] if (said := _shrunk(name, size)) else []
            if total.rejected_lines > before and not advice:
                advice = _advice(name, format_ or ingest.sources.named(source).format)
            show(total, 0, finished=name)
            if stop.is_set:
                return total, [*troubles, "Stopped before the end; the same command goes on from there."], advice
    return total, troubles, advice


def _advice(file: str, format_: str) -> str:
    """How to see the first line that was rejected; ready to paste."""
    from shlex import quote

    server, colon, string = format_.partition(":")
    how = f"--server {server} --format {quote(string)}" if colon else f"--format {format_}"
    return f"Which lines are rejected, and at which column: voile formats test {how} {quote(file)}"


def _import(
    ingest: Ingest, name: str, what: tuple[str, str], progress: Callable[[Outcome, int], None], stop: Stop
) -> Outcome:
    if name == STDIN:
        return ingest.import_stream(sys.stdin.buffer, *what, progress, stop)
    return ingest.import_file(Path(name), *what, progress, stop)


def _shrunk(name: str, size_before: int) -> str:
    """A log that was cut while it was read (copytruncate) has lost lines, and nobody else will say so."""
    if name == STDIN or not Path(name).exists() or Path(name).stat().st_size >= size_before:
        return ""
    return f"{name} got shorter while it was read: lines may be missing; import its rotated copy too, or use --follow."


def _size(name: str) -> int:
    return Path(name).stat().st_size if name != STDIN and Path(name).exists() else 0


def _follow(files: Sequence[str], source: str, format_: str, told: Callable[[Outcome], None]) -> None:
    """Until it is stopped, or a name can be followed no more: what was taken is `told` all the same."""
    from services.cli import common, edge
    from services.runtime.errors import Fatal
    from services.runtime.stop import Stop

    if STDIN in files:
        raise Fatal("Standard input is read until it ends; leave out --follow.")
    stop = Stop().on_signals()
    with edge.opened() as ingest, _progress([]) as show:
        follower = ingest.follower([Path(name) for name in files], source, format_, show, common.note)
        try:
            follower.run(stop)
        finally:
            if stop.is_set or follower.outcome.lines:
                told(follower.outcome)


def _after(before: Outcome, show: Callable[..., None]) -> Callable[[Outcome, int], None]:
    """The progress of one file, on top of the files `before`."""
    return lambda done, read: show(before + done, read)


@contextmanager
def _progress(files: Sequence[str]) -> Iterator[Callable[..., None]]:
    """On a terminal: a bar over the bytes on disk, lines, lines a second, time left, rejects. Else nothing."""
    if not sys.stderr.isatty():
        yield lambda *_, **__: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.fields[said]}"), TimeRemainingColumn(compact=True))
    sizes = {name: Path(name).stat().st_size for name in files if name != STDIN}
    total = sum(sizes.values()) if sizes and STDIN not in files else None
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=total, said="")
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
