"""Tells the statistics service what came of each source: the blocks that changed, once a minute.

A report says how much there is so far, so sending one again, or an older one later, does no harm: readers keep
the highest count. What could not be sent is sent the next time; it waits in ingest's own records.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from services.ingest.source_counts import Refusals, SourceCounts, block_of
from services.ingest.sources import Sources
from services.runtime import avro
from services.runtime.clock import Clock
from services.runtime.errors import Transient
from services.runtime.log.interface import EventLog, Message
from services.runtime.logs import get_logger
from services.runtime.topics import TOPICS

__all__ = ["Reporter", "reporting"]

NOTE_S = 5.0  # refusals that a crash may lose
REPORT_EVERY = timedelta(minutes=1)
ROWS_MAX = 5_000  # of a message: 400 kB, under half of what one may have
_TOPIC = TOPICS["source-report"].name
_SCHEMA = "source_report"


class Reporter:
    """`edge` names this process; `spool_bytes` says how much waits for the event log. Use from one thread."""

    def __init__(
        self,
        counts: SourceCounts,
        refusals: Refusals,
        sources: Sources,
        log: EventLog,
        clock: Clock,
        *,
        edge: str,
        spool_bytes: Callable[[], int],
    ) -> None:
        self._counts, self._refusals, self._sources = counts, refusals, sources
        self._log, self._clock = log, clock
        self._edge, self._spool_bytes = edge, spool_bytes
        self._next = clock.now()

    def step(self) -> None:
        """Write down refusals; report when it is time. Raises `Transient`."""
        self._counts.add_refusals(self._refusals)
        now = self._clock.now()
        if now >= self._next:
            self._next = now + REPORT_EVERY
            self.report()
            self._counts.forget(now)

    def report(self) -> None:
        """Everything that changed since the last report. Raises `Transient`."""
        self._send(self._standing())
        while changed := self._counts.unreported(ROWS_MAX):
            self._send([(c.source, c.tenant, c.block, c.outcome, c.count) for c in changed])
            self._counts.mark_reported(changed)

    def _standing(self) -> list[tuple[Any, ...]]:
        """That this process lives, and which sources there are, also those that nothing came from."""
        block = block_of(self._clock.now())
        declared = [(source.name, source.tenant, block, "declared", 1) for source in self._sources.all()]
        return [(None, None, block, "spool_bytes", self._spool_bytes()), *declared]

    def _send(self, rows: Sequence[tuple[Any, ...]]) -> None:
        for start in range(0, len(rows), ROWS_MAX):
            found = [(self._edge, s, t, _naive(b), o, n) for s, t, b, o, n in rows[start : start + ROWS_MAX]]
            frame = pl.DataFrame(found, schema=dict(avro.columns(_SCHEMA)), orient="row")
            self._log.send([Message(_TOPIC, self._edge.encode(), avro.encode_batch(frame, _SCHEMA, {}))])


@contextlib.contextmanager
def reporting(reporter: Reporter) -> Iterator[None]:
    """Reports while the block runs, and once more at its end. Nothing here may stop ingest itself."""
    ending = threading.Event()

    def run() -> None:
        while not ending.wait(NOTE_S):
            _step(reporter.step)

    thread = threading.Thread(target=run, name="source reports", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
        _step(reporter.step)
        _step(reporter.report)


def _step(step: Callable[[], None]) -> None:
    try:
        step()
    except Transient as error:
        get_logger().warning("source reports wait", reason=str(error), retry_after_s=error.retry_after_s)
    except Exception as error:  # a defect here must not cost a line; it is seen in the log
        get_logger().error("source reports fail", exc_info=error)


def _naive(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None)
