"""Makes backups and restores them, of any store that the settings name: what was on SQLite can go to PostgreSQL."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import sqlalchemy as sa

from services.cli.backup_manifest import BackupFile, checked, described, read_manifest, write_manifest
from services.cli.backup_parts import LOG, PARTS, RECORDS, RecordsPart
from services.cli.stores import migrations_of, plane_store
from services.runtime.alone import alone
from services.runtime.clock import Clock
from services.runtime.copying import copy_tables, open_file, open_snapshot, seal_file, tables_with_rows
from services.runtime.database import (
    check_schema,
    current_revision,
    known_revisions,
    newest_revision,
    open_records,
    upgrade,
)
from services.runtime.errors import Fatal
from services.runtime.log import open_log
from services.runtime.log.interface import EventLog, Message, Record
from services.runtime.settings import Settings
from services.runtime.topics import TOPICS

__all__ = ["back_up", "restore"]

_LOG_FILE = "log.ndjson"
SEND_MESSAGES = 500  # at once: far below what a log takes in its time
_KEPT = [topic for topic in TOPICS.values() if topic.compacted]


def back_up(settings: Settings, folder: Path, parts: Sequence[str], clock: Clock) -> Sequence[BackupFile]:
    """Into `folder`, which is new or empty. The services may run.

    Raises `Fatal` when the folder has something in it or a store is not of this version.
    """
    if folder.exists() and any(folder.iterdir()):
        raise Fatal(f"{folder} is not empty; name a new folder.")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    made_at = clock.now().isoformat(timespec="seconds")
    # Ingest comes first: what it says it has taken is then in the other parts, or a little more.
    files = [
        _keep_log(settings, folder, clock) if part == LOG else _keep_records(settings, folder, part, RECORDS[part])
        for part in _ordered(parts)
    ]
    write_manifest(folder, made_at, files)
    return files


def restore(settings: Settings, folder: Path, parts: Sequence[str], clock: Clock) -> tuple[str, Sequence[BackupFile]]:
    """Into stores that hold nothing of the same kind, with no service running. Every file is checked before anything
    is written. Returns when the backup was made, and what was restored.

    Raises `Fatal`, with what to do, when a file is damaged, the backup newer than this version, or a store in use.
    """
    made_at, found = read_manifest(folder)
    wanted = [part for part in _ordered(parts) if part in found or parts]
    for part in wanted:
        _refuse_unusable(folder, found, part)
    paths = {part: checked(folder, found[part]) for part in wanted}
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with alone(settings.data / "up.lock", "voile up runs on this data folder; stop it first."):
        for part in wanted:
            _refuse_filled(settings, part, clock)
        for part in wanted:
            if part == LOG:
                _fill_log(settings, paths[part], clock)
            else:
                _fill_records(settings, paths[part], RECORDS[part])
    return made_at, [found[part] for part in wanted]


def _refuse_unusable(folder: Path, found: Mapping[str, BackupFile], part: str) -> None:
    if part not in found:
        raise Fatal(f"{folder} has no {part} in it; it has: {', '.join(found)}.")
    if part != LOG and found[part].revision not in known_revisions(migrations_of(RECORDS[part].plane)):
        raise Fatal(f"{folder} was made by a newer version of Voile; install that one, then restore.")


def _ordered(parts: Sequence[str]) -> list[str]:
    """Those that are named, or all. Raises `Fatal` on a name that does not exist."""
    if unknown := sorted(set(parts) - set(PARTS)):
        raise Fatal(f"There is no part {unknown[0]!r}; choose of: {', '.join(PARTS)}.")
    return [part for part in PARTS if part in parts or not parts]


def _keep_records(settings: Settings, folder: Path, part: str, what: RecordsPart) -> BackupFile:
    source = open_snapshot(_url(settings, what.plane))
    migrations = migrations_of(what.plane)
    try:
        check_schema(source, migrations)
        path = folder / f"{part}.db"
        target = open_records(f"sqlite:///{path.absolute()}")
        upgrade(target, migrations)
        rows = copy_tables(source, target, what.tables)
        seal_file(path, target)
    finally:
        source.dispose()
    return described(path, part, newest_revision(migrations) or "", rows)


def _fill_records(settings: Settings, path: Path, what: RecordsPart) -> None:
    store = plane_store(settings, what.plane)
    store.upgrade()
    with _of_this_version(path, store.migrations, settings.data) as source:
        copy_tables(source, store.engine, what.tables)
    store.engine.dispose()


@contextlib.contextmanager
def _of_this_version(path: Path, migrations: Path, beside: Path) -> Iterator[sa.Engine]:
    """An older backup is brought up to date in a copy: the backup itself stays as it is."""
    source = open_file(path)
    if current_revision(source) == newest_revision(migrations):
        yield source
        return
    with tempfile.TemporaryDirectory(dir=beside, prefix=".restore-") as place:
        shutil.copyfile(path, copy := Path(place) / path.name)
        copy.chmod(0o600)
        engine = open_records(f"sqlite:///{copy.absolute()}")
        upgrade(engine, migrations)
        yield engine
        engine.dispose()


def _refuse_filled(settings: Settings, part: str, clock: Clock) -> None:
    if part == LOG:
        with _log(settings, clock) as log:
            if filled := sorted({record.partition.topic for record in _newest(log)}):
                raise Fatal(f"The event log is not empty ({filled[0]}); restore into a new one (`events`).")
        return
    what = RECORDS[part]
    store = plane_store(settings, what.plane)
    with contextlib.closing(store):
        if store.revision() is None:
            return
        if store.revision() != store.newest():
            raise Fatal("These records are of an older version; run: voile db upgrade")
        if filled := [name for name in tables_with_rows(store.engine, what.tables) if name not in what.filled]:
            raise Fatal(
                f"The {what.plane} records are not empty ({filled[0]}); move that store away first, or name another "
                "`data` folder or database in the settings."
            )


def _keep_log(settings: Settings, folder: Path, clock: Clock) -> BackupFile:
    path = folder / _LOG_FILE
    rows: dict[str, int] = {}
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with _log(settings, clock) as log, os.fdopen(handle, "w", encoding="utf-8") as stream:
        for record in _newest(log):
            stream.write(json.dumps(_as_json(record)) + "\n")
            rows[record.partition.topic] = rows.get(record.partition.topic, 0) + 1
    return described(path, LOG, "", rows)


def _fill_log(settings: Settings, path: Path, clock: Clock) -> None:
    with _log(settings, clock) as log, path.open(encoding="utf-8") as stream:
        messages = [_message(json.loads(line)) for line in stream]
        for first in range(0, len(messages), SEND_MESSAGES):
            log.send(messages[first : first + SEND_MESSAGES])


@contextlib.contextmanager
def _log(settings: Settings, clock: Clock) -> Iterator[EventLog]:
    log = open_log(settings.url(settings.events), settings.kafka, clock)
    try:
        log.ensure_topics(_KEPT)
        yield log
    finally:
        log.close()


def _newest(log: EventLog) -> list[Record]:
    """What compaction would leave: of each key its last record, when that is no tombstone."""
    follower = log.follower([topic.name for topic in _KEPT])
    try:
        records = follower.poll()
    finally:
        follower.close()
    last: Mapping[tuple[str, bytes], Record] = {(r.partition.topic, r.key): r for r in records}
    return [r for r in records if last[r.partition.topic, r.key] is r and r.value is not None]


def _as_json(record: Record) -> dict[str, object]:
    assert record.value is not None
    return {
        "topic": record.partition.topic,
        "key": _text(record.key),
        "value": _text(record.value),
        "headers": {name: _text(value) for name, value in record.headers.items()},
    }


def _message(entry: Mapping[str, object]) -> Message:
    headers = entry["headers"]
    assert isinstance(headers, dict)
    return Message(
        str(entry["topic"]),
        base64.b64decode(str(entry["key"])),
        base64.b64decode(str(entry["value"])),
        {name: base64.b64decode(value) for name, value in headers.items()},
    )


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _url(settings: Settings, plane: str) -> str:
    url: str = settings.url(getattr(settings, plane).records)
    return url
