"""Accesses to count, and the parts of a statistics worker that a test puts together on a folder of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from services.runtime import avro
from services.runtime.batches import AccessBatch, Span, encode_access_batch
from services.runtime.clickhouse import Analytics, open_analytics
from services.runtime.clock import Clock
from services.runtime.consumer import Plan
from services.runtime.keys import FileKeyService
from services.runtime.log.interface import Partition, Record
from services.stats.counting.pipeline import Pipeline
from services.stats.counting.writer import EventWriter
from services.stats.pseudonyms.keyring import Keyring
from services.stats.rights.suppression import Suppressions
from services.stats.store import create_tables
from services.stats.tenants.registry import Tenant, Tenants

__all__ = [
    "CHROME",
    "DAY",
    "NOON",
    "Counting",
    "KnownDays",
    "access",
    "accesses",
    "counting",
    "encoded",
    "pipeline",
    "plan",
    "record",
    "rows_stored",
]

NOON = datetime(2026, 3, 10, 12)
DAY = date(2026, 3, 10)
TENANT = "chess-club"
TOPIC = "access-log.v1"
TOPIC_ID = "topic-1"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)


def access(position: int = 0, **changed: Any) -> dict[str, Any]:
    """One row of `AccessLog`."""
    row = {
        "position": position,
        "timestamp": NOON,
        "received_at": NOON,
        "tenant": TENANT,
        "site": "www.chess.example",
        "source": "web",
        "client_address": f"198.51.100.{position % 250}",
        "account": None,
        "user_agent": CHROME,
        "method": "GET",
        "host": "www.chess.example",
        "path": "/rules",
        "query": None,
        "status": 200,
        "response_bytes": 1000,
        "duration_ms": 12,
        "referrer": None,
    }
    return {**row, **changed}


def accesses(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=dict(avro.columns("access_log")), orient="row")


def encoded(rows: Sequence[Mapping[str, Any]], origin: str = "access.log") -> bytes:
    """The batch of `rows`, whose positions are one span of one origin."""
    frame = accesses(rows)
    positions = frame["position"].sort().to_list() or [0]
    span = Span("web", origin, positions[0], positions[-1], frame.height)
    return encode_access_batch(AccessBatch(frame, "web", [span]))


def record(offset: int, value: bytes | None, partition: int = 0) -> Record:
    return Record(Partition(TOPIC, partition), offset, b"web", value, {}, 0)


def plan(first: int, last: int, attempt: int = 1, ingest_day: date = DAY) -> Plan:
    return Plan(Partition(TOPIC, 0), TOPIC_ID, first, last, ingest_day, "countries=1", attempt)


@dataclass
class KnownDays:
    """Day states without a database."""

    states: dict[tuple[str, date], str] = field(default_factory=dict)

    def state(self, tenant: str, day: date) -> str | None:
        return self.states.get((tenant, day))


def pipeline(
    folder: Path,
    *,
    zone: str = "UTC",
    tenants: Sequence[Tenant] = (),
    days: KnownDays | None = None,
    suppressions: Suppressions | None = None,
    clock: Clock | None = None,
) -> Pipeline:
    keyring = Keyring(FileKeyService(folder / "keys"), days or KnownDays())
    return Pipeline.build(ZoneInfo(zone), suppressions or Suppressions(), keyring, Tenants(tenants), clock=clock)


@dataclass
class Counting:
    """A writer on a real store; `dead` has (offset, reason) of what could not be decoded."""

    analytics: Analytics
    writer: EventWriter
    dead: list[tuple[int, str]]

    def again(self, **options: Any) -> Counting:
        """A writer that knows nothing yet, as after a restart."""
        return _counting(self.analytics, self.writer._run, **options)


@contextlib.contextmanager
def counting(folder: Path, **options: Any) -> Iterator[Counting]:
    """One at a time in a process: the engine takes one folder."""
    analytics = open_analytics(f"chdb://{folder}/analytics")
    try:
        create_tables(analytics)
        yield _counting(analytics, pipeline(folder).run, **options)
    finally:
        analytics.close()


def _counting(analytics: Analytics, run: Any, **options: Any) -> Counting:
    dead: list[tuple[int, str]] = []
    return Counting(
        analytics, EventWriter(analytics, run, lambda r, why: dead.append((r.offset, why)), **options), dead
    )


def rows_stored(analytics: Analytics) -> tuple[int, int]:
    """(event rows, ledger rows)."""
    found = analytics.frame("SELECT countIf(kind = 'event') AS e, countIf(kind = 'ledger') AS l FROM events").row(0)
    return int(found[0]), int(found[1])


def utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
