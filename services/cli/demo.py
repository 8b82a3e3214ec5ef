"""`voile demo`: the main job, end to end, on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from services.demo.installation import Installation
    from services.demo.run import Demo, Log
    from services.demo.state import State

app = typer.Typer()


@app.command()
def demo(
    *,
    log: list[Path] = typer.Option([], help="Your own access log; may be given again. Default: made-up logs."),
    log_format: str = typer.Option("", "--format", help="How --log looks, such as combined; see: voile formats list"),
    once: bool = typer.Option(False, "--once", help="Print the summary and end."),
    json: bool = typer.Option(False, "--json", help="Print the summary as JSON."),
    data: Path = typer.Option(Path("demo-data"), help="Where everything is kept. Remove it to start over."),
) -> None:
    """See the whole product work: logs in; support answer, dashboard and partner file out.

    Example: voile demo

    Example: voile demo --log access.log --format combined
    """
    from services.cli.common import clock, print_result
    from services.demo.installation import Installation
    from services.demo.state import load_state

    _check(log, log_format)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_alone_in(data))
        installation = Installation(data, any_ports=once)
        state = load_state(installation.data, clock().now().date(), bool(log))
        run, logs = _prepared(installation, state, log, log_format, _shown(quiet=json and once))
        with run.stage("start", "Starting the three services"):
            stack.enter_context(installation.running())
        summary = run.run(logs)
        print_result(summary, json, _print_summary)
        if not once:
            _stay(installation, run, to_stderr=json)


def _alone_in(data: Path) -> AbstractContextManager[None]:
    """A second demo would give the folder's settings other ports than those that are in use."""
    from services.runtime.alone import alone

    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    return alone(data / "demo.lock", f"A demo already runs on {data}; end it first, or give this one a --data folder.")


def _shown(quiet: bool) -> Callable[[str], AbstractContextManager[Any]]:
    """A spinner on a terminal, a line when done; on stderr. Nothing for programs, which get the summary alone."""
    from rich.console import Console

    console = Console(stderr=True, quiet=quiet)

    @contextlib.contextmanager
    def show(what: str) -> Iterator[None]:
        with console.status(what):
            yield
        console.print(f"{what}: done")

    return show


def _check(log: list[Path], log_format: str) -> None:
    from services.cli import common
    from services.runtime.errors import Fatal

    if log and not log_format:
        raise Fatal("Say how the log looks: --format combined, for example; voile formats list names them.")
    if log_format and not log:
        raise Fatal("--format is for --log FILE.")
    common.require_files([str(file) for file in log])
    if log_format:
        from services.ingest.formats import format_named

        format_named(log_format)


def _prepared(
    installation: Installation,
    state: State,
    files: list[Path],
    log_format: str,
    shown: Callable[[str], AbstractContextManager[Any]],
) -> tuple[Demo, list[Log]]:
    from services.demo.run import Demo, made_up_logs, own_logs

    demo = Demo(installation, state, shown)
    if files:
        return demo, own_logs([file.absolute() for file in files], log_format)
    with demo.stage("generate", "Writing two weeks of made-up access logs"):
        return demo, made_up_logs(installation.data, state)


def _stay(installation: Installation, demo: Demo, to_stderr: bool) -> None:
    """Pages, ingest and live traffic until Ctrl-C."""
    import threading

    from services.cli.common import clock, note
    from services.demo.live import send_until
    from services.demo.welcome import print_welcome
    from services.runtime.stop import Stop

    stop = Stop().on_signals()
    print_welcome(installation, demo.state, to_stderr)
    if not demo.state.own_logs:
        arguments = (stop, installation.url("ingest"), demo.state.keys, clock())
        threading.Thread(target=send_until, args=arguments, daemon=True, name="live").start()
    while not stop.wait(1.0):
        pass
    note("Stopping. Everything stays in the data folder; give the same command to go on.")


def _print_summary(summary: dict[str, Any]) -> None:
    from services.cli.common import print_table

    rejected = sum(summary["rejected"].values())
    seconds = sum(summary["seconds"].values())
    told = {**summary, "rejected": rejected, "seconds": round(seconds, 1)}
    print_table("", ("", ""), [[name.replace("_", " "), value] for name, value in told.items()])
