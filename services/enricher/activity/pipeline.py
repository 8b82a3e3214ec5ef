"""Links authenticated accesses to their person: poll -> decode -> absorb_duplicates -> keep_authenticated ->
drop_suppressed -> resolve_tenant_policy -> drop_expired -> seal -> insert -> commit.

Steps are functions frame -> frame; one write is one SQL transaction with the blocks, the ledger row and
the spans, so a crash loses and doubles nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import polars as pl
import sqlalchemy as sa
import zstandard

from services.enricher import records
from services.enricher.activity import blocks as activity
from services.enricher.activity.dead_letters import DeadLetters
from services.enricher.activity.ledger import COUNTS, Ledger
from services.enricher.persons.directory import Directory
from services.enricher.persons.vault import PersonKey, nonces
from services.enricher.rights.ordering import SignalsMoved, departed, in_order, require_current
from services.enricher.rights.signals import Signals
from services.enricher.tenants.registry import Registry, Tenant
from services.runtime import avro
from services.runtime.batches import AccessBatch, BatchHeader, Coverage, decode_access_batch, read_batch_header
from services.runtime.clock import Clock
from services.runtime.consumer import Plan
from services.runtime.database import transaction
from services.runtime.errors import Poison
from services.runtime.log.interface import Partition, Record
from services.runtime.logs import get_logger
from services.runtime.metrics import IDENTITY_ROWS, Metrics
from services.runtime.retention.terms import GONE

__all__ = [
    "GROUP",
    "LinkedActivity",
    "drop_expired",
    "drop_suppressed",
    "keep_authenticated",
    "resolve_tenant_policy",
]

GROUP = "enricher"
_LOOKUPS = "identity/1"  # no row depends on a versioned look-up; the number is the format's
Persons = Mapping[tuple[str, str], PersonKey]


@dataclass(frozen=True, slots=True)
class _Decoded:
    """What the records of one plan hold, in order: (offset, batch); how many could not be read; and how many rows
    stand in batches that name nobody, which come without their rows."""

    batches: Sequence[tuple[int, AccessBatch]]
    rejected: int
    nameless: int


class LinkedActivity:
    """The enricher's `Sink`: sealed blocks, one SQL transaction a plan."""

    def __init__(
        self,
        *,
        engine: sa.Engine,
        directory: Directory,
        blocks: activity.Activity,
        registry: Registry,
        signals: Signals,
        dead_letters: DeadLetters,
        clock: Clock,
        metrics: Metrics,
        linked_days: int,
    ) -> None:
        """`linked_days` is the operator's ceiling on how long linked activity is kept."""
        self._engine = engine
        self._directory = directory
        self._blocks = blocks
        self._registry = registry
        self._signals = signals
        self._dead_letters = dead_letters
        self._clock = clock
        self._metrics = metrics
        self._linked_days = linked_days
        self._ledger = Ledger(engine, clock)
        self._coverage: dict[tuple[str, Partition], Coverage] = {}
        self._compressor = zstandard.ZstdCompressor(level=activity.ZSTD_LEVEL)

    @property
    def lookups(self) -> str:
        return _LOOKUPS

    def prepare(self) -> None:
        """Before each batch: honour every signal and every tenant's word given by now. Raises `Transient`."""
        self._signals.follow()
        self._registry.follow()

    def ranges(self, topic_id: str, partition: Partition) -> Sequence[tuple[int, int]]:
        """Also forgets what this process believed it saw of the partition: another member may have had it since."""
        self._coverage.pop((topic_id, partition), None)
        return self._ledger.ranges(topic_id, partition)

    def write(self, plan: Plan, taken: Sequence[Record]) -> None:
        with transaction(self._engine) as connection:
            if self._ledger.stands(connection, plan):
                return
        coverage = self._covered(plan)
        decoded = self._decode(taken, coverage)
        try:
            counts = self._link(plan, decoded, coverage)
        except BaseException:
            self._coverage.pop((plan.topic_id, plan.partition), None)  # it claims rows that are not stored
            raise
        for outcome in COUNTS[1:]:
            self._metrics.count(IDENTITY_ROWS, counts.get(outcome, 0), outcome=outcome)
        get_logger().info(
            "linked", topic=plan.partition.topic, partition=plan.partition.number, first_offset=plan.first,
            last_offset=plan.last, attempt=plan.attempt, rows=counts["rows"], accepted=counts["linked"],
            duplicates=counts["duplicates"], rejected=counts["rejected"],
        )  # fmt: skip

    def skip(self, plan: Plan, reason: str) -> None:
        with transaction(self._engine) as connection:
            if not self._ledger.stands(connection, plan):
                self._ledger.write(connection, plan, {"rejected": plan.last - plan.first + 1}, skipped=reason)

    def _link(self, plan: Plan, decoded: _Decoded, coverage: Coverage) -> dict[str, int]:
        rows = sum(batch.frame.height for _, batch in decoded.batches)
        fresh = absorb_duplicates(coverage, [batch for _, batch in decoded.batches])
        counts = {
            "rows": rows + decoded.nameless,
            "duplicates": rows - fresh.height,
            "rejected": decoded.rejected,
        }

        def store() -> dict[str, int]:
            frame, dropped = _run(self._steps(), fresh)
            dropped["unauthenticated"] += decoded.nameless
            total = {**counts, **dropped, "linked": frame.height}
            self._store(plan, frame, total, decoded)
            return total

        return in_order(self._signals, self._clock, store)

    def _steps(self) -> Sequence[tuple[str, Callable[[pl.DataFrame], pl.DataFrame]]]:
        """(what the rows that the step drops are counted as, step)."""
        tenants = self._registry.all()
        return [
            ("unauthenticated", keep_authenticated),
            ("suppressed", partial(drop_suppressed, suppressions=self._signals.suppressions)),
            ("suppressed", partial(resolve_tenant_policy, tenants=tenants, linked_days=self._linked_days)),
            ("expired", partial(drop_expired, today=self._clock.now().date())),
        ]

    def _store(self, plan: Plan, frame: pl.DataFrame, counts: Mapping[str, int], decoded: _Decoded) -> None:
        """Persons and numbers first, in a transaction of their own, so that sealing holds no lock; an unused
        number or a person without activity is harmless."""
        packed = activity.pack(frame)
        with transaction(self._engine) as connection:
            require_current(connection, self._signals)
            self._refuse_departed(connection, packed)
            persons = self._directory.ensure(connection, _accounts(packed))
            number = records.reserve(connection, records.BLOCK_NUMBERS, packed.height)
        blocks = self._seal(packed, persons, number)
        with transaction(self._engine) as connection:
            require_current(connection, self._signals)
            self._refuse_departed(connection, packed)
            if not self._ledger.stands(connection, plan):
                self._ledger.write(connection, plan, counts, decoded.batches)
                self._blocks.insert(connection, blocks)

    def _refuse_departed(self, connection: sa.Connection, packed: pl.DataFrame) -> None:
        """A tenant left since the registry was followed: it is followed, and the batch decided again."""
        if departed(connection, packed["tenant"].unique().to_list()):
            self._registry.follow()
            raise SignalsMoved

    def _seal(self, packed: pl.DataFrame, persons: Persons, number: int) -> list[activity.Block]:
        blocks = []
        fresh = nonces(packed.height)
        for block, (tenant, account, day, expires, rows, text) in enumerate(packed.iter_rows(), number):
            key = persons[tenant, account]
            compressed = self._compressor.compress(text.encode())
            sealed = activity.seal(key, tenant, block, day, compressed, nonce=next(fresh))
            blocks.append(activity.Block(block, tenant, key.subject, day, expires, rows, sealed))
        return blocks

    def _decode(self, taken: Sequence[Record], coverage: Coverage) -> _Decoded:
        """No row of a batch that names nobody can be linked, so none is decoded. One that repeats something is,
        to tell repeated rows from unauthenticated ones."""
        batches: list[tuple[int, AccessBatch]] = []
        here, nameless = Coverage(), 0
        for record in taken:
            value = record.value or b""
            try:
                header = read_batch_header(value)
                whole = header.accounts != 0 or _repeats(header, coverage, here)
                batch = decode_access_batch(value) if whole else _without_rows(header)
            except Poison as error:
                self._dead_letters.write(record, error.reason)
                continue
            batches.append((record.offset, batch))
            nameless += 0 if whole else header.rows
            for span in header.spans:
                here.add(span)
        return _Decoded(batches, len(taken) - len(batches), nameless)

    def _covered(self, plan: Plan) -> Coverage:
        key = (plan.topic_id, plan.partition)
        if key not in self._coverage:
            self._coverage[key] = self._ledger.coverage(plan.topic_id, plan.partition)
        return self._coverage[key]


