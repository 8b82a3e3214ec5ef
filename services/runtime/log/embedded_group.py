"""Readers of the embedded log: the one member that holds a group's lease, and followers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from services.runtime.clock import Clock
from services.runtime.log.embedded_file import LogFile
from services.runtime.log.interface import METADATA_BYTES_MAX, Committed, Fenced, Partition, Record

__all__ = ["EmbeddedConsumer", "EmbeddedFollower"]

LEASE_S = 15.0  # how long a dead member keeps its group from others; it gets it back itself at once
RENEW_S = LEASE_S / 3  # a renewal is a synced write, so not every poll makes one
LOOK_S = 0.02  # between two looks for new messages; one look costs microseconds
POLL_BYTES_MAX = 32 * 1024 * 1024  # of one answer in memory; a batch is at most 0.9 MB
_LAST_OFFSET = 2**62


class EmbeddedConsumer:
    """A member of a group. A partition is ours from when the lease is taken until someone else takes it.

    The generation in the lease is the fence: it grows with every change of hands, and a commit
    with an older one fails. Expiry alone takes nothing from us while nobody else came.
    """

    def __init__(self, file: LogFile, group: str, topics: Sequence[str], member: str, clock: Clock) -> None:
        self._file, self._group, self._member, self._clock = file, group, member, clock
        self._partitions = frozenset(Partition(topic, 0) for topic in topics)
        self._generation: int | None = None
        self._renew_at_ms = 0
        self._was_fenced = False
        self._next: dict[Partition, int] = {}

    def take_assigned(self) -> frozenset[Partition]:
        if self._generation is None:
            self._take_lease()
        else:
            self._renew_when_due()
        return frozenset() if self._generation is None else self._partitions - self._next.keys()

    def owns(self, partition: Partition) -> bool:
        return self._generation is not None and partition in self._partitions

    def resume(self, partition: Partition, offset: int) -> None:
        if self.owns(partition):
            self._next[partition] = offset

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        deadline = time.monotonic() + timeout_s  # waiting for input is the machine's time, not the clock's
        while True:
            self._renew_when_due()
            found = self._look(max_records)
            remaining = deadline - time.monotonic()
            if found or remaining <= 0:
                return found
            time.sleep(min(LOOK_S, remaining))

    def read(self, partition: Partition, first: int, last: int) -> Sequence[Record]:
        return list(self._file.records(partition, first, last, last - first + 1))

    def committed(self, partition: Partition) -> Committed | None:
        return self._file.committed(self._group, partition.topic)

    def commit(self, partition: Partition, offset: int, metadata: str = "") -> None:
        if len(metadata.encode()) > METADATA_BYTES_MAX:
            raise ValueError(f"commit metadata is over {METADATA_BYTES_MAX} bytes")
        with self._file.transaction():
            self._renew()  # in the same transaction, so nobody can take the lease in between
            topic = self._file.topic(partition.topic).number
            self._file.change("commit", group=self._group, topic=topic, next_offset=offset, metadata=metadata)

    def close(self) -> None:
        """A member that leaves in order lets others in at once."""
        if self._generation is not None:
            values = {"group": self._group, "generation": self._generation, "expires_ms": 0}
            self._file.change("renew_lease", **values)
        self._drop()
        self._file.close()

    def _take_lease(self) -> None:
        """A restarted member (same id) need not wait for the term of its former self. One that was
        fenced must: its successor is alive, and two would take the group from each other for ever."""
        now_ms = self._now_ms()
        with self._file.transaction():
            taken = self._file.row(
                "take_lease",
                group=self._group,
                member=self._member,
                now_ms=now_ms,
                expires_ms=now_ms + int(LEASE_S * 1000),
                at_once=not self._was_fenced,
            )
        if taken:
            self._generation = taken[0]
            self._renew_at_ms = now_ms + int(RENEW_S * 1000)

    def _renew_when_due(self) -> None:
        if self._generation is None or self._now_ms() < self._renew_at_ms:
            return
        try:
            self._renew()
        except Fenced:
            return  # what we hold is dropped; the caller sees it by `owns`

    def _renew(self) -> None:
        """Raises `Fenced` when the lease has changed hands."""
        now_ms = self._now_ms()
        renewed = self._generation is not None and self._file.change(
            "renew_lease",
            group=self._group,
            generation=self._generation,
            expires_ms=now_ms + int(LEASE_S * 1000),
        )
        if not renewed:
            self._was_fenced = self._was_fenced or self._generation is not None
            self._drop()
            raise Fenced(f"Another member holds the group {self._group} now.")
        self._renew_at_ms = now_ms + int(RENEW_S * 1000)

    def _drop(self) -> None:
        self._generation = None
        self._next.clear()

    def _look(self, max_records: int) -> list[Record]:
        """From every partition in turn, so that a busy topic cannot starve another for long."""
        found: list[Record] = []
        share = max(1, max_records // max(1, len(self._next)))
        for partition in sorted(self._next):
            records = self._file.records(partition, self._next[partition], _LAST_OFFSET, share)
            found += _up_to_bytes(records)
        self._next |= {record.partition: record.offset + 1 for record in found}  # only once nothing can fail
        return found

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


class EmbeddedFollower:
    """Reads topics from their beginning, on its own, without a lease."""

    def __init__(self, file: LogFile, topics: Sequence[str]) -> None:
        self._file = file
        self._next = {Partition(topic, 0): 0 for topic in topics}

    def poll(self) -> Sequence[Record]:
        found: list[Record] = []
        ends = {partition: self._file.topic(partition.topic).next_offset for partition in self._next}
        for partition, first in self._next.items():
            found += self._file.records(partition, first, ends[partition] - 1, ends[partition] - first)
        self._next = ends  # only once nothing can fail, so that a retry loses nothing
        return found

    def close(self) -> None:
        self._file.close()


def _up_to_bytes(records: Iterator[Record]) -> Iterator[Record]:
    size = 0
    for record in records:
        yield record
        size += len(record.value or b"")
        if size >= POLL_BYTES_MAX:
            return
