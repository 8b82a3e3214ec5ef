"""`voile doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from services.cli.doctor_ip import explain_address

if TYPE_CHECKING:
    from services.cli.stores import PlaneStore
    from services.runtime.settings import Settings

app = typer.Typer()
_IP_EXAMPLE = "Example: voile doctor ip --source chess-web --file /var/log/nginx/access.log"
app.command("ip", epilog=_IP_EXAMPLE)(explain_address)

FREE_BYTES_MIN = 2 * 1024**3  # below it ingest and the statistics worker pause themselves before long


class Finding(NamedTuple):
    """One check: whether it holds, and what was seen or is to be done."""

    check: str
    ok: bool
    detail: str


@app.callback(invoke_without_command=True)
def doctor(context: typer.Context, json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Check settings, stores, keys, permissions and disk, and say what to do.

    Example: voile doctor
    """
    if context.invoked_subcommand:
        return
    from services.cli.common import print_result, print_table, settings

    findings = [finding._asdict() for finding in examine(settings())]
    print_result(
        findings,
        json,
        lambda rows: print_table("", ("check", "ok", "detail"), [[r["check"], r["ok"], r["detail"]] for r in rows]),
    )
    if not all(finding["ok"] for finding in findings):
        raise typer.Exit(1)


def examine(settings: Settings) -> Iterator[Finding]:
    yield Finding(
        "settings", True, f"data in {settings.data.absolute()}, days begin at midnight in {settings.timezone}"
    )
    yield _guarded("disk", lambda: _disk(settings))
    yield _guarded("permissions", lambda: _permissions(settings))
    yield _guarded("event log", lambda: _event_log(settings))
    for name in ("ingest", "identity", "statistics"):
        yield _guarded(f"{name} keys", lambda plane=getattr(settings, name): _keys(settings, plane))
    for name in ("ingest", "identity", "statistics"):
        yield _guarded(f"{name} records", lambda plane=name: _records(settings, plane))
    yield _guarded("analytics", lambda: _analytics(settings))


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


def _permissions(settings: Settings) -> str:
    """The folder is enough: nobody gets past it to the files in it."""
    from services.runtime.errors import Fatal
    from services.runtime.settings import settings_file

    if settings.data.stat().st_mode & 0o077:
        raise Fatal(f"other users of this machine can enter {settings.data}; run: chmod go-rwx {settings.data}")
    if (file := settings_file()) is not None and file.stat().st_mode & 0o077:
        raise Fatal(f"other users of this machine can read {file}, where passwords may stand; run: chmod go-rwx {file}")
    return "the data folder is its owner's alone"


def _records(settings: Settings, plane: str) -> str:
    from services.cli.stores import each_store
    from services.runtime.errors import Fatal

    with contextlib.closing(next(each_store(plane))) as store:
        if (revision := store.revision()) != store.newest():
            raise Fatal("run: voile db upgrade")
        if plane != "statistics":  # whose server's role has few rights on purpose
            _refuse_lacking_rights(store)
        if plane == "identity":
            _refuse_lost_keys(settings, store)
    return f"schema {revision}"


def _refuse_lacking_rights(store: PlaneStore) -> None:
    from services.runtime.database import transaction
    from services.runtime.errors import Fatal
    from services.runtime.postgres import tables_without_rights

    if store.engine.dialect.name == "sqlite":
        return
    with transaction(store.engine) as connection:
        lacking = tables_without_rights(connection)
    if lacking:
        raise Fatal(
            f"the role lacks rights on {', '.join(lacking[:3])}{' and more' * (len(lacking) > 3)}; run "
            "deploy/postgresql/roles.sql and grants.sql (docs/production.md)"
        )


def _refuse_lost_keys(settings: Settings, store: PlaneStore) -> None:
    """The folder may be in order and another one than the records were written with."""
    from services.enricher.persons.vault import Vault
    from services.runtime.database import transaction
    from services.runtime.keys import open_keys

    with transaction(store.engine) as connection:
        Vault(open_keys(settings.url(settings.identity.keys))).refuse_lost(connection)


def _analytics(settings: Settings) -> str:
    """A server is asked; the embedded store is left to the process that owns it."""
    from services.runtime.clickhouse import open_analytics

    url = settings.url(settings.statistics.analytics)
    if url.startswith("chdb:"):
        return "embedded"
    open_analytics(url).close()
    return "the server answers"
