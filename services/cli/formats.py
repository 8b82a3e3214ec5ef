"""voile formats: the log formats Voile reads."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from services.ingest.detection import Fit, Trial

app = typer.Typer(no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
File = Annotated[str, typer.Argument(metavar="FILE", help="A log file, plain or gzip; - for stdin. Its head is read.")]
_FITS_FROM = 0.5  # of the lines: below, a format fits by chance
_SHOWN = 3


@app.callback()
def _formats() -> None:
    """The log formats Voile reads."""


@app.command("list", epilog="Example: voile formats list")
def list_(as_json: Json = False) -> None:
    """All formats by name."""
    from services.cli import common
    from services.ingest.formats import FORMATS

    rows = [{"name": f.name, "description": f.description} for f in FORMATS.values()]
    table = [[row["name"], row["description"]] for row in rows]
    common.print_result(rows, as_json, lambda _: common.print_table("", ("name", "description"), table))


@app.command(epilog="Example: voile formats detect /var/log/nginx/access.log")
def detect(file: File, as_json: Json = False) -> None:
    """Find out which format a file has. Exits 1 when none fits half of its lines."""
    from services.cli import common
    from services.ingest.detection import rank
    from services.ingest.formats import FORMATS

    fits = rank(_head(file), FORMATS.values(), common.clock().now())
    fitting = [fit for fit in fits if fit.share >= _FITS_FROM]
    rows = [{**asdict(fit), "share": round(fit.share, 4)} for fit in fits if fit.accepted]
    common.print_result(rows, as_json, lambda _: _print_fits(fitting))
    if not fitting:
        common.note(_nothing_fits(file, fits))
        raise typer.Exit(1)


@app.command(
    "test", epilog="Example: voile formats test --server nginx --format '$remote_addr [$time_local] \"$request\"' a.log"
)
def try_(
    file: File,
    *,
    format_: Annotated[str, typer.Option("--format", help="A format's name, or with --server your server's string.")],
    server: Annotated[str, typer.Option(help="Whose string it is: nginx, apache, w3c, haproxy, envoy or python.")] = "",
    reveal: Annotated[bool, typer.Option("--reveal", help="Show addresses and names of users too.")] = False,
    as_json: Json = False,
) -> None:
    """Try a format on a file: what each field becomes, and the first line and column that do not fit.

    Examples come from your file; addresses and names of users are hidden. Exits 1 when a line is rejected.
    """
    from services.cli import common
    from services.ingest.detection import try_format
    from services.ingest.formats import custom, doubts, format_named

    known = format_named(custom(format_, server) if server else format_)
    trial = try_format(_head(file), known, common.clock().now(), reveal=reveal)
    common.print_result(asdict(trial), as_json, lambda _: _print_trial(trial))
    for doubt in doubts(known.name):
        common.note(doubt)
    if trial.failure:
        raise typer.Exit(1)


def _head(file: str) -> bytes:
    from services.cli import common, edge
    from services.ingest.detection import sample
    from services.runtime.errors import Fatal

    common.require_files([file])
    with edge.naming(file):
        if file == "-":
            return sample(sys.stdin.buffer)
        try:
            with Path(file).open("rb") as stream:
                return sample(stream)
        except OSError as error:
            raise Fatal(f"{file} cannot be read: {error.strerror}.") from None


def _print_fits(fits: list[Fit]) -> None:
    from services.cli import common

    table = [[fit.name, f"{fit.share:.1%}", fit.accepted, fit.lines, fit.columns] for fit in fits[:_SHOWN]]
    if table:
        common.print_table("", ("format", "share", "accepted", "lines", "columns"), table)


def _nothing_fits(file: str, fits: list[Fit]) -> str:
    if not fits[0].lines:
        return f"{file} has no lines yet."
    closest = f"The closest is {fits[0].name} ({fits[0].share:.1%} of the lines). " if fits[0].accepted else ""
    return (
        f"No format fits {file}. {closest}Give the string from your server's own configuration: "
        f"voile formats test --server nginx --format '...' {file}"
    )


def _print_trial(trial: Trial) -> None:
    from services.cli import common

    table: list[list[Any]] = [[f.written, f.column or "(not read)", f.type, f.example] for f in trial.fields]
    common.print_table("", ("field", "becomes", "type", "example"), table)
    counts = [["accepted", trial.accepted], *([f"rejected: {r}", n] for r, n in trial.rejected.items())]
    print()
    common.print_table("", ("what became of them", "lines"), [*counts, ["all lines", trial.lines]])
    if trial.accepted and not trial.timed:
        common.note("Lines carry no time: the time of receipt counts, and the same body sent twice counts twice.")
    if failure := trial.failure:
        at = f" at {failure.column}" if failure.column else ""
        common.note(f"Line {failure.line} is the first that does not fit: {failure.reason}{at} ({failure.meaning}).")
