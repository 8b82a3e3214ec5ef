"""What came of each source, by blocks of five minutes: exact counts for whoever watches the senders.

Lines are counted in the transaction that marks them as taken, so that after any crash the blocks still add up to
what senders and imports were told. Refused requests are counted in memory first: anybody can send those, and a
transaction for each would be theirs to ask for.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from services.ingest.accounting import Outcome
from services.ingest.records import source_counts, sources
from services.runtime.database import transaction

__all__ = ["ACCEPTED", "BLOCK", "DUPLICATES", "TERM", "Count", "Refusals", "SourceCounts", "Tally", "block_of", "count"]

BLOCK = timedelta(minutes=5)  # what the collection page shows; shorter ones would begin to show single visits
TERM = timedelta(days=14)  # of a block: two weeks are enough to compare a day with the one a week before
ACCEPTED, DUPLICATES = "accepted", "duplicates"

# One statement for both databases. It makes no row for a source that nobody declared, whoever names it.
_ADD = sa.text(
    "INSERT INTO source_counts (source, block, outcome, count, reported) "
    "SELECT name, CAST(:block AS TEXT), CAST(:outcome AS TEXT), CAST(:count AS BIGINT), 0 "
    "FROM sources WHERE name = :source "
    "ON CONFLICT (source, block, outcome) DO UPDATE SET count = source_counts.count + excluded.count"
)


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of lines of `source` that were taken at `at`."""

    source: str
    outcome: Outcome
    at: datetime


@dataclass(frozen=True, slots=True)
class Count:
    """One outcome of a source in the block that began at `block`, so far."""

    source: str
    tenant: str
    block: datetime
    outcome: str
    count: int


def block_of(at: datetime) -> datetime:
    """When the block began that `at` (UTC) lies in."""
    return at - (at - datetime.min.replace(tzinfo=at.tzinfo)) % BLOCK


def count(connection: sa.Connection, tallies: Sequence[Tally]) -> None:
    """Within the transaction of whoever took the lines."""
    found: Counter[tuple[str, str, str]] = Counter()
    for tally in tallies:
        for outcome, lines in _by_outcome(tally.outcome):
            found[tally.source, block_of(tally.at).isoformat(), outcome] += lines
    _add(connection, found)


def _by_outcome(outcome: Outcome) -> list[tuple[str, int]]:
    rejected = [(f"rejected:{reason}", lines) for reason, lines in outcome.rejected.items()]
    return [(ACCEPTED, outcome.accepted), (DUPLICATES, outcome.duplicates), *rejected]


def _add(connection: sa.Connection, found: Mapping[tuple[str, str, str], int]) -> None:
    names = ("source", "block", "outcome")
    # sorted: two processes that add to the same rows must not wait for each other crosswise
    rows = [dict(zip(names, key, strict=True), count=n) for key, n in sorted(found.items()) if n]
    if rows:
        connection.execute(_ADD, rows)


class Refusals:
    """Requests that were refused since they were last taken out, by source, block and code. Thread safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: Counter[tuple[str, str, str]] = Counter()

    def add(self, source: str, code: str, at: datetime) -> None:
        """`source` is a declared one, or empty where nobody can tell whose request it was: that is not kept."""
        if source:
            with self._lock:
                self._found[source, block_of(at).isoformat(), f"refused:{code}"] += 1

    def take(self) -> Mapping[tuple[str, str, str], int]:
        with self._lock:
            found, self._found = self._found, Counter()
            return found

    def put_back(self, found: Mapping[tuple[str, str, str], int]) -> None:
        with self._lock:
            self._found.update(found)


class SourceCounts:
    """The blocks in ingest's records. Every method is one transaction; raises `Transient`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, *tallies: Tally) -> None:
        """For lines that no claim marks as taken: those that were taken before, and those without a claim."""
        with transaction(self._engine) as connection:
            count(connection, tallies)

    def add_refusals(self, refusals: Refusals) -> None:
        found = refusals.take()
        if not found:
            return
        try:
            with transaction(self._engine) as connection:
                _add(connection, found)
        except BaseException:
            refusals.put_back(found)
            raise

    def unreported(self, rows_max: int) -> Sequence[Count]:
        """What changed since it was reported, oldest first."""
        columns = (
            source_counts.c.source,
            sources.c.tenant,
            *(source_counts.c[n] for n in ("block", "outcome", "count")),
        )
        query = sa.select(*columns).join_from(source_counts, sources)
        changed = query.where(source_counts.c.count != source_counts.c.reported)
        with transaction(self._engine) as connection:
            rows = connection.execute(changed.order_by(source_counts.c.block).limit(rows_max)).all()
        return [Count(s, t, datetime.fromisoformat(b), o, n) for s, t, b, o, n in rows]

    def mark_reported(self, counts: Sequence[Count]) -> None:
        """Up to these counts; what was added meanwhile is still to be reported."""
        keys = ("source", "block", "outcome")
        mine = [source_counts.c[key] == sa.bindparam(f"its_{key}") for key in keys]
        done = source_counts.update().where(*mine).values(reported=sa.bindparam("sent"))
        rows = [
            {"its_source": c.source, "its_block": c.block.isoformat(), "its_outcome": c.outcome, "sent": c.count}
            for c in counts
        ]
        if rows:
            with transaction(self._engine) as connection:
                connection.execute(done, rows)

    def forget(self, now: datetime) -> int:
        """Delete blocks past their term."""
        over = source_counts.c.block < (now - TERM).isoformat()
        with transaction(self._engine) as connection:
            return connection.execute(source_counts.delete().where(over)).rowcount
