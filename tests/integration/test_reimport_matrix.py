"""Importing again, in every way people do: counts unchanged in the topic, in the statistics and in the timelines.

All cases run into one installation, each as a tenant, a source and a member of its own, and are counted once.
"""

from __future__ import annotations

import bz2
import gzip
import itertools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import polars as pl
import pytest
import sqlalchemy as sa
import zstandard

from services.enricher.service import open_identity
from services.ingest.committer import Committer
from services.ingest.file_claims import FileClaims
from services.ingest.plane import missing, open_receiver
from services.ingest.receivers.http import ingest_app
from services.ingest.records import claim_chunks, file_claims
from services.ingest.service import Ingest
from services.ingest.sources import Source
from services.runtime.clock import FixedClock
from services.runtime.settings import Settings
from services.runtime.web.server import serving
from services.stats.service import open_statistics
from tests.parts import edge
from tests.parts.edge import NOW, absorbed, combined, text_of
from tests.parts.identity import link, linked

LINES = 600
_SMALL_CHUNKS = "import services.ingest.receivers.text as t; t.CHUNK_BYTES = 3000; "
_COMMAND = "import sys; from services.cli.main import main; main()"


@dataclass(frozen=True)
class Case:
    """What a case needs: an open ingest, its own source's name and key, a folder, and lines of its own."""

    ingest: Ingest
    name: str
    folder: Path

    def lines(self, count: int = LINES) -> list[str]:
        return [combined(n).replace(" - - [", f" - {self.name} [") for n in range(count)]

    def text(self, count: int = LINES) -> bytes:
        return text_of(self.lines(count))

    def write(self, name: str, data: bytes) -> Path:
        path = self.folder / f"{self.name}-{name}"
        path.write_bytes(data)
        return path

    def take(self, name: str, data: bytes) -> None:
        self.ingest.import_file(self.write(name, data), self.name)

    def start(self, path: Path, *, small_chunks: bool = False) -> subprocess.Popen[bytes]:
        """`voile import` as a process of its own."""
        code = (_SMALL_CHUNKS if small_chunks else "") + _COMMAND
        env = os.environ | {"VOILE_DATA": str(self.ingest.settings.data), "VOILE_INGEST__RECORDS": edge.records_url()}
        command = [sys.executable, "-c", code, "import", str(path), "--source", self.name]
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def same_file(case: Case) -> None:
    case.take("access.log", case.text())
    case.take("access.log", case.text())


def same_file_packed(case: Case) -> None:
    """As each of gzip, bzip2 and zstd, in one and in two members."""
    case.take("access.log", case.text())
    for pack in (gzip.compress, bz2.compress, zstandard.compress):
        case.take("packed", pack(case.text()))
        case.take("packed", pack(case.text(100)) + pack(case.text()[len(case.text(100)) :]))


def rotated_and_grown(case: Case) -> None:
    """Imported while it was written, then renamed with more lines in it, then packed."""
    case.take("access.log", case.text(200))
    case.take("access.log", case.text(400))
    case.take("access.log.1", case.text())
    case.take("access.log.2.gz", gzip.compress(case.text()))
    case.take("older-copy.log", case.text(300))


def cut_in_a_line(case: Case) -> None:
    """Its last line was half written, at every stage."""
    whole = case.text()
    for size in (1, 60, 130, 20_000, len(whole) - 30, len(whole) - 1, len(whole)):
        case.take("access.log", whole[:size])
    case.take("damaged.log", whole[:-500])


def imported_twice_at_once(case: Case) -> None:
    """By two processes, and a third after them."""
    path = case.write("access.log", case.text())
    running = [case.start(path, small_chunks=n == 1) for n in range(2)]
    assert [_done(process) for process in running] == [0, 0]
    assert _done(case.start(path)) == 0


def killed_in_the_middle(case: Case) -> None:
    """With `kill -9`, five times, each further on; then run to the end."""
    path = case.write("access.log", case.text())
    for kill in range(1, 6):
        process = case.start(path, small_chunks=True)
        while process.poll() is None and _taken_bytes(case) < kill * len(case.text()) // 8:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert _done(process) in (-signal.SIGKILL, 0)
    assert 0 < _taken_bytes(case) < len(case.text())
    assert _done(case.start(path)) == 0


