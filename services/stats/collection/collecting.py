"""The worker's part in the collection page: follows `source-report.v1`, measures how far counting is behind."""

from __future__ import annotations

import polars as pl

from services.runtime import avro
from services.runtime.clock import Clock
from services.runtime.errors import Poison, Transient
from services.runtime.lag import lag
from services.runtime.log.interface import EventLog, Record
from services.runtime.logs import get_logger
from services.runtime.stop import Stop
from services.runtime.topics import TOPICS
from services.stats.collection.reports import LAG, Collection

__all__ = ["Collector"]

LOOK_S = 20.0  # ingest reports once a minute
_SCHEMA = "source_report"


class Collector:
    """Use from one thread. Several workers may do the same: it comes to the same."""

    def __init__(self, log: EventLog, collection: Collection, group: str, clock: Clock) -> None:
        self._log, self._collection, self._group, self._clock = log, collection, group, clock
        self._follower = log.follower([TOPICS["source-report"].name])
        self._waiting: list[pl.DataFrame] = []

    def run(self, stop: Stop) -> None:
        """Until `stop`. What must wait is tried again."""
        try:
            while not stop.is_set:
                try:
                    self.step()
                except Transient as error:
                    get_logger().warning("collection waits", reason=str(error), retry_after_s=error.retry_after_s)
                stop.wait(LOOK_S)
        finally:
            self._follower.close()

    def step(self) -> None:
        """Everything reported since the last step. Raises `Transient`; what was read by then waits here."""
        self._waiting += [frame for record in self._follower.poll() if (frame := _reported(record)) is not None]
        if self._waiting:
            self._collection.take(pl.concat(self._waiting))
            self._waiting = []
        now = self._clock.now()
        self._collection.measure(LAG, lag(self._log, self._group, TOPICS["access-log"].name), now)
        self._collection.forget(now)


def _reported(record: Record) -> pl.DataFrame | None:
    """The record's rows, with when the log took it; None for one that cannot be read: the next one says it again."""
    try:
        frame, _ = avro.decode_batch(record.value or b"", _SCHEMA)
    except Poison as error:
        get_logger().warning("source report skipped", topic=record.partition.topic, reason=error.reason)
        return None
    return frame.with_columns(pl.lit(record.timestamp_ms // 1000, dtype=pl.Int64).alias("heard"))
