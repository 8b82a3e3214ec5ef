"""How far the statistics store has taken in the event log: the ledgers' offset ranges, without a gap."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from services.runtime.clickhouse import Analytics, sql
from services.runtime.clock import Clock
from services.runtime.errors import Transient
from services.runtime.log.interface import EventLog, Partition
from services.runtime.topics import TOPICS
from services.stats.days.states import Offsets
from services.stats.store import SQL

__all__ = ["WAIT_S_MAX", "end_offsets", "reached", "wait_for_ledgers"]

WAIT_S_MAX = 600.0  # a worker that is up takes in 10 minutes of backlog in seconds; longer means that it is down
ACCESSES = "access-log"


def end_offsets(log: EventLog) -> Offsets:
    """The end of every partition of the accesses' topic as it stands now; empty ones are left out."""
    ends = {key: log.offsets(p) for key, p in _partitions(log).items()}
    return {key: end for key, (first, end) in ends.items() if end > first}


def reached(analytics: Analytics) -> Offsets:
    """Per partition the first offset that no ledger row accounts for, from the oldest row on."""
    ranges = analytics.frame(sql(SQL, "ledger_ranges"))
    by = ["topic_id", "log_partition"]
    before = pl.col("last_offset").cum_max().shift(1).over(by)
    torn = (pl.col("first_offset") > before + 1).fill_null(False).cast(pl.UInt32).cum_sum().over(by) > 0
    ends = ranges.filter(~torn).group_by(by).agg(pl.col("last_offset").max() + 1)
    return {f"{topic}/{number}": int(end) for topic, number, end in ends.iter_rows()}


def wait_for_ledgers(analytics: Analytics, ends: Offsets, clock: Clock, wait: Callable[[], None]) -> None:
    """Returns once everything before `ends` is accounted for; `wait` is called between two looks.

    Raises `Transient` after `WAIT_S_MAX`.
    """
    started = clock.now()
    while behind := [key for key, end in ends.items() if reached(analytics).get(key, 0) < end]:
        if (clock.now() - started).total_seconds() > WAIT_S_MAX:
            raise Transient(
                f"{len(behind)} partitions of the log are not counted yet; start the worker, then close again.",
                retry_after_s=60,
            )
        wait()


def _partitions(log: EventLog) -> dict[str, Partition]:
    topic = TOPICS[ACCESSES].name
    topic_id = log.topic_id(topic)
    return {f"{topic_id}/{partition.number}": partition for partition in log.partitions(topic)}
