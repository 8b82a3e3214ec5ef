"""The event log on Apache Kafka: idempotent writes, static members, fenced commits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the package's stubs forget to export some
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from services.runtime.errors import Fatal, Transient, VoileError
from services.runtime.log.interface import Committed, Consumer, Follower, Message, NoTopic, Partition
from services.runtime.log.kafka_connection import ANSWER_S_MAX, DENIED, QUESTION_S_MAX, Connection
from services.runtime.log.kafka_group import KafkaConsumer
from services.runtime.log.kafka_reading import FOLLOWERS, KafkaFollower, Reader
from services.runtime.log.kafka_sender import Sender
from services.runtime.settings import Kafka
from services.runtime.topics import Topic

__all__ = ["KafkaLog", "topic_settings"]

HOUR_MS = 3_600_000
Answer = TypeVar("Answer")
SEGMENTS_A_TERM = 12  # a segment is deleted as a whole, so it must be a small part of the term
SLACK_MS = 600_000  # the broker checks every 5 minutes and deletes a minute later
TOMBSTONES_KEPT_MS = 24 * HOUR_MS  # as the embedded log does
READY_S_MAX = 2.0  # an answer to /readyz must be quick
_LOOK_S = 0.1


class KafkaLog:
    """`EventLog` on the brokers at `servers` ("host:port[,host:port]")."""

    def __init__(self, servers: str, kafka: Kafka) -> None:
        self._connection = Connection(servers, kafka)
        self._sender = Sender(self._connection)
        self._lock = threading.Lock()
        self._opened_admin: AdminClient | None = None
        self._opened_observer: Reader | None = None

    def ensure_topics(self, topics: Sequence[Topic]) -> None:
        existing = self._metadata(ANSWER_S_MAX).topics
        self._create([topic for topic in topics if topic.name not in existing])
        self._check([topic for topic in topics if topic.name in existing])

    def topic_id(self, topic: str) -> str:
        def described() -> str:
            asked = self._admin.describe_topics(TopicCollection([topic]), request_timeout=ANSWER_S_MAX)
            return str(_result(asked[topic]).topic_id)

        return self._asked(described)

    def partitions(self, topic: str) -> Sequence[Partition]:
        found = self._metadata(ANSWER_S_MAX, topic).topics[topic]
        if found.error is not None:
            raise NoTopic(f"Kafka has no topic {topic}, or hides it from this service; start a service that makes it.")
        return tuple(Partition(topic, number) for number in sorted(found.partitions))

    def offsets(self, partition: Partition) -> tuple[int, int]:
        return self._observer.bounds(partition)

    def oldest(self, topic: str) -> datetime | None:
        """Asked as the offset of the earliest time: who may not read the topic may know its bounds."""
        places = {TopicPartition(topic, p.number): OffsetSpec.for_timestamp(0) for p in self.partitions(topic)}

        def earliest() -> list[int]:
            asked = self._admin.list_offsets(places, request_timeout=ANSWER_S_MAX).values()
            return [found.timestamp for found in map(_result, asked) if found.offset >= 0]

        found = self._connection.asked(earliest)
        return datetime.fromtimestamp(min(found) / 1000, UTC) if found else None

    def send(self, messages: Sequence[Message], timeout_s: float = 10.0) -> Sequence[tuple[Partition, int]]:
        return self._sender.send(messages, timeout_s)

    def consumer(self, group: str, topics: Sequence[str], member: str) -> Consumer:
        return KafkaConsumer(self._connection, group, topics, member)

    def follower(self, topics: Sequence[str]) -> Follower:
        reader = Reader(self._connection, FOLLOWERS)
        return KafkaFollower(reader, lambda: [p for topic in topics for p in self.partitions(topic)])

    def apply_retention(self, topics: Sequence[Topic]) -> None:
        """Nothing: the brokers do it, by the settings of `ensure_topics`."""

    def group_offset(self, group: str, partition: Partition) -> Committed | None:
        reader = Reader(self._connection, group)
        try:
            return reader.committed(partition)
        finally:
            reader.close()

    def ready(self) -> bool:
        """Every partition has a leader that would take a message."""
        try:
            topics = self._metadata(READY_S_MAX).topics.values()
        except VoileError:
            return False
        return all(partition.leader >= 0 for topic in topics for partition in topic.partitions.values())

    def close(self) -> None:
        self._sender.close()
        with self._lock:
            observer, self._opened_observer = self._opened_observer, None
        if observer is not None:
            observer.close()

    @property
    def _admin(self) -> AdminClient:
        with self._lock, self._connection.in_our_words():
            self._opened_admin = self._opened_admin or AdminClient(self._connection.config())
            return self._opened_admin

    @property
    def _observer(self) -> Reader:
        with self._lock:
            self._opened_observer = self._opened_observer or Reader(self._connection, FOLLOWERS)
            return self._opened_observer

    def _asked(self, question: Callable[[], Answer], within_s: float = ANSWER_S_MAX) -> Answer:
        return self._connection.asked(question, within_s, lambda: self._admin.poll(0))

    def _metadata(self, timeout_s: float, topic: str | None = None) -> Any:
        one_s = min(timeout_s, QUESTION_S_MAX)
        return self._asked(lambda: self._admin.list_topics(topic, timeout=one_s), timeout_s)

    def _create(self, topics: Sequence[Topic]) -> None:
        wanted = [
            NewTopic(t.name, t.partitions, self._connection.replication, config=dict(topic_settings(t))) for t in topics
        ]
        if not wanted:
            return

        def made() -> None:
            for name, answer in self._admin.create_topics(wanted, request_timeout=ANSWER_S_MAX).items():
                self._made(name, answer)

        self._asked(made)
        self._wait_for([topic.name for topic in topics])

    def _made(self, name: str, made: Future[None]) -> None:
        try:
            _result(made)
        except KafkaException as error:
            if error.args[0].code() in DENIED:
                raise Fatal(f"Kafka has no topic {name} and this service may not make it; see deploy/kafka.") from error
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another service was first
                raise

    def _wait_for(self, names: Sequence[str]) -> None:
        """A topic that was just made is known to every broker a moment later."""
        deadline = time.monotonic() + ANSWER_S_MAX
        while not set(names) <= self._metadata(ANSWER_S_MAX).topics.keys():
            if time.monotonic() > deadline:
                raise Transient("Kafka made the topics but does not show them yet.")
            time.sleep(_LOOK_S)

    def _check(self, topics: Sequence[Topic]) -> None:
        """Promises about time rest on these settings. Not every service may read them; who may, checks."""
        if not topics:
            return
        for topic, found in self._asked(lambda: self._settings(topics)):
            _refuse_other_settings(topic, found)

    def _settings(self, topics: Sequence[Topic]) -> list[tuple[Topic, Mapping[str, str]]]:
        """Of those that this service may read."""
        resources = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in topics]
        asked = self._admin.describe_configs(resources, request_timeout=ANSWER_S_MAX)
        read: list[tuple[Topic, Mapping[str, str]]] = []
        for topic, resource in zip(topics, resources, strict=True):
            try:
                found = _result(asked[resource])
            except KafkaException as error:
                if error.args[0].code() not in DENIED:
                    raise
            else:
                read.append((topic, {name: str(entry.value) for name, entry in found.items()}))
        return read


def topic_settings(topic: Topic) -> Mapping[str, str]:
    """A message is gone `kept_hours` after it was appended, at the latest: retention.ms counts from the newest
    message of a segment, so a segment's time and the broker's own delays come off the term."""
    if topic.compacted:
        return {
            "cleanup.policy": "compact",
            "message.timestamp.type": "LogAppendTime",
            "delete.retention.ms": str(TOMBSTONES_KEPT_MS),
            "max.compaction.lag.ms": str(TOMBSTONES_KEPT_MS),
            "segment.ms": str(HOUR_MS),
        }
    term_ms = (topic.kept_hours or 0) * HOUR_MS
    segment_ms = term_ms // SEGMENTS_A_TERM
    return {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(term_ms - segment_ms - SLACK_MS),
        "segment.ms": str(segment_ms),
    }


def _refuse_other_settings(topic: Topic, found: Mapping[str, str]) -> None:
    wanted = topic_settings(topic)
    wrong = [name for name in ("cleanup.policy", "message.timestamp.type") if found.get(name) != wanted[name]]
    if not topic.compacted:
        kept_ms = int(found.get("retention.ms", "-1"))
        term_ms = (topic.kept_hours or 0) * HOUR_MS
        if kept_ms < 0 or kept_ms + int(found.get("segment.ms", "0")) + SLACK_MS > term_ms:
            wrong.append("retention.ms")
    if wrong:
        advice = ", ".join(f"{name}={value}" for name, value in wanted.items())
        raise Fatal(f"The Kafka topic {topic.name} has other settings ({', '.join(wrong)}); set: {advice}")


def _result(future: Future[Any]) -> Any:
    """Raises `TimeoutError` for a question that was lost: its future never ends, whatever its own term."""
    return future.result(QUESTION_S_MAX)
