"""What an event log promises; `tests/contracts/test_event_log.py` holds both implementations to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from services.runtime.errors import Fatal, Poison, VoileError
from services.runtime.topics import Topic

__all__ = [
    "MESSAGE_BYTES_MAX",
    "METADATA_BYTES_MAX",
    "Committed",
    "Consumer",
    "EventLog",
    "Fenced",
    "Follower",
    "Message",
    "NoTopic",
    "Partition",
    "Record",
    "refuse_too_large",
]

MESSAGE_BYTES_MAX = 990_000  # key, value and headers; Kafka's default is 1 MB with its own framing
METADATA_BYTES_MAX = 4096  # of one commit: Kafka's default (offset.metadata.max.bytes)


class NoTopic(Fatal):
    """The log has no topic of this name. Who starts while the log is away makes its topics later, and waits for it."""


class Fenced(VoileError):
    """Another member owns this group or partition now: drop the work in hand and rejoin."""


class Partition(NamedTuple):
    topic: str
    number: int


@dataclass(frozen=True, slots=True)
class Message:
    """What a producer sends. `value=None` is a tombstone (compacted topics)."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Mapping[str, bytes] = field(default_factory=dict)


def refuse_too_large(messages: Sequence[Message]) -> None:
    """Before any is sent. Raises `Poison("message_too_large")`: no retry will ever help."""
    for m in messages:
        headers = sum(len(name) + len(value) for name, value in m.headers.items())
        if len(m.key) + len(m.value or b"") + headers > MESSAGE_BYTES_MAX:
            raise Poison("message_too_large", f"A message is over {MESSAGE_BYTES_MAX} bytes; send smaller batches.")


@dataclass(frozen=True, slots=True)
class Record:
    """What a consumer gets. `timestamp_ms` is the log's append time (UTC epoch, ms)."""

    partition: Partition
    offset: int
    key: bytes
    value: bytes | None
    headers: Mapping[str, bytes]
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Committed:
    """The next offset to read, and what the group wrote beside it (at most 4096 bytes)."""

    offset: int
    metadata: str


class Consumer(Protocol):
    """One member of a group.

    A partition newly assigned to this member delivers nothing until `resume` is called for it, so
    that the loop can first repair what a dead predecessor left behind.
    """

    def take_assigned(self) -> frozenset[Partition]:
        """Partitions that are this member's and not resumed yet, in every call until they are. Serves the
        group's protocol. A partition that was lost and came back in between is among them again."""
        ...

    def owns(self, partition: Partition) -> bool: ...

    def resume(self, partition: Partition, offset: int) -> None:
        """Deliver this partition from `offset` on."""
        ...

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        """Up to `max_records` records, in order within a partition, never of a revoked one."""
        ...

    def read(self, partition: Partition, first: int, last: int) -> Sequence[Record]:
        """The records still kept with `first` <= offset <= `last`; does not move the position. All of them
        come at once: ask for a batch, not for a day."""
        ...

    def committed(self, partition: Partition) -> Committed | None: ...

    def commit(self, partition: Partition, offset: int, metadata: str = "") -> None:
        """Synchronous and fenced. Raises `Fenced` when this member no longer owns the partition,
        `Transient` when the log is away."""
        ...

    def close(self) -> None: ...


class Follower(Protocol):
    """Reads whole topics from their beginning, without a group; for signals and registries."""

    def poll(self) -> Sequence[Record]:
        """Every record up to the end offsets as they stand now, since the last call. Raises `Transient`."""
        ...

    def close(self) -> None: ...


class EventLog(Protocol):
    def ensure_topics(self, topics: Sequence[Topic]) -> None:
        """Create what is missing. Raises `Fatal` when a topic exists with other settings that matter."""
        ...

    def topic_id(self, topic: str) -> str:
        """Changes when a topic is deleted and made again."""
        ...

    def partitions(self, topic: str) -> Sequence[Partition]: ...

    def offsets(self, partition: Partition) -> tuple[int, int]:
        """(first offset kept, next offset to be written)."""
        ...

    def oldest(self, topic: str) -> datetime | None:
        """When the oldest message that is still kept was appended (UTC); None for an empty topic."""
        ...

    def send(self, messages: Sequence[Message], timeout_s: float = 10.0) -> Sequence[tuple[Partition, int]]:
        """Returns where each message is, only when all are durable. Raises `Transient` otherwise (some
        may have been written then), `Poison` when one is too large (then none was). Thread safe."""
        ...

    def consumer(self, group: str, topics: Sequence[str], member: str) -> Consumer:
        """`member` is the static member id: the same after a restart."""
        ...

    def follower(self, topics: Sequence[str]) -> Follower: ...

    def apply_retention(self, topics: Sequence[Topic]) -> None:
        """Delete what is past its term and compact; Kafka does this by itself, so there it is a no-op."""
        ...

    def group_offset(self, group: str, partition: Partition) -> Committed | None:
        """What any group has committed, without joining it (for lag and status)."""
        ...

    def ready(self) -> bool:
        """True when a message could be made durable now."""
        ...

    def close(self) -> None: ...
