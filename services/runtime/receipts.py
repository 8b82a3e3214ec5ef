"""`privacy-receipt.v1`: what a worker says it did for a signal, and that it is there at all.

Source of the keys: compaction keeps the newest word of each worker on each store of a case, and of its presence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.runtime import avro
from services.runtime.errors import Poison
from services.runtime.log.interface import Message, Record
from services.runtime.logs import get_logger
from services.runtime.topics import TOPICS

__all__ = ["ACKNOWLEDGED", "COMPLETED", "PRESENT", "PRESENT_EVERY", "Receipt", "receipt_message", "receipts_of"]

PRESENT, ACKNOWLEDGED, COMPLETED = "present", "acknowledged", "completed"
PRESENT_EVERY = timedelta(minutes=5)  # a worker that was not heard of for three of these is gone
TOPIC = TOPICS["privacy-receipt"].name


@dataclass(frozen=True, slots=True)
class Receipt:
    """`worker` is PLANE/MEMBER. `deleted` and `remaining` are rows of `store`: how many went, how many were counted
    there afterwards. `at` in UTC."""

    case: str
    worker: str
    state: str
    at: datetime
    store: str = ""
    deleted: int = 0
    remaining: int = 0

    @property
    def plane(self) -> str:
        return self.worker.partition("/")[0]


def receipt_message(receipt: Receipt) -> Message:
    key = f"{receipt.case or PRESENT}/{receipt.worker}/{receipt.store}".rstrip("/")
    row = {
        "case": receipt.case,
        "worker": receipt.worker,
        "state": receipt.state,
        "store": receipt.store or None,
        "deleted": receipt.deleted,
        "remaining": receipt.remaining,
        "at": receipt.at,
    }
    return Message(TOPIC, key.encode(), avro.encode_record(row, "privacy_receipt"))


def receipts_of(records: Iterable[Record]) -> list[Receipt]:
    """What can be read; a damaged receipt is logged: its case then shows the worker as one that has not answered."""
    found = []
    for record in records:
        if record.value is None:
            continue
        try:
            found.append(_receipt(record.value))
        except Poison as error:
            get_logger().error("receipt unreadable", topic=TOPIC, first_offset=record.offset, reason=error.reason)
    return found


def _receipt(value: bytes) -> Receipt:
    row = avro.decode_record(value, "privacy_receipt")
    if any(row[name] is None for name in ("case", "worker", "state", "at")):
        raise Poison("undecodable_record")
    counts = {name: row.get(name) or 0 for name in ("deleted", "remaining")}
    return Receipt(row["case"], row["worker"], row["state"], row["at"], row["store"] or "", **counts)
