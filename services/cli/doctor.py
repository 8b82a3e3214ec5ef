"""`voile doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from services.runtime.settings import Settings

app = typer.Typer()

FREE_BYTES_MIN = 2 * 1024**3  # below it ingest and the statistics worker pause themselves before long


class Finding(NamedTuple):
    """One check: whether it holds, and what was seen or is to be done."""

    check: str
    ok: bool
    detail: str


@app.command()
def doctor(json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Check settings, stores, keys, permissions and disk, and say what to do.

    Example: voile doctor
    """
    from services.cli.common import print_result, print_table, settings

    findings = [finding._asdict() for finding in _examine(settings())]
    print_result(
        findings,
        json,
        lambda rows: print_table("", ("check", "ok", "detail"), [[r["check"], r["ok"], r["detail"]] for r in rows]),
    )
    if not all(finding["ok"] for finding in findings):
        raise typer.Exit(1)


def _examine(settings: Settings) -> Iterator[Finding]:
    yield Finding("settings", True, f"data in {settings.data}, days begin at midnight in {settings.timezone}")
    yield _guarded("disk", lambda: _disk(settings))
    yield _guarded("event log", lambda: _event_log(settings))
    for name in ("ingest", "identity", "statistics"):
        yield _guarded(f"{name} keys", lambda plane=getattr(settings, name): _keys(settings, plane))
    yield from _records()


def _guarded(check: str, look: Callable[..., str]) -> Finding:
    from services.runtime.errors import VoileError

    try:
        return Finding(check, True, look())
    except VoileError as error:
        return Finding(check, False, str(error))
    except OSError as error:
        return Finding(check, False, error.strerror or type(error).__name__)


def _disk(settings: Settings) -> str:
    import shutil

    from services.runtime.errors import Fatal

    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    free = shutil.disk_usage(settings.data).free
    if free < FREE_BYTES_MIN:
        raise Fatal(f"only {free / 1024**3:.1f} GiB free in {settings.data}; make room or move `data`")
    return f"{free / 1024**3:.0f} GiB free"


def _event_log(settings: Settings) -> str:
    from services.cli.common import clock
    from services.runtime.errors import Transient
    from services.runtime.log import open_log

    log = open_log(settings.url(settings.events), settings.kafka, clock())
    try:
        if not log.ready():
            raise Transient("does not take messages now; is the broker up and the disk not full?")
    finally:
        log.close()
    return "takes messages"


def _keys(settings: Settings, plane: Any) -> str:
    from services.runtime.keys import open_keys

    keys = open_keys(settings.url(plane.keys))
    for name in keys.names():
        keys.get(name)
    return "readable by their owner alone"


def _records() -> Iterator[Finding]:
    from services.cli.stores import each_store

    for store in each_store(""):
        revision, newest = store.revision(), store.newest()
        ok = revision == newest
        yield Finding(f"{store.plane} records", ok, f"schema {revision}" if ok else "run: voile db upgrade")
