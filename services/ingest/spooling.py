"""Makes messages durable in the event log or, while that is away, in the spool; brings them back in order.

Order: once something is spooled, everything new queues behind it until the spool is empty again. So a
source's batches reach the log as they were accepted, and nobody waits for a log that is known to be away.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from services.ingest.spool import Entry, Spool
from services.runtime.alone import alone
from services.runtime.clock import Clock
from services.runtime.errors import Fatal, Poison, Transient
from services.runtime.log.interface import EventLog, Message, refuse_too_large
from services.runtime.logs import get_logger
from services.runtime.metrics import SPOOL_BYTES, SPOOL_LOST, SPOOL_OLDEST, Metrics
from services.runtime.topics import TOPICS

__all__ = ["Spooling", "spooling"]

SEND_S_MAX = 3.0  # a log that takes longer is as good as away; collectors give an answer 10 s and more
DRAIN_S_MAX = 15.0  # longer than Kafka's client keeps a message (10 s), so that attempts do not pile up in memory
DRAIN_BYTES = 4 * 1024 * 1024  # at once: enough to keep up with any sender, little enough for memory
AGAIN_S = 1.0  # between two attempts while the log is away, and between two looks at the gauges
TERM = timedelta(hours=TOPICS["access-log"].kept_hours or 0)  # nothing waits here longer than it would be kept there
CLOSE_S_MAX = 5.0  # of the 15 s that a stop may take; an attempt under way changes nothing afterwards


class Spooling:
    """What `Publisher` sends to, with a thread that drains. Thread safe."""

    def __init__(self, log: EventLog, spool: Spool, clock: Clock, metrics: Metrics) -> None:
        self._log, self._spool, self._clock, self._metrics = log, spool, clock, metrics
        self._order = threading.Lock()
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="spool")
        self._thread.start()

    def send(self, messages: Sequence[Message]) -> None:
        """They are durable when this returns. Raises `Transient` when neither log nor spool takes them (some may
        have been written then), `Poison` when one is too large (then none was)."""
        refuse_too_large(messages)
        with self._order:
            if not (self._spool.is_empty and self._sent(messages, SEND_S_MAX)):
                self._spool.append(messages)
                self._measure()  # here too: an attempt to drain may take long
                self._wake.set()

    @property
    def has_room(self) -> bool:
        """Whether something could be accepted while the log is away."""
        return self._spool.has_room

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._spool.size

    @property
    def waiting_since(self) -> datetime | None:
        """When the oldest record that waits was taken; None when none does."""
        waited = self._spool.oldest()
        return None if waited is None else self._clock.now() - waited

    def close(self) -> None:
        """What is spooled stays for the next start."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(CLOSE_S_MAX)
        self._spool.close()

    # --- draining ---

    def _run(self) -> None:
        while not self._stopping.is_set():
            moved = False
            with contextlib.suppress(OSError):  # the disk may come back, like the log
                moved = self._drain_once()
                self._measure()
            if not moved:
                (self._wake if self._spool.is_empty else self._stopping).wait(AGAIN_S)
                self._wake.clear()

    def _drain_once(self) -> bool:
        """True when something left the spool. Deleted only once it is durable: a crash in between sends it again,
        under the same origins and positions, which consumers absorb."""
        entries = self._spool.peek(DRAIN_BYTES)
        if not entries:
            return False
        lost, alike = next(itertools.groupby(entries, self._why_lost))
        entries = list(alike)
        if lost:
            self._lost(entries, lost)
        elif not self._drained([message for entry in entries for message in entry.messages]):
            return False
        if self._stopping.is_set():
            return False  # the folder may be another process's by now
        self._spool.drop(entries)
        return True

    def _why_lost(self, entry: Entry) -> str:
        if not entry.intact:
            return "damaged"
        return "expired" if entry.written_at < self._clock.now() - TERM else ""

    def _drained(self, messages: Sequence[Message]) -> bool:
        """Also True when the log will never take one of them: nothing may wait behind it for ever."""
        try:
            return self._sent(messages, DRAIN_S_MAX)
        except Poison:
            if len(messages) > 1:
                return all(self._drained([message]) for message in messages)
            self._metrics.count(SPOOL_LOST, reason="refused")
            get_logger().error("spooled message refused by the log", reason="refused", count=1)
            return True

    def _sent(self, messages: Sequence[Message], timeout_s: float) -> bool:
        """False when the log is away. A refused login is an operator's matter too: what came is kept meanwhile."""
        try:
            self._log.send(messages, timeout_s)
        except (Transient, Fatal):
            return False
        return True

    def _lost(self, entries: Sequence[Entry], reason: str) -> None:
        self._metrics.count(SPOOL_LOST, len(entries), reason=reason)
        get_logger().error("spooled batches lost", reason=reason, count=len(entries))

    def _measure(self) -> None:
        self._metrics.set(SPOOL_BYTES, self._spool.size)
        self._metrics.set(SPOOL_OLDEST, (self._spool.oldest() or timedelta()).total_seconds())


@contextlib.contextmanager
def spooling(folder: Path, bytes_max: int, log: EventLog, clock: Clock, metrics: Metrics) -> Iterator[Spooling]:
    """Opens the spool in `folder` and starts to drain what an earlier process left. Raises `Fatal`, also when
    another process uses the folder."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    refusal = f"Another ingest uses the spool in {folder}; stop it, or set another `ingest.spool`."
    with alone(folder / "lock", refusal):
        spool = Spool(folder, bytes_max, clock)
        get_logger().info("spool opened", bytes=spool.size, reason="torn" if spool.torn_bytes else "whole")
        spooled = Spooling(log, spool, clock, metrics)
        try:
            yield spooled
        finally:
            spooled.close()
