"""Sends batches and dead letters to the event log; when it returns they are durable."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from services.ingest.batches import Part, encode_parts
from services.ingest.preparing import Letter
from services.runtime import avro
from services.runtime.log.interface import Message
from services.runtime.topics import TOPICS

__all__ = ["Durable", "Publisher"]

_ACCESSES = TOPICS["access-log"].name
_LETTERS = TOPICS["dead-letter"].name
_SERVICE = "ingest"


class Durable(Protocol):
    """The event log itself, or the log with a spool before it."""

    def send(self, messages: Sequence[Message], /) -> object:
        """Durable when it returns. Raises `Transient`, `Poison`."""
        ...


class Publisher:
    def __init__(self, log: Durable) -> None:
        self._log = log

    def publish(self, source: str, parts: Sequence[Part], letters: Sequence[Letter], now: datetime) -> None:
        """Raises `Transient` when it is not sure that everything is durable."""
        self.send([*self.messages(source, parts), *self.letters(source, letters, now)])

    def messages(self, source: str, parts: Sequence[Part]) -> list[Message]:
        return [Message(_ACCESSES, source.encode(), value) for value in encode_parts(source, parts)]

    def letters(self, source: str, letters: Sequence[Letter], now: datetime) -> list[Message]:
        return [Message(_LETTERS, source.encode(), _letter(source, letter, now)) for letter in letters]

    def send(self, messages: Sequence[Message]) -> None:
        if messages:
            self._log.send(messages)


def _letter(source: str, letter: Letter, now: datetime) -> bytes:
    record = {
        "reason": letter.reason,
        "service": _SERVICE,
        "source": source,
        "ordinal": letter.position,
        "length": letter.length,
        "digest": letter.digest,
        "at": now,
    }
    return avro.encode_record(record, "dead_letter")
