"""Applies `account.v1` to the directory: at least once, which is enough because the newest word wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from services.enricher.activity.dead_letters import DeadLetters
from services.enricher.persons.accounts import change_of
from services.enricher.persons.directory import AccountChange, Directory
from services.enricher.rights.ordering import in_order
from services.enricher.rights.signals import Signals
from services.runtime.clock import Clock
from services.runtime.errors import Poison, Transient
from services.runtime.log.interface import EventLog, Fenced, Partition, Record
from services.runtime.logs import get_logger
from services.runtime.metrics import IDENTITY_ACCOUNTS, Metrics
from services.runtime.stop import Stop
from services.runtime.topics import TOPICS

__all__ = ["GROUP", "AccountFeed"]

GROUP = "enricher-accounts"  # apart from "enricher": one group, one set of topics
RECORDS_MAX = 1000  # of one transaction
WAIT_S = 0.25
_TOPIC = TOPICS["account"].name


class AccountFeed:
    """One member of the group that reads `account.v1`."""

    def __init__(
        self,
        *,
        log: EventLog,
        directory: Directory,
        signals: Signals,
        dead_letters: DeadLetters,
        clock: Clock,
        metrics: Metrics,
        member: str,
    ) -> None:
        self._log = log
        self._directory = directory
        self._signals = signals
        self._dead_letters = dead_letters
        self._clock = clock
        self._metrics = metrics
        self._consumer = log.consumer(GROUP, [_TOPIC], member)
        self._pending: Sequence[Record] = ()

    def run(self, stop: Stop) -> None:
        """Until stopped; what fails for now is tried again."""
        while not stop.is_set:
            try:
                self.step(WAIT_S)
            except Transient as error:
                get_logger().warning("accounts wait", reason=str(error), retry_after_s=error.retry_after_s)
                stop.wait(error.retry_after_s)
            except Fenced:
                self._pending = ()  # the partition is another member's now
        self.close()

    def step(self, timeout_s: float) -> bool:
        """Apply what came; True when there was something. Raises `Transient`, then the same records come again."""
        for partition in self._consumer.take_assigned():
            self._resume(partition)
        self._pending = self._pending or self._consumer.poll(RECORDS_MAX, timeout_s)
        if not self._pending:
            return False
        applied = self._apply(self._pending)
        for partition, offset in _ends(self._pending).items():
            self._consumer.commit(partition, offset)
        self._metrics.count(IDENTITY_ACCOUNTS, applied)
        get_logger().info("accounts applied", rows=len(self._pending), accepted=applied)
        self._pending = ()
        return True

    def close(self) -> None:
        self._consumer.close()

    def _resume(self, partition: Partition) -> None:
        committed = self._consumer.committed(partition)
        first, _ = self._log.offsets(partition)
        self._consumer.resume(partition, max(committed.offset, first) if committed else first)

    def _apply(self, batch: Sequence[Record]) -> int:
        changes = [change for record in batch if (change := self._decoded(record)) is not None]

        def put() -> int:
            erased = self._signals.erased_until()
            return self._directory.put(self._signals, [c for c in changes if not _is_erased(c, erased)])

        return in_order(self._signals, self._clock, put)

    def _decoded(self, record: Record) -> AccountChange | None:
        try:
            return change_of(record)
        except Poison as error:
            self._dead_letters.write(record, error.reason)
            return None


def _is_erased(change: AccountChange, erased: Mapping[tuple[str, str], datetime]) -> bool:
    """What was said before the erasure must not bring the person back, nor make somebody become them; a tombstone
    brings nobody back."""
    cutoffs = [erased.get((change.tenant, name)) for name in (change.account, change.merged_into) if name]
    return change.profile is not None and any(cutoff is not None and change.at <= cutoff for cutoff in cutoffs)


def _ends(batch: Sequence[Record]) -> dict[Partition, int]:
    return {record.partition: record.offset + 1 for record in batch}
