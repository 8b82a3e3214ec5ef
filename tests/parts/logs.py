"""Both event logs behind one handle, so that one suite holds both to the same contract."""

from __future__ import annotations

import contextlib
import sqlite3
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from confluent_kafka import TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the package's stubs forget to export some
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from services.runtime.clock import Clock, SystemClock
from services.runtime.log import open_log
from services.runtime.log.embedded import EmbeddedLog
from services.runtime.log.interface import Consumer, EventLog, Message, Partition
from services.runtime.settings import Kafka
from services.runtime.topics import TOPICS, Topic
from tests.parts.kafka import Broker

__all__ = ["EmbeddedPlace", "KafkaPlace", "Place", "joined", "own_topic"]

WAIT_S_MAX = 20


class ShiftedClock(SystemClock):
    """The machine's clock, moved ahead: Kafka's own retention needs no clock of ours, the embedded log's does."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> Any:
        return super().now() + self.ahead


class Place(Protocol):
    """Where one event log is."""

    url: str

    def open(self) -> EventLog: ...
    def expire(self, topic: Topic, below: int) -> None:
        """Let the term of everything below an offset be over."""
        ...

    def compact(self, topic: Topic) -> None: ...
    def make_again(self, topic: Topic) -> None:
        """Delete the topic with all its messages and create it anew."""
        ...

    def away(self) -> contextlib.AbstractContextManager[None]:
        """Nothing can be written or committed in the block."""
        ...


class EmbeddedPlace:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "events.db"
        self.url = f"sqlite:///{self.path}"
        self.clock = ShiftedClock()

    def open(self, clock: Clock | None = None) -> EventLog:
        return EmbeddedLog(self.path, clock or self.clock, busy_s=1.0)

    def expire(self, topic: Topic, below: int) -> None:
        """By time alone, so the messages from `below` on are sent again at the later time by the caller's design:
        here all that is in the log now expires, and `below` must be its end."""
        with contextlib.closing(self.open()) as log:
            assert log.offsets(Partition(topic.name, 0))[1] == below
            self.clock.ahead += timedelta(hours=topic.kept_hours or 0, minutes=1)
            log.apply_retention([topic])

    def compact(self, topic: Topic) -> None:
        with contextlib.closing(self.open()) as log:
            log.apply_retention([topic])

    def make_again(self, topic: Topic) -> None:
        for file in self.path.parent.glob("events.db*"):
            file.unlink()
        with contextlib.closing(self.open()) as log:
            log.ensure_topics([topic])

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Another process holds the write lock."""
        other = sqlite3.connect(self.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")
            other.close()


class KafkaPlace:
    def __init__(self, servers: str, broker: Broker | None = None) -> None:
        self.url = f"kafka://{servers}"
        self._admin = AdminClient({"bootstrap.servers": servers, "log_level": 2})
        self._broker = broker

    def open(self) -> EventLog:
        return open_log(self.url, Kafka())

    def expire(self, topic: Topic, below: int) -> None:
        for future in self._admin.delete_records([TopicPartition(topic.name, 0, below)]).values():
            future.result()

    def compact(self, topic: Topic) -> None:
        """The cleaner never touches the newest segment: it is closed by the next message, and cleaned at once."""
        settings = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.001", "max.compaction.lag.ms": "200"}
        self._set(topic, settings)
        time.sleep(0.3)
        with contextlib.closing(self.open()) as log:
            log.send([Message(topic.name, b"closes the segment", b"1")])
            time.sleep(0.3)
            log.send([Message(topic.name, b"closes the segment", b"2")])
            _until(lambda: _holes(log, topic))

    def make_again(self, topic: Topic) -> None:
        self._admin.delete_topics([topic.name])[topic.name].result()
        _until(lambda: topic.name not in self._admin.list_topics(timeout=5).topics)
        with contextlib.closing(self.open()) as log:
            log.ensure_topics([topic])

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        assert self._broker is not None, "only a broker of the test's own may be taken away"
        self._broker.kill()
        try:
            yield
        finally:
            self._broker.start()

    def _set(self, topic: Topic, settings: dict[str, str]) -> None:
        entries = [ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET) for k, v in settings.items()]
        resource = ConfigResource(ResourceType.TOPIC, topic.name, incremental_configs=entries)
        for future in self._admin.incremental_alter_configs([resource]).values():
            future.result()


def own_topic(name: str = "access-log", partitions: int = 1) -> Topic:
    """A test-only copy under a name that no other test on a shared broker has."""
    topic = TOPICS[name]
    return replace(topic, name=f"{uuid.uuid4().hex[:8]}.{topic.name}", partitions=partitions)


def joined(log: EventLog, group: str, topic: Topic, member: str = "m1") -> tuple[Consumer, Partition]:
    """A consumer that owns the topic's one partition; not resumed."""
    consumer = log.consumer(group, [topic.name], member)
    _until(lambda: bool(consumer.take_assigned()))
    (partition,) = consumer.take_assigned()
    return consumer, partition


def _until(condition: Any) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def _holes(log: EventLog, topic: Topic) -> bool:
    with contextlib.closing(log.follower([topic.name])) as follower:
        keys = [record.key for record in follower.poll()]
    return len(keys) == len(set(keys)) + keys.count(b"closes the segment") - 1