def body_after_a_lost_answer(case: Case) -> None:
    """Once with an Idempotency-Key, once known by its text."""
    half = case.lines()[: LINES // 2], case.lines()[LINES // 2 :]
    for lines, key in ((half[0], {"idempotency-key": "batch-1"}), (half[1], {})):
        for _ in range(3):
            _post(case, text_of(lines), **key)


def untimed_body_twice(case: Case) -> None:
    """Lines without a time of their own: an equal body may be a new one, so it counts again."""
    body = b"".join(
        b'{"client_address":"192.0.2.1","path":"/a","status":200,"account":"%s"}\n' % case.name.encode()
        for _ in range(LINES // 2)
    )
    for _ in range(2):
        _post(case, body, **{"content-type": "application/x-ndjson"})


def uvicorn_body_twice(case: Case) -> None:
    """The same of a server whose log has no time."""
    body = b'INFO:     192.0.2.1:33258 - "GET /a HTTP/1.1" 200 OK\n' * (LINES // 2)
    for _ in range(2):
        _post(case, body)


FORMAT_OF: Mapping[str, str] = {"untimed-body-twice": "json", "uvicorn-body-twice": "uvicorn"}  # others: combined
CASES: Mapping[str, Callable[[Case], None]] = {
    f.__name__.replace("_", "-"): f
    for f in (
        *(same_file, same_file_packed, rotated_and_grown, cut_in_a_line, imported_twice_at_once),
        *(killed_in_the_middle, body_after_a_lost_answer, untimed_body_twice, uvicorn_body_twice),
    )
}


def _done(process: subprocess.Popen[bytes]) -> int:
    _, errors = process.communicate(timeout=60)
    assert process.returncode <= 0, errors.decode()
    return process.returncode


def _taken_bytes(case: Case) -> int:
    mine = file_claims.join(claim_chunks).select().where(file_claims.c.source == case.name)
    with case.ingest.engine.begin() as connection:
        query = mine.with_only_columns(sa.func.max(claim_chunks.c.first + claim_chunks.c.length))
        return connection.execute(query).scalar() or 0


def _post(case: Case, body: bytes, **headers: str) -> None:
    ingest = case.ingest
    committer = Committer(ingest.request_claims, ingest.publisher, ingest.clock)
    new = ingest.sources.add_key(case.name, ingest.clock.now())
    app = ingest_app(open_receiver(ingest, committer), lambda: missing(ingest))
    auth = {"authorization": f"Bearer {new.key}", "content-type": "text/plain"}
    try:
        with serving(app, "127.0.0.1:0") as (host, port):
            answer = httpx.post(f"http://{host}:{port}/api/v1/ingest/{case.name}", content=body, headers=auth | headers)
        assert answer.status_code == 200, answer.text
    finally:
        committer.close()
        ingest.sources.revoke(case.name, new.id, ingest.clock.now())


@dataclass(frozen=True)
class Counts:
    """Rows of one case in each store."""

    topic: int
    statistics: int
    timeline: int


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Counts]:
    """Every case, then the two other planes, then what each store has."""
    data = tmp_path_factory.mktemp("matrix")
    logs = tmp_path_factory.mktemp("logs")
    with edge.opened(data) as ingest:
        for name, run in CASES.items():
            edge.register(ingest.log, name, "active")
            ingest.clock.sleep(2)
            ingest.add_source(Source(name, name, FORMAT_OF.get(name, "combined"), authenticated=True))
            run(Case(ingest, name, logs))
        topic = Counter(absorbed(ingest.log)["tenant"].to_list())
    statistics, timelines = _statistics(data), _timelines(data)
    return {name: Counts(topic[name], statistics[name], timelines[name]) for name in CASES}


def _statistics(data: Path) -> Mapping[str, int]:
    statistics = open_statistics(Settings(data=data), FixedClock(NOW))
    worker = statistics.worker("member")
    try:
        while worker.step(0.1):
            pass
        rows = statistics.reading.frame("SELECT tenant, count() AS n FROM events WHERE kind = 'event' GROUP BY tenant")
    finally:
        worker.close()
        statistics.close()
    return dict(rows.select(pl.col("tenant").cast(pl.String), "n").iter_rows())


def _timelines(data: Path) -> Mapping[str, int]:
    identity = open_identity(Settings(data=data), FixedClock(NOW))
    try:
        link(identity)
        return {name: len(linked(identity, name, name)) for name in CASES}
    finally:
        identity.close()


@pytest.mark.parametrize("name", CASES)
def test_each_line_is_in_every_store_once(name: str, counts: Mapping[str, Counts]) -> None:
    """However it came again. uvicorn's lines name nobody, so they are in no timeline."""
    timeline = 0 if name == "uvicorn-body-twice" else LINES
    assert counts[name] == Counts(LINES, LINES, timeline)


def test_without_claims_the_same_file_would_count_twice(tmp_path: Path) -> None:
    """The switch: each import is an origin of its own, and the rows are there twice."""
    numbers = itertools.count()
    with edge.opened(tmp_path) as ingest, pytest.MonkeyPatch.context() as patch:
        ingest.add_source(Source("same-file", "acme", "combined"))
        patch.setattr(FileClaims, "matching", lambda *_: [])
        patch.setattr(FileClaims, "_prefix", lambda *_: f"{next(numbers)}")
        same_file(Case(ingest, "same-file", tmp_path))
        assert absorbed(ingest.log).height == 2 * LINES
