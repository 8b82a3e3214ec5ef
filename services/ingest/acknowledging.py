"""Answers erasures for the edge: when everything that was taken before is in the log.

Ingest deletes nothing of a person: what it holds, while the log is away, is the spool, which empties into the log,
where every reader drops what an erasure covers and from which it goes with the log's term. So its answer is a time:
from it on nothing older waits here, and that term can be reckoned. Of a signal it keeps the case and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from services.runtime import avro
from services.runtime.clock import Clock
from services.runtime.errors import Poison, Transient
from services.runtime.log.interface import EventLog, Follower, NoTopic, Record
from services.runtime.logs import get_logger
from services.runtime.receipts import COMPLETED, PRESENT, PRESENT_EVERY, Receipt, receipt_message
from services.runtime.stop import Stop
from services.runtime.topics import TOPICS

__all__ = ["Acknowledging"]

STORE = "spool"
LOOK_S = 1.0
# A start answers signals of so long ago again (the first answer counts); nothing waits in the spool nearly as long.
BACK = timedelta(days=30)
_TOPIC = TOPICS["privacy-signal"].name


class Acknowledging:
    """`waiting_since`: when the oldest record that is not in the log yet was taken, None when all are. One thread."""

    def __init__(
        self, log: EventLog, clock: Clock, waiting_since: Callable[[], datetime | None], *, member: str
    ) -> None:
        self._log, self._clock, self._waiting_since = log, clock, waiting_since
        self._worker = f"ingest/{member}"
        self._follower: Follower | None = None
        self._pending: dict[str, datetime] = {}  # case -> when it was read here
        self._next_word: datetime | None = None

    def run(self, stop: Stop) -> None:
        """Until `stop`. Without the log there is nothing to read and nobody to tell: it is tried again."""
        while not stop.is_set:
            wait_s = LOOK_S
            try:
                self.step()
            except Transient as error:
                wait_s = error.retry_after_s
            except NoTopic:  # until this service has made it: it may have started before the log
                pass
            stop.wait(wait_s)
        if self._follower is not None:
            self._follower.close()

    def step(self) -> None:
        """Raises `Transient`."""
        now = self._clock.now()
        if self._follower is None:
            self._follower = self._log.follower([_TOPIC])
        for record in self._follower.poll():
            self._note(record, now)
        if self._next_word is None or now >= self._next_word:
            self._send(Receipt("", self._worker, PRESENT, now))
            self._next_word = now + PRESENT_EVERY
        since = self._waiting_since() if self._pending else None
        for case in [case for case, read in self._pending.items() if since is None or since > read]:
            self._send(Receipt(case, self._worker, COMPLETED, now, STORE))
            del self._pending[case]

    def _note(self, record: Record, now: datetime) -> None:
        if record.value is None or datetime.fromtimestamp(record.timestamp_ms / 1000, UTC) < now - BACK:
            return
        try:
            signal = avro.decode_record(record.value, "privacy_signal")
        except Poison:  # the planes that have to honour it refuse to go on; here it says nothing
            get_logger().error("privacy signal unreadable", topic=_TOPIC, first_offset=record.offset)
            return
        if signal["kind"] == "erasure" and signal["case"]:
            self._pending[signal["case"]] = now

    def _send(self, receipt: Receipt) -> None:
        self._log.send([receipt_message(receipt)])
