"""A client of Kafka that stops delivering is replaced (librdkafka's issue 5153: after a broker's restart, sometimes)."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator

import pytest

from services.runtime.log.interface import EventLog, Message, Partition, Record
from services.runtime.log.kafka_connection import place as position
from services.runtime.log.kafka_group import KafkaConsumer
from tests.parts.logs import KafkaPlace, joined, own_topic

pytestmark = pytest.mark.kafka
WAIT_S_MAX = 20.0


@pytest.fixture
def log(kafka_servers: str) -> Iterator[EventLog]:
    with contextlib.closing(KafkaPlace(kafka_servers).open()) as log:
        yield log


@pytest.mark.parametrize("patience_s", [0.5, pytest.param(3600.0, id="without the replacing")])
def test_a_silent_client_is_replaced(log: EventLog, patience_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fetching of the real client is paused behind our back: it is a member, and delivers nothing. The switch: a patience
    without end waits in vain."""
    monkeypatch.setattr("services.runtime.log.kafka_group.SILENCE_S", patience_s)
    topic = own_topic()
    log.ensure_topics([topic])
    consumer, partition = joined(log, f"group-{uuid.uuid4().hex[:8]}", topic, "member")
    assert isinstance(consumer, KafkaConsumer)
    consumer.resume(partition, 0)
    log.send([Message(topic.name, b"key", b"first")])
    assert _next_of(consumer, partition, 0, WAIT_S_MAX)
    assert consumer._client is not None
    consumer._client.pause([position(partition)])
    log.send([Message(topic.name, b"key", b"second")])
    found = _next_of(consumer, partition, 1, WAIT_S_MAX if patience_s < 1 else 3.0)
    assert [record.value for record in found] == ([b"second"] if patience_s < 1 else [])
    consumer.close()


def _next_of(consumer: KafkaConsumer, partition: Partition, offset: int, seconds: float) -> list[Record]:
    """As the loop does it: a partition that is given to us anew is resumed where we were."""
    until, found = time.monotonic() + seconds, list[Record]()
    while not found and time.monotonic() < until:
        if partition in consumer.take_assigned():
            consumer.resume(partition, offset)
        found += consumer.poll(10, 0.2)
    return found
