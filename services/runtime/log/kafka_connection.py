"""How Voile talks to Kafka: configuration, and Kafka's errors in the runtime's words."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from services.runtime.errors import Fatal, Poison, Transient
from services.runtime.log.interface import Fenced, Partition, Record
from services.runtime.settings import Kafka

__all__ = ["ANSWER_S_MAX", "DENIED", "FENCING", "QUESTION_S_MAX", "Connection", "place", "position", "to_record"]

ANSWER_S_MAX = 10.0  # until an answer; longer than a leader's election takes
QUESTION_S_MAX = ANSWER_S_MAX / 2  # of one question; then it counts as lost and is put once more
_ASK_AGAIN_S = 0.1
_RECONNECT_MS_MAX = 1_000  # a broker that is back is used again within a second

FENCING = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.FENCED_INSTANCE_ID,
        KafkaError.FENCED_MEMBER_EPOCH, KafkaError.STALE_MEMBER_EPOCH,
        KafkaError._ASSIGNMENT_LOST, KafkaError._FENCED, KafkaError._FATAL,
    }
)  # fmt: skip
_LOST = frozenset(
    {
        KafkaError._DESTROY, KafkaError._TIMED_OUT,
        KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE,
    }
)  # fmt: skip
DENIED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._AUTHENTICATION,
    }
)  # fmt: skip


Answer = TypeVar("Answer")


class Connection:
    """Where the brokers are and who we are; what every client of one log shares."""

    def __init__(self, servers: str, kafka: Kafka) -> None:
        self.replication = kafka.replication
        self._config = _common(servers, kafka)
        self._refusal: KafkaError | None = None

    def config(self, **extra: Any) -> dict[str, Any]:
        """`extra` with underscores for dots."""
        own = {key.replace("_", "."): value for key, value in extra.items()}
        return {**self._config, "error_cb": self._noted, "logger": logging.getLogger("voile.kafka"), **own}

    @contextlib.contextmanager
    def in_our_words(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            raise self.translated(error.args[0]) from error

    def asked(
        self, question: Callable[[], Answer], within_s: float = ANSWER_S_MAX, hear: Callable[[], object] = lambda: None
    ) -> Answer:
        """The answer to a question that may be put twice, put again as long as it was lost or went to the wrong place:
        a client drops the handles of its bootstrap servers once it has learned the brokers' names, and loses what is
        on its way then (librdkafka 2.11 on; the question ends with _DESTROY, or never); a topic just made, or moved,
        has its leader a moment later. `hear` lets the client tell what it knows beside its answer: that a login was
        refused. Raises `Transient` and the like, never `KafkaException`."""
        until = time.monotonic() + within_s
        while True:
            try:
                return question()
            except TimeoutError:
                hear()
                self._refuse_refused()
                if time.monotonic() > until:
                    raise Transient("Kafka does not answer in time.") from None
            except KafkaException as error:
                hear()
                self._refuse_refused()
                if error.args[0].code() not in _LOST or time.monotonic() > until:
                    raise self.translated(error.args[0]) from error
            time.sleep(_ASK_AGAIN_S)

    def translated(self, error: KafkaError) -> Fenced | Fatal | Poison | Transient:
        code = error.code()
        if code in FENCING:
            return Fenced("Another member of the group owns this work now.")
        if code in DENIED or self._refusal is not None:
            return _refused(self._refusal or error)
        if code in {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD}:
            return Poison("message_too_large", "Kafka refuses the message; send smaller batches.")
        return Transient(f"Kafka does not answer ({error.name()}).")

    def _refuse_refused(self) -> None:
        """To ask again would only take time."""
        if self._refusal is not None:
            raise _refused(self._refusal) from None

    def _noted(self, error: KafkaError) -> None:
        """Called by librdkafka's clients; must not raise. A refused login shows itself only here, requests
        just time out."""
        if error.code() in {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED}:
            self._refusal = error


def place(partition: Partition, offset: int | None = None, metadata: str | None = None) -> TopicPartition:
    if offset is None:
        return TopicPartition(partition.topic, partition.number)
    if metadata is None:
        return TopicPartition(partition.topic, partition.number, offset)
    return TopicPartition(partition.topic, partition.number, offset, metadata)


def position(message: KafkaMessage) -> tuple[Partition, int]:
    """Where a message is; the client's types say that any part may be missing, but none ever is here."""
    raw: Any = message
    return Partition(raw.topic(), raw.partition()), raw.offset()


def to_record(message: KafkaMessage) -> Record:
    """Of a message without an error. A missing key is an empty one, a header without a value an empty one."""
    raw: Any = message
    partition, offset = position(message)
    kind, timestamp_ms = raw.timestamp()
    headers = {name: value or b"" for name, value in raw.headers() or ()}
    append_ms = 0 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms
    return Record(partition, offset, raw.key() or b"", raw.value(), headers, append_ms)


def _refused(error: KafkaError) -> Fatal:
    return Fatal(f"Kafka refuses this service ({error.name()}); check [kafka] in the settings and deploy/kafka's ACLs.")


def _common(servers: str, kafka: Kafka) -> dict[str, Any]:
    config: dict[str, Any] = {
        "bootstrap.servers": servers,
        "security.protocol": kafka.security_protocol,
        "client.id": "voile",
        "reconnect.backoff.max.ms": _RECONNECT_MS_MAX,
        "socket.timeout.ms": int(ANSWER_S_MAX * 1000),
        "socket.keepalive.enable": True,
        "log_level": 2,  # a broker that is away is told by our own errors, once; librdkafka writes 20 lines a second
    }
    if kafka.security_protocol.upper().startswith("SASL"):
        config["sasl.mechanism"] = kafka.sasl_mechanism
        config["sasl.username"] = kafka.username
        config["sasl.password"] = kafka.password.get_secret_value()
    if kafka.ca_file:
        config["ssl.ca.location"] = kafka.ca_file
    return config
