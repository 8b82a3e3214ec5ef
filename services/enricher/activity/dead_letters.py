"""What could not be read, without any of its text (`access-log.dead-letter.v1`)."""

from __future__ import annotations

import hashlib

from services.runtime import avro
from services.runtime.clock import Clock
from services.runtime.keys import KeyService
from services.runtime.log.interface import EventLog, Message, Record
from services.runtime.topics import TOPICS

__all__ = ["DeadLetters"]

DIGEST_BYTES = 16  # enough to recognise a repeat
_KEY = "dead-letter"
_TOPIC = TOPICS["dead-letter"].name


class DeadLetters:
    def __init__(self, log: EventLog, keys: KeyService, clock: Clock) -> None:
        self._log = log
        self._key = keys.get_or_create(_KEY)
        self._clock = clock

    def write(self, record: Record, reason: str) -> None:
        """Durable when it returns; a repeat after a crash has the same place and digest. Raises `Transient`."""
        value = record.value or b""
        letter = {
            "reason": reason,
            "service": "enricher",
            "topic": record.partition.topic,
            "partition": record.partition.number,
            "offset": record.offset,
            "source": None,  # a damaged record's own word is not repeated
            "ordinal": None,
            "length": len(value),
            "digest": hashlib.blake2b(value, key=self._key, digest_size=DIGEST_BYTES).hexdigest(),
            "at": self._clock.now(),
        }
        self._log.send([Message(_TOPIC, b"enricher", avro.encode_record(letter, "dead_letter"))])
