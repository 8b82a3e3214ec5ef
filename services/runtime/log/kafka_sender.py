"""Sending to Kafka: idempotent, acknowledged by all in-sync replicas, awaited."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as KafkaMessage

from services.runtime.errors import Transient
from services.runtime.log.interface import Message, Partition, refuse_too_large
from services.runtime.log.kafka_connection import Connection, position

__all__ = ["Sender"]

LINGER_MS = 5  # what comes within it shares a request and a compression
KEPT_S_MAX = 10.0  # a message that could not be delivered by then is given up: its sender has long been told
WAITING_KB_MAX = 64 * 1024  # memory of what waits for a broker that is away; above it a send fails at once
_POLL_S = 0.1
_FLUSH_S_MAX = 5.0


class Sender:
    """Thread safe. The producer is made at the first send, and again after an error that it cannot survive."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._pump: _Pump | None = None

    def send(self, messages: Sequence[Message], timeout_s: float) -> Sequence[tuple[Partition, int]]:
        refuse_too_large(messages)
        pump = self._open()
        deliveries = _Deliveries(len(messages))
        try:
            for number, message in enumerate(messages):
                _produce(pump.producer, message, deliveries.reporter(number))
        except BufferError as error:
            raise Transient("Too much waits for Kafka already; try again later.") from error
        except KafkaException as error:
            self._renew_if_fatal(pump, error.args[0])
            raise self._connection.translated(error.args[0]) from error
        return self._outcome(pump, deliveries, timeout_s)

    def close(self) -> None:
        with self._lock:
            pump, self._pump = self._pump, None
        if pump:
            pump.close()

    def _outcome(self, pump: _Pump, deliveries: _Deliveries, timeout_s: float) -> Sequence[tuple[Partition, int]]:
        if not deliveries.wait(timeout_s):
            raise Transient("Kafka did not acknowledge in time.")
        if deliveries.error is not None:
            self._renew_if_fatal(pump, deliveries.error)
            raise self._connection.translated(deliveries.error)
        return deliveries.places()

    def _open(self) -> _Pump:
        with self._lock:
            if self._pump is None:
                self._pump = _Pump(self._connection)
            return self._pump

    def _renew_if_fatal(self, pump: _Pump, error: KafkaError) -> None:
        if not error.fatal():
            return
        with self._lock:
            if self._pump is pump:
                self._pump = None
        pump.close()


class _Pump:
    """A producer and the thread that serves its delivery reports."""

    def __init__(self, connection: Connection) -> None:
        self.producer = Producer(
            connection.config(
                enable_idempotence=True,
                acks="all",
                compression_type="zstd",
                linger_ms=LINGER_MS,
                partitioner="murmur2_random",  # the Java clients' choice: a source stays in its partition
                message_timeout_ms=int(KEPT_S_MAX * 1000),
                queue_buffering_max_kbytes=WAITING_KB_MAX,
            )
        )
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True, name="kafka-deliveries")
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        deadline = time.monotonic() + _FLUSH_S_MAX
        while len(self.producer) and time.monotonic() < deadline:
            self.producer.flush(_POLL_S)
        self.producer.purge()
        self.producer.flush(_POLL_S)

    def _serve(self) -> None:
        while not self._closing.is_set():
            self.producer.poll(_POLL_S)


class _Deliveries:
    """What became of the messages of one send. Reporters run in the pump's thread and never raise."""

    def __init__(self, count: int) -> None:
        self.error: KafkaError | None = None
        self._places: list[tuple[Partition, int] | None] = [None] * count
        self._missing = count
        self._lock = threading.Lock()
        self._done = threading.Event()
        if not count:
            self._done.set()

    def reporter(self, number: int) -> Callable[[KafkaError | None, KafkaMessage], None]:
        def report(error: KafkaError | None, message: KafkaMessage) -> None:
            with self._lock:
                self.error = self.error or error
                if error is None:
                    self._places[number] = position(message)
                self._missing -= 1
                if not self._missing:
                    self._done.set()

        return report

    def wait(self, timeout_s: float) -> bool:
        return self._done.wait(timeout_s)

    def places(self) -> list[tuple[Partition, int]]:
        return [place for place in self._places if place is not None]


def _produce(producer: Producer, message: Message, report: Callable[[KafkaError | None, KafkaMessage], None]) -> None:
    producer.produce(
        message.topic,
        key=message.key,
        value=message.value,
        headers=list(message.headers.items()),
        on_delivery=report,
    )
