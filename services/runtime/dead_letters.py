"""The message that says what could not be processed: where it is and how long, never what is in it."""

from __future__ import annotations

from datetime import datetime

from services.runtime import avro
from services.runtime.log.interface import Message, Record
from services.runtime.topics import TOPICS

__all__ = ["dead_letter"]


def dead_letter(record: Record, reason: str, service: str, at: datetime) -> Message:
    """For a whole record of the log that `service` gave up; `reason` is a code.

    The record's key is not repeated: whoever wrote a damaged record may have put anything there.
    """
    body = {
        "reason": reason,
        "service": service,
        "topic": record.partition.topic,
        "partition": record.partition.number,
        "offset": record.offset,
        "length": len(record.value or b""),
        "at": at,
    }
    return Message(TOPICS["dead-letter"].name, service.encode(), avro.encode_record(body, "dead_letter"))
