"""What only a visitor's whole day tells: who objected, who behaved as a program does.

The statistics' own statements decide, over the log's events in a store of their own: in memory, and gone with it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import NamedTuple

import polars as pl

from services.runtime.clickhouse import Analytics, open_analytics
from services.stats.closing.gathering import Objectors, find_objected, put_pairs, working_tables
from services.stats.closing.suspects import find_suspected
from services.stats.days.states import TenantDay
from services.stats.figures.disclosure import DayKeys
from services.stats.store import create_tables

__all__ = ["Judge", "Judged", "judge"]

_OBJECTED = "SELECT day, visitor AS client FROM {table:Identifier}"
_SUSPECTED = "SELECT day, visitor AS client, CAST(reason, 'String') AS reason FROM {table:Identifier}"


class Judged(NamedTuple):
    """`objected` has the columns day and client, `suspected` a `reason` too (one of `suspects.REASONS`)."""

    objected: pl.DataFrame
    suspected: pl.DataFrame


class Judge:
    """Takes the events of a log in, piece by piece; then says it of all of them."""

    def __init__(self, store: Analytics) -> None:
        self._store = store

    def take(self, events: pl.DataFrame) -> None:
        """`events` has `EVENT_COLUMNS`."""
        if events.height:
            self._store.insert("events", events)  # the other columns' defaults: an event, and not late

    def say(self, keys: DayKeys, objectors: Objectors) -> Judged:
        with working_tables(self._store, "reconcile") as tables:
            find_objected(self._store, tables, keys, objectors)
            put_pairs(self._store, tables, [TenantDay(tenant, day) for tenant, day in keys])
            find_suspected(self._store, asdict(tables))
            return Judged(
                self._store.frame(_OBJECTED, {"table": tables.objected}),
                self._store.frame(_SUSPECTED, {"table": tables.suspects}),
            )


@contextmanager
def judge() -> Iterator[Judge]:
    """Raises `Fatal` while this process has another embedded store open: there is one engine in a process."""
    with (
        tempfile.TemporaryDirectory(prefix="voile-reconcile-") as folder,
        closing(open_analytics(f"chdb://{folder}/analytics")) as store,
    ):
        create_tables(store)
        store.command("CREATE TABLE in_memory AS events ENGINE = Memory SETTINGS compress = 1")
        store.command("DROP TABLE events SYNC")
        store.command("RENAME TABLE in_memory TO events")
        yield Judge(store)
