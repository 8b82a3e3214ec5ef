"""One member of a Kafka consumer group: static, fenced, and silent on a partition until it is resumed.

Named decisions: eager rebalancing (every partition is repaired and resumed alike, and static membership
makes rebalances rare); a partition that is ours but not resumed is not assigned to the fetcher at all,
so nothing of it can arrive; a fenced instance comes back without its static id, because its
successor has that, and two would fence each other for ever. The one exception: a member that was out of
touch for its session is told that it was fenced even when nobody else came (librdkafka 2.16 forgets its
member id first), so that one keeps its id.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from services.runtime.errors import Fatal
from services.runtime.log.interface import METADATA_BYTES_MAX, Committed, Fenced, Partition, Record
from services.runtime.log.kafka_connection import DENIED, FENCING, Connection, place, to_record
from services.runtime.log.kafka_reading import Reader
from services.runtime.logs import get_logger

__all__ = ["KafkaConsumer"]

SESSION_S = 15.0  # a dead member's partitions are given to others after this; to itself, restarted, at once
HEARTBEATS_A_SESSION = 5
HELD_RECORDS_MAX = 64  # taken from the client while only the group was to be served; then fetching pauses
FETCH_WAIT_MS = 100  # a resumed partition waits for the question under way, so that one must be short
SILENCE_S = 10.0  # polled in vain: then the broker is asked whether records wait
PATIENCE_S_MAX = 600.0  # a log may end in markers, which nobody is given: each new client in vain doubles the patience
_QUEUED_KB_MAX = 32 * 1024  # fetched ahead, all partitions together


class KafkaConsumer:
    """See `interface.Consumer`. Use from one thread: rebalances happen inside its calls."""

    def __init__(self, connection: Connection, group: str, topics: Sequence[str], member: str) -> None:
        self._connection, self._group, self._topics, self._member = connection, group, list(topics), member
        self._reader = Reader(connection, group)
        self._client: Consumer | None = None
        self._owned: frozenset[Partition] = frozenset()
        self._next: dict[Partition, int] = {}  # of resumed partitions: the offset that comes next from the client
        self._held: deque[Record] = deque()
        self._paused = self._out_of_touch = False
        self._settled = False  # nothing of a rebalance is under way
        self._silent_s, self._patience_s = 0.0, SILENCE_S  # polled in vain for so long; and for how long that is well

    def take_assigned(self) -> frozenset[Partition]:
        self._pause_when_full()
        self._serve(0.0, 1)
        return self._owned - self._next.keys()

    def owns(self, partition: Partition) -> bool:
        return partition in self._owned

    def resume(self, partition: Partition, offset: int) -> None:
        if partition not in self._owned or self._client is None:
            return
        self._held = deque(record for record in self._held if record.partition != partition)
        self._next[partition] = offset
        with self._connection.in_our_words():
            self._client.assign([place(p, following) for p, following in self._next.items()])

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        if not self._held:
            self._go_on()
            started = time.monotonic()
            self._serve(timeout_s, max_records)
            self._mind_silence(time.monotonic() - started)
        return [self._held.popleft() for _ in range(min(max_records, len(self._held)))]

    def read(self, partition: Partition, first: int, last: int) -> Sequence[Record]:
        return self._reader.read(partition, first, last)

    def committed(self, partition: Partition) -> Committed | None:
        return self._reader.committed(partition)

    def commit(self, partition: Partition, offset: int, metadata: str = "") -> None:
        if len(metadata.encode()) > METADATA_BYTES_MAX:
            raise ValueError(f"commit metadata is over {METADATA_BYTES_MAX} bytes")
        if partition not in self._owned or self._client is None:
            raise Fenced("This partition is another member's now.")
        try:
            done = self._client.commit(offsets=[place(partition, offset, metadata)], asynchronous=False)
            error = done[0].error if done else None
        except KafkaException as failure:
            error = failure.args[0]
        if error is not None:
            raise self._refused(error)

    def close(self) -> None:
        """Static members do not leave: the same member comes back to the same partitions."""
        self._leave()
        self._reader.close()

    # --- the client and its callbacks ---

    def _serve(self, timeout_s: float, count: int) -> None:
        """Let the client work; keep what it delivers. Callbacks run in here."""
        client = self._client or self._join()
        with self._connection.in_our_words():
            first = client.poll(timeout_s)
            messages = [first, *client.consume(count - 1, 0)] if first is not None and count > 1 else [first]
        for message in messages:
            if message is not None:
                self._take(message)

    def _take(self, message: KafkaMessage) -> None:
        """The client can deliver rows of a partition that was revoked meanwhile, or of before a resume."""
        if (error := message.error()) is not None:
            self._heard(error)
            return
        record = to_record(message)
        if record.offset >= self._next.get(record.partition, record.offset + 1):
            self._next[record.partition] = record.offset + 1
            self._held.append(record)

    def _heard(self, error: KafkaError) -> None:
        if error.code() in DENIED:
            raise self._connection.translated(error)
        if error.fatal() or error.code() in FENCING:
            self._refused(error)

    def _refused(self, error: KafkaError) -> Exception:
        """Of a fenced member everything is dropped; it joins anew at the next call."""
        translated = self._connection.translated(error)
        if isinstance(translated, Fenced):
            if error.code() in {KafkaError.FENCED_INSTANCE_ID, KafkaError._FATAL} and not self._out_of_touch:
                self._member = ""
            self._leave()
        return translated

    def _join(self) -> Consumer:
        settings = self._connection.config(
            group_id=self._group,
            enable_auto_commit=False,
            enable_auto_offset_store=False,
            auto_offset_reset="earliest",  # after retention: the loop sees the jump and calls the range lost
            partition_assignment_strategy="range",
            session_timeout_ms=int(SESSION_S * 1000),
            heartbeat_interval_ms=int(SESSION_S * 1000 / HEARTBEATS_A_SESSION),
            queued_max_messages_kbytes=_QUEUED_KB_MAX,
            fetch_wait_max_ms=FETCH_WAIT_MS,
        )
        if self._member:
            settings["group.instance.id"] = self._member
        try:
            self._client = Consumer(settings)
            self._client.subscribe(
                self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )
        except KafkaException as error:
            raise Fatal(f"The Kafka settings are not usable: {error.args[0].str()}") from error
        return self._client

    def _leave(self) -> None:
        client, self._client = self._client, None
        self._forget()
        if client is not None:
            if not self._settled:
                _stop_joining(client)
            client.close()
        self._settled = False

    def _on_assign(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget()
        self._out_of_touch = False
        if client is self._client:
            self._owned = frozenset(Partition(p.topic, p.partition) for p in partitions)
        client.assign([])
        self._settled = True

    def _on_revoke(self, client: Consumer, _partitions: list[TopicPartition]) -> None:
        self._forget()
        self._settled = False
        client.unassign()

    def _on_lost(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        self._out_of_touch = True
        self._on_revoke(client, partitions)

    def _forget(self) -> None:
        self._owned = frozenset()
        self._next.clear()
        self._held.clear()
        self._paused = False

    # --- a client that delivers no more ---

    def _mind_silence(self, waited_s: float) -> None:
        """After a broker's restart a client sometimes never fetches a partition again (librdkafka's issue 5153): when
        records wait and none has come for long, a new client takes this one's place."""
        self._silent_s += waited_s
        if self._held:
            self._silent_s, self._patience_s = 0.0, SILENCE_S
        elif self._next and self._silent_s > self._patience_s:
            self._silent_s = 0.0
            if any(self._reader.bounds(p)[1] > following for p, following in self._next.items()):
                get_logger().warning("a client that delivers nothing is replaced", group=self._group)
                self._patience_s = min(2 * self._patience_s, PATIENCE_S_MAX)
                self._leave()

    # --- fetching no more than is taken ---

    def _pause_when_full(self) -> None:
        if not self._paused and self._client is not None and len(self._held) >= HELD_RECORDS_MAX:
            with self._connection.in_our_words():
                self._client.pause([place(p) for p in self._next])
            self._paused = True

    def _go_on(self) -> None:
        if self._paused and self._client is not None:
            with self._connection.in_our_words():
                self._client.resume([place(p) for p in self._next])
            self._paused = False


def _stop_joining(client: Consumer) -> None:
    """An assignment that comes while a client closes blocks the whole process for ever, as the client waits for itself
    and holds the interpreter's lock (librdkafka's issue 4884). After this none comes: the group is left, and what was
    on its way is heard."""
    with contextlib.suppress(KafkaException):
        client.unsubscribe()
        while client.poll(0) is not None:
            pass