def _repeats(header: BatchHeader, *seen: Coverage) -> bool:
    """True when any of its positions was seen, or comes twice in it."""
    here = Coverage()
    for span in header.spans:
        if any(coverage.overlaps(span) for coverage in (*seen, here)):
            return True
        here.add(span)
    return False


def _without_rows(header: BatchHeader) -> AccessBatch:
    return AccessBatch(avro.empty_frame("access_log"), header.source, header.spans)


def absorb_duplicates(coverage: Coverage, batches: Sequence[AccessBatch]) -> pl.DataFrame:
    """The rows of `batches` (in log order) that `coverage` does not hold yet; adds their spans to it."""
    fresh = [avro.empty_frame("access_log")]
    for batch in batches:
        fresh.append(coverage.keep_new(batch))
        for span in batch.spans:
            coverage.add(span)
    return pl.concat(fresh)


def keep_authenticated(frame: pl.DataFrame) -> pl.DataFrame:
    """Only accesses whose account a trusted source asserted; ingest leaves it null for all others."""
    return frame.filter(pl.col("account").is_not_null())


def drop_suppressed(frame: pl.DataFrame, suppressions: pl.DataFrame) -> pl.DataFrame:
    """Without what a restriction, an erasure or an objection to linking covers.

    An erasure covers what happened *or came* up to its cut-off: a server's clock that runs ahead must not
    carry an erased person's access over it.
    """
    if suppressions.is_empty():
        return frame
    earliest = pl.min_horizontal("timestamp", "received_at")
    joined = frame.join(suppressions, on=["tenant", "account"], how="left", maintain_order="left")
    return joined.filter(pl.col("until").is_null() | (earliest > pl.col("until"))).drop("until")


