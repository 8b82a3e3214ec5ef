"""The event log behind one small interface: embedded (SQLite) or Kafka, by URL."""

from __future__ import annotations

from services.runtime.clock import Clock, SystemClock
from services.runtime.errors import Fatal
from services.runtime.log.interface import EventLog
from services.runtime.settings import Kafka, local_path

__all__ = ["open_log"]


def open_log(url: str, kafka: Kafka, clock: Clock | None = None) -> EventLog:
    """`sqlite:///absolute/events.db` or `kafka://host:port[,host:port]`; `kafka` is only read for the latter.

    Raises `Fatal` on another URL or a file of another version, `Transient` when the store is away.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and rest.startswith("/"):
        from services.runtime.log.embedded import EmbeddedLog  # each profile loads only its own

        return EmbeddedLog(local_path(url), clock or SystemClock())
    if scheme == "kafka":
        from services.runtime.log.kafka import KafkaLog

        return KafkaLog(rest, kafka)
    raise Fatal("Events are a URL like sqlite:///events.db or kafka://host:9092.")
