"""A small real sink for tests of the loop: rows and their ledger row in one SQLite transaction.

It promises exactly as much as the ClickHouse part does: the rows and the ledger row are one, an insert of
the very same range is dropped (ClickHouse: the token), and other overlaps are only looked for beforehand.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from services.runtime.errors import Poison
from services.runtime.log.interface import Fenced, Partition, Record
from services.runtime.plans import Plan

__all__ = ["POISON", "CountingSink"]

POISON = b"poison"  # a record with this value can never be stored

_SCHEMA = """
CREATE TABLE IF NOT EXISTS rows (topic TEXT, value TEXT);
CREATE TABLE IF NOT EXISTS ledger (
  topic_id TEXT, topic TEXT, number INT, first INT, last INT, rows INT, day TEXT, attempt INT, reason TEXT,
  UNIQUE (topic_id, number, first, last)
);
"""


class CountingSink:
    """Two of them, in one process or two, may share a file. `before_insert` runs between look and insert."""

    lookups = "test-1"

    def __init__(self, path: Path, before_insert: Callable[[], None] = lambda: None) -> None:
        self.before_insert = before_insert
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=20, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.executescript(_SCHEMA)

    def ranges(self, topic_id: str, partition: Partition) -> Sequence[tuple[int, int]]:
        return self._connection.execute(
            "SELECT first, last FROM ledger WHERE topic_id = ? AND number = ? ORDER BY first",
            (topic_id, partition.number),
        ).fetchall()

    def write(self, plan: Plan, records: Sequence[Record]) -> None:
        if any(record.value == POISON for record in records):
            raise Poison("planted")
        self._store(plan, [(plan.partition.topic, (r.value or b"").decode()) for r in records], "")

    def skip(self, plan: Plan, reason: str) -> None:
        self._store(plan, [], reason)

    def values(self) -> list[str]:
        return [value for (value,) in self._connection.execute("SELECT value FROM rows ORDER BY value")]

    def ledger(self, columns: str = "first, last, reason") -> list[tuple[object, ...]]:
        return self._connection.execute(f"SELECT {columns} FROM ledger ORDER BY number, first").fetchall()

    def lose(self, first: int) -> None:
        """Damage: forget the ledger row that begins at `first`, and (the test's values are numbers) its rows."""
        for a, b in self._connection.execute("SELECT first, last FROM ledger WHERE first = ?", (first,)).fetchall():
            wanted = [(str(n),) for n in range(a, b + 1)]
            self._connection.executemany("DELETE FROM rows WHERE value = ?", wanted)
            self._connection.execute("DELETE FROM ledger WHERE first = ?", (a,))

    def close(self) -> None:
        self._connection.close()

    def _store(self, plan: Plan, rows: Sequence[tuple[str, str]], reason: str) -> None:
        if self._is_final(plan):
            return
        self.before_insert()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            if self._take(plan, len(rows), reason):
                self._connection.executemany("INSERT INTO rows VALUES (?, ?)", rows)
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _is_final(self, plan: Plan) -> bool:
        standing = [(a, b) for a, b in self.ranges(plan.topic_id, plan.partition) if a <= plan.last and b >= plan.first]
        if standing and standing != [(plan.first, plan.last)]:
            raise Fenced("the range was cut otherwise")
        return bool(standing)

    def _take(self, plan: Plan, rows: int, reason: str) -> bool:
        """False when the very same range is there already."""
        inserted = self._connection.execute(
            "INSERT OR IGNORE INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (plan.topic_id, *plan.partition, plan.first, plan.last, rows, str(plan.ingest_day), plan.attempt, reason),
        )
        return inserted.rowcount == 1
