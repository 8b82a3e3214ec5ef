"""The consumer loop: plan, write as one part with its ledger row, verify, commit; repair on assignment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from services.runtime.log.interface import Partition, Record

__all__ = ["BatchPolicy", "Plan", "Sink"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is about to be written: committed to the log before the first byte goes to the store, so that
    after a crash the same range is cut again. `lookups` names the versions of the look-up data in force."""

    partition: Partition
    topic_id: str
    first: int
    last: int
    ingest_day: date
    lookups: str
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """How much goes into one write, at most."""

    records_max: int = 64
    bytes_max: int = 16 * 1024 * 1024
    wait_s: float = 0.25


class Sink(Protocol):
    """Where a loop writes. Implemented by the statistics worker (one ClickHouse part) and the enricher
    (one SQL transaction)."""

    @property
    def lookups(self) -> str:
        """Version of every look-up that a row depends on."""
        ...

    def ranges(self, topic_id: str, partition: Partition) -> Sequence[tuple[int, int]]:
        """The ledger's closed offset ranges, sorted; they must tile without gaps."""
        ...

    def write(self, plan: Plan, records: Sequence[Record]) -> None:
        """Store the rows of `records` and the ledger row of `plan` atomically, and verify.

        Final is final: when a ledger row with this exact range stands and is intact, nothing is done.
        A record that cannot be decoded is dead-lettered by its reason and counted as rejected in the
        ledger row. Raises `Transient` (retry the same plan).
        """
        ...

    def skip(self, plan: Plan, reason: str) -> None:
        """Write only a ledger row: the range expired in the log (`lost`) or its one record is poison."""
        ...
