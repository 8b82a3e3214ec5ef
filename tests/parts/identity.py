"""An identity plane on a folder of its own, and accesses to feed it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from services.enricher import records
from services.enricher.service import Identity, open_identity
from services.enricher.tenants.registry import Tenant
from services.runtime import avro
from services.runtime.batches import AccessBatch, Span, encode_access_batch
from services.runtime.clock import Clock, FixedClock
from services.runtime.log.interface import Message
from services.runtime.settings import Settings
from services.runtime.stop import Stop
from services.runtime.topics import TOPICS

__all__ = [
    "MEMBER",
    "NOON",
    "TENANT",
    "access",
    "apply_accounts",
    "batch",
    "count",
    "forget_everything",
    "ledger_total",
    "link",
    "linked",
    "linked_removed",
    "opened",
    "send",
    "start_plane",
    "stop_now",
]

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
TENANT = "chess-club"
MEMBER = "test-member"
Row = Mapping[str, Any]


def records_url() -> str:
    """Replaced where the same tests run on another database."""
    return "sqlite:///identity.db"


def forget_everything() -> None:
    """Nothing to do: every folder holds records of its own. Replaced where all folders share one database."""


def settings_of(data: Path) -> Settings:
    """Replaced where a plane runs on another event log, too."""
    return Settings.model_validate({"data": data, "identity": {"records": records_url()}})


def start_plane(data: Path, clock: Clock | None = None) -> Identity:
    identity = open_identity(settings_of(data), clock or FixedClock(NOON))
    if identity.registry.get(TENANT) is None:
        identity.registry.add(Tenant(TENANT, "Chess Club", NOON, hosts=("www.chess.example",)))
    return identity


@contextlib.contextmanager
def opened(data: Path, clock: Clock | None = None) -> Iterator[Identity]:
    identity = start_plane(data, clock)
    try:
        yield identity
    finally:
        identity.close()


def access(account: str | None, path: str = "/", *, at: datetime = NOON, **more: Any) -> Row:
    """One access, a second before `at` was received."""
    row = {
        "timestamp": _naive(at - timedelta(seconds=1)),
        "received_at": _naive(at),
        "tenant": TENANT,
        "site": "www.chess.example",
        "source": "web",
        "client_address": "203.0.113.7",
        "account": account,
        "user_agent": "Mozilla/5.0",
        "method": "GET",
        "path": path,
        "status": 200,
    }
    return row | more


def batch(rows: Sequence[Row], *, origin: str = "file-1", first: int = 0, source: str = "web") -> AccessBatch:
    """`rows` at consecutive positions from `first` on."""
    columns = avro.columns("access_log")
    placed = [{"position": first + number, **row} for number, row in enumerate(rows)]
    frame = pl.DataFrame(placed, schema=dict(columns))
    return AccessBatch(frame, source, [Span(source, origin, first, first + len(rows) - 1, len(rows))])


def send(identity: Identity, *batches: AccessBatch | bytes) -> None:
    """Bytes go as they are: a damaged batch."""
    values = [b if isinstance(b, bytes) else encode_access_batch(b) for b in batches]
    identity.log.send([Message(TOPICS["access-log"].name, b"web", value) for value in values])


def link(identity: Identity) -> None:
    """Link everything that is in the log, as the service does."""
    linker = identity.linker(MEMBER)
    try:
        while linker.step(0):
            pass
    finally:
        linker.close()


def apply_accounts(identity: Identity) -> None:
    feed = identity.account_feed(MEMBER)
    try:
        while feed.step(0):
            pass
    finally:
        feed.close()


def linked(identity: Identity, account: str, tenant: str = TENANT) -> list[str]:
    """The paths of this person's activity, oldest first."""
    paths: list[str] = []
    for subject in identity.directory.find(tenant, "account", account):
        frame = identity.activity.read(subject, NOON - timedelta(days=400), NOON + timedelta(days=400))
        paths += frame["path"].to_list()[::-1]
    return paths


def linked_removed(identity: Identity) -> int:
    """How many linked accesses a round of retention takes away now."""
    return sum(line.removed for line in identity.retention.run() if line.kind == "linked")


def count(identity: Identity, table: sa.Table) -> int:
    with identity.engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def ledger_total(identity: Identity) -> dict[str, int]:
    table = records.ledger
    names = [c.name for c in table.c if isinstance(c.type, sa.BigInteger) and "offset" not in c.name]
    with identity.engine.connect() as connection:
        row = connection.execute(sa.select(*(sa.func.sum(table.c[name]) for name in names))).one()
    return {name: int(value or 0) for name, value in zip(names, row, strict=True) if name != "written_ms"}


def stop_now() -> Stop:
    stop = Stop()
    stop.set()
    return stop


def _naive(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None)
