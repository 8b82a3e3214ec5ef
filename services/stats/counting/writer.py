"""Exactly once into ClickHouse: one batch, one INSERT, one block, one partition, one part, with its ledger row.

A part is the only thing the engine writes atomically. Neither its word nor its deduplication log is taken for
it: on a full disk it acknowledges parts that are not there, and a crash between the log and the part makes it
drop the retry. So every insert is looked at afterwards (`parts.py`), and replays rest on the ledger alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from services.runtime.batches import AccessBatch, Coverage, Span, decode_access_batch
from services.runtime.clickhouse import Analytics, sql
from services.runtime.consumer import Plan
from services.runtime.errors import Poison, Transient, VoileError
from services.runtime.log.interface import Fenced, Partition, Record
from services.runtime.logs import get_logger
from services.runtime.metrics import STATS_PARTS_BROKEN, STATS_ROWS, Metrics
from services.stats.counting.ledger import Tally, part_of
from services.stats.counting.parts import Look, Parts
from services.stats.counting.pipeline import EVENT_COLUMNS, Events
from services.stats.pseudonyms.active import ACTIVE
from services.stats.store import SQL

__all__ = ["FREE_BYTES_MIN", "EventWriter"]

FREE_BYTES_MIN = 1 << 30  # below it a merge of large parts may fill the disk while it runs
ROWS_PER_BLOCK_MAX = 1_000_000_000  # far above any batch: a batch must never be cut into two blocks
ONE_PART = {
    "max_threads": 1,
    "max_insert_threads": 1,
    "min_insert_block_size_rows": ROWS_PER_BLOCK_MAX,
    "min_insert_block_size_bytes": 0,
    "max_partitions_per_insert_block": 1,
    "async_insert": 0,
}


@dataclass(frozen=True, slots=True)
class _Prepared:
    events: pl.DataFrame
    active: pl.DataFrame
    tally: Tally


@dataclass(slots=True)
class _Stored:
    """What of one log partition is in the store: positions of origins, and the highest offset."""

    coverage: Coverage
    top: int


class EventWriter:
    """The `Sink` of the statistics worker. One loop thread uses it.

    `run` is the pipeline, `lookups` the versions of what it looks things up in. `note_active` gets `Events.active`.
    `dead_letter` is told of each record that cannot be decoded, before its batch is
    stored (at least once, then).
    """

    def __init__(
        self,
        analytics: Analytics,
        run: Callable[[pl.DataFrame], Events],
        dead_letter: Callable[[Record, str], None],
        *,
        lookups: Callable[[], str] = str,
        note_active: Callable[[pl.DataFrame], None] = lambda _active: None,
        metrics: Metrics | None = None,
        free_bytes_min: int = FREE_BYTES_MIN,
    ) -> None:
        self._analytics, self._run, self._dead_letter = analytics, run, dead_letter
        self._parts = Parts(analytics)
        self._metrics = metrics or Metrics()
        self._free_bytes_min = free_bytes_min
        self._merging = True
        self._redone = 0
        self._stored: dict[tuple[str, Partition], _Stored] = {}
        self._lookups, self._note_active = lookups, note_active
        self._log = get_logger()

    @property
    def lookups(self) -> str:
        return self._lookups()

    def ranges(self, topic_id: str, partition: Partition) -> Sequence[tuple[int, int]]:
        """Also reads again what positions are stored: another worker may have had the partition meanwhile."""
        with _engine():
            ranges = self._ranges(topic_id, partition)
            spans = self._analytics.frame(sql(SQL, "list_spans"), _of(topic_id, partition))
        seen = (Span(s["source"], s["origin"], s["first"], s["last"], 0) for s in spans.iter_rows(named=True))
        top = max((last for _, last in ranges), default=-1)
        self._stored[topic_id, partition] = _Stored(Coverage(seen), top)
        return ranges

    def write(self, plan: Plan, records: Sequence[Record]) -> None:
        """See `Sink.write`. A range whose ledger row stands is final, whatever would come out today."""
        with _engine():
            if self._is_final(plan):
                return
            self._pause_on_low_disk()
        self._store(plan, self._prepare(plan, records))

    def skip(self, plan: Plan, reason: str) -> None:
        """A ledger row alone; `reason` is `lost` for what expired, anything else for poison."""
        with _engine():
            if self._is_final(plan):
                return
        count = plan.last - plan.first + 1
        tally = Tally(lost=True) if reason == "lost" else Tally(rejected=count)
        self._store(plan, _nothing(tally))

    def _prepare(self, plan: Plan, records: Sequence[Record]) -> _Prepared:
        batches = list(self._decoded(records))
        if not batches:
            return _nothing(Tally(rejected=len(records)))
        whole = AccessBatch(pl.concat([b.frame for b in batches]), "", [s for b in batches for s in b.spans])
        coverage = self._stored_of(plan).coverage
        new = coverage.keep_new(whole)
        events = self._run(new)
        tally = Tally(
            spans=list(_unseen(coverage, whole.spans)),
            rejected=len(records) - len(batches),
            duplicates=whole.frame.height - new.height,
            suppressed=events.suppressed,
            late=events.late,
        )
        return _Prepared(events.frame, events.active, tally)

    def _decoded(self, records: Sequence[Record]) -> Iterator[AccessBatch]:
        for record in records:
            try:
                yield decode_access_batch(record.value or b"")
            except Poison as error:
                self._dead_letter(record, error.reason)

    def _is_final(self, plan: Plan) -> bool:
        """Above everything stored no ledger row can stand, so none is looked for (10 ms a batch)."""
        if plan.first > self._stored_of(plan).top:
            return False
        overlapping = [r for r in self._ranges(plan.topic_id, plan.partition) if _overlap(r, plan)]
        if overlapping and overlapping != [(plan.first, plan.last)]:
            raise Fenced("Another worker has cut this range of the log otherwise.")
        found = self._parts.look(plan)
        if found is Look.BROKEN:
            self._clear(plan)
        return found is Look.INTACT

    def _ranges(self, topic_id: str, partition: Partition) -> list[tuple[int, int]]:
        found = self._analytics.frame(sql(SQL, "list_ranges"), _of(topic_id, partition))
        return [(int(first), int(last)) for first, last in found.iter_rows()]

    def _stored_of(self, plan: Plan) -> _Stored:
        if (plan.topic_id, plan.partition) not in self._stored:
            self.ranges(plan.topic_id, plan.partition)
        return self._stored[plan.topic_id, plan.partition]

    def _store(self, plan: Plan, prepared: _Prepared) -> None:
        part = part_of(plan, prepared.events, prepared.tally)
        with _engine():
            self._note_active(prepared.active)  # first: a batch that comes again notes the same
            self._insert_verified(plan, part)
        stored = self._stored_of(plan)
        stored.top = max(stored.top, plan.last)
        for span in prepared.tally.spans:
            stored.coverage.add(span)
        self._report(plan, prepared)

    def _insert_verified(self, plan: Plan, part: pl.DataFrame) -> None:
        """Insert, look, and once more when it is not there: the second token is new, because the engine may
        have logged the first one without its part."""
        token = f"{plan.partition.topic}:{plan.partition.number}:{plan.first}-{plan.last}"
        if self._insert(plan, part, token):
            return
        self._clear(plan)
        self._redone += 1
        if not self._insert(plan, part, f"{token}#r{plan.attempt}.{self._redone}"):
            self._clear(plan)
            raise Transient("The statistics store does not keep what it is given; look at its disk.")

    def _insert(self, plan: Plan, part: pl.DataFrame, token: str) -> bool:
        self._analytics.insert("events", part, {**ONE_PART, "insert_deduplication_token": token})
        return self._parts.look(plan, exactly=True) is Look.INTACT

    def _clear(self, plan: Plan) -> None:
        """Nothing of this range may be left before it is written again, not even in a part that cannot be read
        now: a re-attach could bring it back beside the new one."""
        broken = self._parts.drop_broken(plan.ingest_day)
        self._metrics.count(STATS_PARTS_BROKEN, len(broken))
        self._log.warning("broken parts dropped", count=len(broken), first_offset=plan.first, attempt=plan.attempt)
        if self._parts.look(plan) is not Look.ABSENT:
            raise Transient("A merged part of the statistics store is broken; it is being restored.", retry_after_s=30)

    def _report(self, plan: Plan, prepared: _Prepared) -> None:
        tally = prepared.tally
        outcomes = {
            "counted": prepared.events.height - (moved := int(prepared.events["late"].sum())),
            "duplicates": tally.duplicates,
            "suppressed": tally.suppressed,
            "late": moved + tally.late,
            "rejected": tally.rejected,
        }
        for outcome, count in outcomes.items():
            self._metrics.count(STATS_ROWS, count, outcome=outcome)
        self._log.info("rows counted", **_numbers(plan, prepared))

    def _pause_on_low_disk(self) -> None:
        """Merges stop too: one that runs out of space can replace good parts by a broken one."""
        enough = self._parts.free_bytes() >= self._free_bytes_min
        if enough != self._merging:
            self._parts.pause_merges(not enough)
            self._merging = enough
        if not enough:
            raise Transient("The disk of the statistics store is nearly full; free some space.", retry_after_s=30)


def _nothing(tally: Tally) -> _Prepared:
    """A ledger row alone."""
    return _Prepared(pl.DataFrame(schema=EVENT_COLUMNS), pl.DataFrame(schema=ACTIVE), tally)


def _of(topic_id: str, partition: Partition) -> dict[str, object]:
    return {"topic_id": topic_id, "log_partition": partition.number}


def _overlap(found: tuple[int, int], plan: Plan) -> bool:
    return found[0] <= plan.last and found[1] >= plan.first


class _engine:
    """Any failure of the engine means: the same plan again. Its text may quote values, so it is not kept."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, VoileError):
            raise Transient(f"The statistics store does not answer ({type(error).__name__}).") from None


def _unseen(coverage: Coverage, spans: Sequence[Span]) -> Iterator[Span]:
    """What of `spans` this part is the first to hold. Only that may stand in its ledger row: were the part
    that holds the rest lost, its repair must not take the rest for stored."""
    here = Coverage()
    for span in spans:
        seen = sorted([*coverage.overlaps(span), *here.overlaps(span)])
        at = span.first
        for first, last in seen:
            if at < first:
                yield Span(span.source, span.origin, at, first - 1, 0)
            at = max(at, last + 1)
        if at <= span.last:
            yield Span(span.source, span.origin, at, span.last, 0)
        here.add(span)


def _numbers(plan: Plan, prepared: _Prepared) -> dict[str, object]:
    tally = prepared.tally
    return {
        "topic": plan.partition.topic,
        "partition": plan.partition.number,
        "first_offset": plan.first,
        "last_offset": plan.last,
        "attempt": plan.attempt,
        "rows": prepared.events.height,
        "duplicates": tally.duplicates,
        "rejected": tally.rejected,
        "late": tally.late,
        "lost": tally.lost,
    }