def resolve_tenant_policy(frame: pl.DataFrame, tenants: Sequence[Tenant], linked_days: int) -> pl.DataFrame:
    """Adds `expires`: the first day (UTC) on which the row may not be kept, by the tenant's term for linked
    activity within the operator's ceiling. Drops what comes of a tenant that has left."""
    gone = [tenant.tenant for tenant in tenants if tenant.status in GONE]
    terms = {tenant.tenant: min(tenant.retention.get("linked", linked_days), linked_days) for tenant in tenants}
    days = pl.col("tenant").replace_strict(terms, default=linked_days, return_dtype=pl.Int32)
    expires = (pl.col("timestamp").dt.date().cast(pl.Int32) + days + 1).cast(pl.Date)
    return frame.filter(~pl.col("tenant").is_in(gone)).with_columns(expires=expires)


def drop_expired(frame: pl.DataFrame, today: date) -> pl.DataFrame:
    """Without what would have to be deleted at once: an old log imported late."""
    return frame.filter(pl.col("expires") > today)


def _run(
    steps: Sequence[tuple[str, Callable[[pl.DataFrame], pl.DataFrame]]], frame: pl.DataFrame
) -> tuple[pl.DataFrame, dict[str, int]]:
    """(what is left, how many rows each kind of step dropped)."""
    dropped = dict.fromkeys((kind for kind, _ in steps), 0)
    for kind, step in steps:
        before = frame.height
        frame = step(frame)
        dropped[kind] += before - frame.height
    return frame, dropped


def _accounts(packed: pl.DataFrame) -> list[tuple[str, str]]:
    return packed.select("tenant", "account").unique(maintain_order=True).rows()
