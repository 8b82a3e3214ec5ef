"""What became of every offset of `access-log.v1`: rows that commit with the blocks they account for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import sqlalchemy as sa

from services.enricher import records
from services.runtime.batches import AccessBatch, Coverage, Span
from services.runtime.clock import Clock
from services.runtime.consumer import Plan
from services.runtime.database import transaction
from services.runtime.log.interface import EventLog, Fenced, Partition
from services.runtime.topics import TOPICS

__all__ = ["COUNTS", "KEPT", "Ledger"]

# rows = linked + duplicates + unauthenticated + suppressed + expired; rejected counts records.
COUNTS = ("rows", "linked", "duplicates", "unauthenticated", "suppressed", "expired", "rejected")
_RAW_HOURS = TOPICS["access-log"].kept_hours or 0
KEPT = timedelta(hours=_RAW_HOURS, days=1)  # the raw topic's term and a day: after it nothing can be replayed


class Ledger:
    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def ranges(self, topic_id: str, partition: Partition) -> list[tuple[int, int]]:
        """Closed offset ranges, sorted."""
        table = records.ledger
        query = sa.select(table.c.first_offset, table.c.last_offset).where(*_of(table, topic_id, partition))
        with transaction(self._engine) as connection:
            rows = connection.execute(query.order_by(table.c.first_offset))
            return [(row.first_offset, row.last_offset) for row in rows]

    def coverage(self, topic_id: str, partition: Partition) -> Coverage:
        """What the batches of this partition covered, whoever wrote them."""
        table = records.spans
        columns = (table.c.source, table.c.origin, table.c.first, table.c.last, table.c.rows)
        query = sa.select(*columns).where(*_of(table, topic_id, partition))
        with transaction(self._engine) as connection:
            return Coverage(Span(*row) for row in connection.execute(query))

    def stands(self, connection: sa.Connection, plan: Plan) -> bool:
        """True when exactly this range is written. Raises `Fenced` when another member cut it differently."""
        table = records.ledger
        overlapping = (table.c.first_offset <= plan.last, table.c.last_offset >= plan.first)
        query = sa.select(table.c.first_offset, table.c.last_offset)
        found = connection.execute(query.where(*_of(table, plan.topic_id, plan.partition), *overlapping)).all()
        if any((row.first_offset, row.last_offset) != (plan.first, plan.last) for row in found):
            raise Fenced("Another member has written a part of this range; this one starts again from the ledger.")
        return bool(found)

    def write(
        self,
        connection: sa.Connection,
        plan: Plan,
        counts: Mapping[str, int],
        batches: Sequence[tuple[int, AccessBatch]] = (),
        skipped: str = "",
    ) -> None:
        """The plan's row, and the spans of its `batches` (with their offsets)."""
        now = int(self._clock.now().timestamp() * 1000)
        place = {"topic_id": plan.topic_id, "partition": plan.partition.number}
        row = {
            **place,
            "first_offset": plan.first,
            "last_offset": plan.last,
            "ingest_day": plan.ingest_day,
            "lookups": plan.lookups,
            **{name: counts.get(name, 0) for name in COUNTS},
            "skipped": skipped,
            "written_ms": now,
        }
        connection.execute(sa.insert(records.ledger), row)
        records.add_to_counter(connection, records.EVENTS_LINKED, counts.get("linked", 0))
        spans = [
            {**place, "log_offset": offset, "ordinal": ordinal, "written_ms": now, **_span(span)}
            for offset, batch in batches
            for ordinal, span in enumerate(batch.spans)
        ]
        if spans:
            connection.execute(sa.insert(records.spans), spans)

    def events_linked(self) -> int:
        """Rows ever linked, also those that were deleted since."""
        table = records.counters
        query = sa.select(table.c.value).where(table.c.name == records.EVENTS_LINKED)
        with transaction(self._engine) as connection:
            return connection.execute(query).scalar() or 0

    def forget(self, log: EventLog) -> int:
        """Delete what is past KEPT *and* no longer in the log, but for each partition's newest ledger row; returns
        how many rows. As long as the log has a record it could be read again, so what became of it must be known."""
        before = int((self._clock.now() - KEPT).timestamp() * 1000)
        name = TOPICS["access-log"].name
        topic_id = log.topic_id(name)
        return sum(self._forget(topic_id, part, log.offsets(part)[0], before) for part in log.partitions(name))

    def _forget(self, topic_id: str, partition: Partition, first_kept: int, before: int) -> int:
        ledger, spans = records.ledger, records.spans
        newest = sa.select(sa.func.max(ledger.c.first_offset)).where(*_of(ledger, topic_id, partition))
        old_spans = (spans.c.log_offset < first_kept, spans.c.written_ms < before)
        old_rows = (ledger.c.last_offset < first_kept, ledger.c.written_ms < before)
        but_newest = ledger.c.first_offset < newest.scalar_subquery()
        with transaction(self._engine) as connection:
            gone = connection.execute(sa.delete(spans).where(*_of(spans, topic_id, partition), *old_spans)).rowcount
            old = sa.delete(ledger).where(*_of(ledger, topic_id, partition), *old_rows, but_newest)
            return gone + connection.execute(old).rowcount


def _of(table: sa.Table, topic_id: str, partition: Partition) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.topic_id == topic_id, table.c.partition == partition.number


def _span(span: Span) -> dict[str, object]:
    return {
        "source": span.source,
        "origin": span.origin,
        "first": span.first,
        "last": span.last,
        "rows": span.rows,
    }
