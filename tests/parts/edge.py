"""Ingest, open on a data folder, with lines to give it and a reader of what it published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from services.ingest.lines import Lines, split_lines
from services.ingest.preparing import Policy
from services.ingest.service import Ingest, open_ingest
from services.ingest.sources import Source
from services.runtime import avro
from services.runtime.batches import Coverage, decode_access_batch
from services.runtime.clock import FixedClock
from services.runtime.errors import Transient
from services.runtime.log.interface import EventLog, Message, Partition, Record
from services.runtime.settings import Ingest as IngestSettings
from services.runtime.settings import Settings
from services.runtime.topics import TOPICS

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SOURCE = Source("web", "acme", "combined")
POLICY = Policy((), (), lambda data: f"digest of {len(data)}")


def combined(number: int, *, status: int = 200, target: str = "") -> str:
    """A line that is unlike every other number's."""
    time = datetime(2026, 11, 22, 8, 0, tzinfo=UTC) + timedelta(seconds=number)
    request = f"GET {target or f'/pages/{number}'} HTTP/1.1"
    return f'192.0.2.{number % 250} - - [{time:%d/%b/%Y:%H:%M:%S %z}] "{request}" {status} 512 "-" "Mozilla/5.0 (X11)"'


def text_of(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def lines_of(*texts: str) -> Lines:
    return split_lines(text_of(texts))


def records_url() -> str:
    """Where ingest's records are in tests; replaced to run the same tests on PostgreSQL."""
    return "sqlite:///ingest.db"


@contextmanager
def opened(folder: Path, events: str = "sqlite:///events.db", **settings: object) -> Iterator[Ingest]:
    """Ingest with the tenant `acme` and the source `web` (combined) declared once; time stands still."""
    section = IngestSettings.model_validate({"records": records_url(), **settings})
    ingest = open_ingest(Settings(data=folder, events=events, ingest=section), FixedClock(NOW))
    try:
        register(ingest.log, "acme", "active")
        ingest.clock.sleep(2)
        if SOURCE.name not in [source.name for source in ingest.sources.all()]:
            ingest.add_source(SOURCE)
        yield ingest
    finally:
        ingest.close()


def register(log: EventLog, tenant: str, status: str) -> None:
    record = {"tenant": tenant, "status": status, "updated_at": NOW}
    log.send([Message(TOPICS["tenant"].name, tenant.encode(), avro.encode_record(record, "tenant"))])


def records(log: EventLog, topic: str) -> Sequence[Record]:
    """Everything in a topic, as it lies there."""
    follower = log.follower([TOPICS[topic].name])
    try:
        return follower.poll()
    finally:
        follower.close()


def published(log: EventLog) -> pl.DataFrame:
    """Every row in `access-log.v1` (columns of AccessLog and `origin`), also what was published twice."""
    frames = [avro.empty_frame("access_log").with_columns(pl.lit("").alias("origin"))]
    for record in records(log, "access-log"):
        assert record.value is not None
        batch = decode_access_batch(record.value)
        origins = [span.origin for span in batch.spans for _ in range(span.rows)]
        frames.append(batch.frame.with_columns(pl.Series("origin", origins, dtype=pl.String)))
    return pl.concat(frames)


def absorbed(log: EventLog) -> pl.DataFrame:
    """What a consumer keeps: the rows whose (source, origin, position) no span before had covered."""
    coverage = Coverage()
    kept = [avro.empty_frame("access_log")]
    for record in records(log, "access-log"):
        assert record.value is not None
        batch = decode_access_batch(record.value)
        kept.append(coverage.keep_new(batch))
        for span in batch.spans:
            coverage.add(span)
    return pl.concat(kept)


class AwayLog:
    """An event log whose `send` fails while `away`; for everything else it is the real one."""

    def __init__(self, log: EventLog, retry_after_s: int = 7) -> None:
        self._log, self.away, self.sent = log, False, 0
        self.retry_after_s = retry_after_s

    def send(self, messages: Sequence[Message], timeout_s: float = 10.0) -> Sequence[tuple[Partition, int]]:
        if self.away:
            raise Transient("The event log is away.", retry_after_s=self.retry_after_s)
        self.sent += 1
        return self._log.send(messages, timeout_s)

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)
