"""Reading from Kafka outside of a group: exact ranges, whole topics, bounds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError
from confluent_kafka import Message as KafkaMessage

from services.runtime.errors import Transient
from services.runtime.log.interface import Committed, Partition, Record
from services.runtime.log.kafka_connection import QUESTION_S_MAX, Connection, place, position, to_record

__all__ = ["FOLLOWERS", "KafkaFollower", "Reader"]

FOLLOWERS = "voile.followers"  # clients need the name of a group even when they join none
READ_S_MAX = 30.0  # without a single record in it, the brokers count as away
_FETCH_RECORDS = 500
_FETCH_S = 0.5
_FETCH_WAIT_MS = 20  # a question that waits at the broker would hold up the next range
_QUEUED_KB_MAX = 16 * 1024  # fetched ahead and not taken yet


class Reader:
    """Assign-only: it joins no group, commits nothing, and reads where it is told to. Thread safe."""

    def __init__(self, connection: Connection, group: str) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        with connection.in_our_words():
            self._consumer = Consumer(
                connection.config(
                    group_id=group,
                    enable_auto_commit=False,
                    auto_offset_reset="earliest",
                    enable_partition_eof=True,
                    fetch_wait_max_ms=_FETCH_WAIT_MS,
                    queued_max_messages_kbytes=_QUEUED_KB_MAX,
                )
            )

    def bounds(self, partition: Partition) -> tuple[int, int]:
        """(first offset kept, next offset to be written), asked of the leader now."""

        def watermarks() -> tuple[int, int] | None:
            return self._consumer.get_watermark_offsets(place(partition), timeout=QUESTION_S_MAX, cached=False)

        with self._lock:
            found = self._connection.asked(watermarks, hear=self._hear)
        if found is None:
            raise Transient("Kafka does not answer.")
        return int(found[0]), int(found[1])

    def committed(self, partition: Partition) -> Committed | None:
        """Of the group this reader is named after."""
        with self._lock:
            question = [place(partition)]
            (found,) = self._connection.asked(
                lambda: self._consumer.committed(question, timeout=QUESTION_S_MAX), hear=self._hear
            )
        if found.error is not None:
            raise self._connection.translated(found.error)
        return Committed(found.offset, found.metadata or "") if found.offset >= 0 else None

    def read(self, partition: Partition, first: int, last: int) -> list[Record]:
        """The records still kept with `first` <= offset <= `last`."""
        start, end = self.bounds(partition)
        return self.read_up_to({partition: max(first, start)}, {partition: min(last + 1, end)})

    def read_up_to(self, starts: Mapping[Partition, int], ends: Mapping[Partition, int]) -> list[Record]:
        """Every record from `starts` to before `ends`. Compaction leaves holes, also at the end, so what counts
        is the place in the log that was reached and never how many records came."""
        open_ends = {p: end for p, end in ends.items() if starts[p] < end}
        if not open_ends:
            return []
        with self._lock, self._connection.in_our_words():
            self._consumer.assign([place(p, starts[p]) for p in open_ends])
            try:
                return self._collect(open_ends)
            finally:
                self._consumer.unassign()

    def close(self) -> None:
        with self._lock:
            self._consumer.close()

    def _hear(self) -> None:
        """Nothing is assigned between two reads, so no record is lost by this."""
        self._consumer.poll(0)

    def _collect(self, open_ends: dict[Partition, int]) -> list[Record]:
        found: list[Record] = []
        deadline = time.monotonic() + READ_S_MAX
        while open_ends:
            for message in self._fetch():
                at, record = self._looked_at(message)
                end = open_ends.get(at[0])
                if record is not None and end is not None and record.offset < end:
                    found.append(record)
                    deadline = time.monotonic() + READ_S_MAX
                if end is not None and at[1] >= end:
                    del open_ends[at[0]]
            if time.monotonic() > deadline:
                raise Transient("Kafka stopped delivering in the middle of a range.")
        return found

    def _fetch(self) -> list[KafkaMessage]:
        """What is there; `consume` alone would wait its whole time for a full list."""
        first = self._consumer.poll(_FETCH_S)
        return [] if first is None else [first, *self._consumer.consume(_FETCH_RECORDS, 0)]

    def _looked_at(self, message: KafkaMessage) -> tuple[tuple[Partition, int], Record | None]:
        """((partition, next offset), record). At the end of a partition there is a place but no record."""
        error = message.error()
        if error is None:
            record = to_record(message)
            return (record.partition, record.offset + 1), record
        if error.code() == KafkaError._PARTITION_EOF:
            return position(message), None
        raise self._connection.translated(error)


class KafkaFollower:
    """Whole topics from their beginning, up to their ends as they stand at each poll."""

    def __init__(self, reader: Reader, partitions: Callable[[], Sequence[Partition]]) -> None:
        self._reader, self._partitions = reader, partitions
        self._next: dict[Partition, int] = {}

    def poll(self) -> Sequence[Record]:
        bounds = {partition: self._reader.bounds(partition) for partition in self._partitions()}
        starts = {p: self._start(p, first, end) for p, (first, end) in bounds.items()}
        ends = {p: end for p, (_, end) in bounds.items()}
        records = self._reader.read_up_to(starts, ends)
        self._next = ends  # only once all of it is here, so that a retry loses nothing
        return records

    def close(self) -> None:
        self._reader.close()

    def _start(self, partition: Partition, first: int, end: int) -> int:
        """A topic that ends before where we were was made again: from its beginning."""
        following = self._next.get(partition, first)
        return max(following, first) if following <= end else first
