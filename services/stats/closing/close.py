"""Closing a day: figures out, people gone. Idempotent, and resumable when killed anywhere.

For any number of (tenant, day) at once:

1. take the log's end offsets and wait until the ledgers account for everything before them;
2. remove every visitor that carried an account with an objection;
3. build the cubes, keep their cells in the records, publish them;
4. bound and draw the noise of the releases;
5. verify that the rows there are are the rows that the cubes saw;
6. delete the event rows, and wait until they have left the disk;
7. destroy the day's key.

After 5 no row of the day is accepted any more; what the log still brings is late, and never a visitor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from services.runtime.clickhouse import Analytics, sql
from services.runtime.clock import Clock
from services.runtime.database import Lease, transaction
from services.runtime.errors import Fatal, Transient
from services.runtime.log.interface import EventLog
from services.runtime.logs import get_logger
from services.stats.closing.gathering import Objectors, build_cells, find_objected, gather, rows_there, working_tables
from services.stats.closing.late import late_cells
from services.stats.closing.proposals import Proposals
from services.stats.days.forgetting import (
    clear_old_parts,
    count_events,
    delete_events,
    refuse_damaged,
    restore_lifetime,
)
from services.stats.days.ledgers import end_offsets, wait_for_ledgers
from services.stats.days.states import CLOSED, CLOSING, DROPPED, OPEN, PUBLISHED, Day, Days, TenantDay, due
from services.stats.engine import engine_errors
from services.stats.figures.cells import discard_cells, keep_cells, kept_cells, publish_cells, without_cells
from services.stats.figures.cubes import declared_cubes
from services.stats.figures.disclosure import together

__all__ = ["STEPS", "Closer", "Step", "close_days", "close_due", "close_through", "discover", "drop_strays"]

SQL = "services.stats.sql"
_Rows = Mapping[TenantDay, int]
_LEASE = "stats-close"
LEASE_S = 300  # renewed before each step; longer than the longest step on the largest group (100 s)
ROWS_MAX = 5_000_000  # of one group: its rows are held in memory (about 150 bytes each) while the cubes are built
PAIRS_MAX = 500  # of one group: they are parameters of a query


class DayKeyring(Protocol):
    def existing(self, tenant: str, day: date) -> bytes | None: ...
    def destroy(self, tenant: str, day: date) -> bool: ...


@dataclass(frozen=True)
class Closer:
    """All that closing needs. `draw_releases` is called at step 4 with the days that close and the table of visitors
    that objected, and must bear being called again; `draw_silent` with the last day of a closing that somebody asked
    for, to draw days that had no row at all; `wait` is called while the worker is behind (a command without a
    worker steps it there)."""

    analytics: Analytics
    records: sa.Engine
    keys: DayKeyring
    log: EventLog
    objectors: Objectors
    draw_releases: Callable[[Sequence[TenantDay], str], object]
    draw_silent: Callable[[date], object]
    clock: Clock
    wait: Callable[[], None]
    holder: str = "stats"

    @property
    def days(self) -> Days:
        return Days(self.records)


@dataclass(frozen=True, slots=True)
class Step:
    """`run` gets the days of the group that stand in one of `on`."""

    run: Callable[[Closer, Sequence[TenantDay]], None]
    on: tuple[str, ...]


def record_cutoffs(closer: Closer, pairs: Sequence[TenantDay]) -> None:
    """1. The state is set before the offsets are read: whoever read "open" had polled below these ends."""
    closer.days.advance(pairs, CLOSING)
    without = [day.pair for day in _in_group(closer, pairs) if day.cutoffs is None]
    closer.days.note(without, cutoffs=end_offsets(closer.log))


def wait_for_cutoffs(closer: Closer, pairs: Sequence[TenantDay]) -> None:
    """1. Everything before the cut-offs is in the store."""
    wanted: dict[str, int] = {}
    for day in _in_group(closer, pairs):
        for key, end in (day.cutoffs or {}).items():
            wanted[key] = max(end, wanted.get(key, 0))
    wait_for_ledgers(closer.analytics, wanted, closer.clock, closer.wait)


def drop_objectors(closer: Closer, pairs: Sequence[TenantDay]) -> None:
    """2. Their rows are deleted from the events, so that no later step can meet them."""
    with working_tables(closer.analytics, "close") as tables:
        find_objected(closer.analytics, tables, _keys(closer, pairs), closer.objectors)
        names = {"objected": tables.objected}
        counted = closer.analytics.frame(sql(SQL, "count_objected"), names)
        if counted.is_empty():
            return
        closer.days.put("objected", {TenantDay(tenant, day): rows for tenant, day, rows in counted.iter_rows()})
        closer.analytics.delete(sql(SQL, "delete_objected"), names)


def build_cubes(closer: Closer, pairs: Sequence[TenantDay]) -> None:
    """3. Into the records: from here on the day's cells are final."""
    missing = without_cells(closer.records, pairs)
    if not missing:
        return
    keys = _keys(closer, missing)
    with working_tables(closer.analytics, "close") as tables:
        find_objected(closer.analytics, tables, keys, closer.objectors)
        before = rows_there(closer.analytics, tables, missing)
        gather(closer.analytics, tables, missing)
        gathered = build_cells(closer.analytics, tables, declared_cubes().cubes, keys)
        late = late_cells(closer.analytics, tables.objected, keys)
        after = rows_there(closer.analytics, tables, missing)
    _refuse_unaccounted(missing, before, gathered.accounted, after)
    with transaction(closer.records) as connection:
        keep_cells(connection, missing, together([gathered.cells, late]))
        closer.days.put_in(connection, "rows", {pair: gathered.accounted.get(pair, 0) for pair in missing})


def publish(closer: Closer, pairs: Sequence[TenantDay]) -> None:
    """3. From the records into the statistics store."""
    publish_cells(closer.analytics, pairs, kept_cells(closer.records, pairs))


def draw_releases(closer: Closer, pairs: Sequence[TenantDay]) -> None:
    """4. Tenants that opted in; the noise is drawn once for all time. Rows of objectors may have come in since 2."""
    with working_tables(closer.analytics, "close") as tables:
        find_objected(closer.analytics, tables, _keys(closer, pairs), closer.objectors)
        closer.draw_releases(pairs, tables.objected)


def verify(closer: Closer, pairs: Sequence[TenantDay]) -> None:
    """5. Rows that left since the cubes were built (an erasure, an objection before a closing was resumed) must not
    stay in the figures: such a day is built again. Rows that the store lost end the closing: nothing is deleted."""
    there = count_events(closer.analytics, pairs)
    if short := [day.pair for day in _in_group(closer, pairs) if there.get(day.pair, 0) < day.rows]:
        refuse_damaged(closer.analytics)
        get_logger().warning("rows left a closing day; its cubes are built again", count=len(short))
        discard_cells(closer.records, short)
        build_cubes(closer, short)
        publish(closer, short)
    closer.days.advance(pairs, PUBLISHED)


def propose_routes(closer: Closer, pairs: Sequence[TenantDay]) -> None:
    """Templates for crowded prefixes, read off what was published: they wait for the tenant's administrators."""
    Proposals(closer.records).propose(kept_cells(closer.records, pairs))


def wait_for_writers(closer: Closer, pairs: Sequence[TenantDay]) -> None:  # noqa: ARG001  # a barrier is for all days
    """6. A batch that was read while the day was open is written by now; every later one calls the day's rows late."""
    wait_for_ledgers(closer.analytics, end_offsets(closer.log), closer.clock, closer.wait)


def drop_events(closer: Closer, pairs: Sequence[TenantDay]) -> None:
    """6. Rows that came after the cubes were built are counted as late, and go with the others."""
    there = count_events(closer.analytics, pairs)
    late = {d.pair: there[d.pair] - d.rows for d in _in_group(closer, pairs) if there.get(d.pair, 0) > d.rows}
    closer.days.put("late", late)
    delete_events(closer.analytics, pairs)
    clear_old_parts(closer.analytics, closer.clock)
    closer.days.advance(pairs, DROPPED)


def destroy_keys(closer: Closer, pairs: Sequence[TenantDay]) -> None:
    """7. The state outlives the key, so a late row never makes a new one."""
    for tenant, day in pairs:
        closer.keys.destroy(tenant, day)
    closer.days.advance(pairs, CLOSED, closed_at=closer.clock.now().isoformat())


STEPS: Sequence[Step] = (
    Step(record_cutoffs, (OPEN, CLOSING)),
    Step(wait_for_cutoffs, (CLOSING,)),
    Step(drop_objectors, (CLOSING,)),
    Step(build_cubes, (CLOSING,)),
    Step(publish, (CLOSING,)),
    Step(draw_releases, (CLOSING,)),
    Step(verify, (CLOSING,)),
    Step(propose_routes, (PUBLISHED,)),
    Step(wait_for_writers, (PUBLISHED,)),
    Step(drop_events, (PUBLISHED,)),
    Step(destroy_keys, (DROPPED,)),
)


def discover(closer: Closer) -> None:
    """Opens the days that have rows and are not known yet."""
    found = closer.analytics.frame(sql(SQL, "event_days"))
    closer.days.seen([TenantDay(tenant, day) for tenant, day, _ in found.iter_rows()], closer.clock.now())


@engine_errors()
def close_due(closer: Closer, zone: ZoneInfo) -> list[Day]:
    """Closes what is due, and what a closer that died left half done; for a timer. Returns the days it closed."""
    discover(closer)
    drop_strays(closer)
    now = closer.clock.now()
    unfinished = closer.days.listed(OPEN, CLOSING, PUBLISHED, DROPPED)
    return close_days(closer, [d.pair for d in unfinished if d.state != OPEN or due(d, now, zone)])


@engine_errors()
def close_through(closer: Closer, through: date) -> list[Day]:
    """Closes every day up to `through`, after everything that is in the log now has been counted. The releases' days
    that had no row are drawn too: nobody can tell them from others."""
    wait_for_ledgers(closer.analytics, end_offsets(closer.log), closer.clock, closer.wait)
    discover(closer)
    unfinished = closer.days.listed(OPEN, CLOSING, PUBLISHED, DROPPED, through=through)
    closed = close_days(closer, [d.pair for d in unfinished])
    with _leased(closer):
        closer.draw_silent(through)
    return closed


@engine_errors()
def close_days(closer: Closer, pairs: Sequence[TenantDay], steps: Sequence[Step] = STEPS) -> list[Day]:
    """Takes each of `pairs` through the steps that it has not been through. Returns those that are closed now.

    Raises `Transient` when another closer is at work or the worker is behind: call again.
    """
    if not pairs:
        return []
    with _leased(closer) as lease:
        restore_lifetime(closer.analytics)
        for group in _groups(closer, pairs):
            _close_group(closer, lease, group, steps)
    wanted = set(pairs)
    return [day for day in closer.days.listed(CLOSED) if day.pair in wanted]


def drop_strays(closer: Closer) -> None:
    """Deletes event rows of days that are closed: a writer that was fenced may still have finished one insert."""
    gone = {day.pair for day in closer.days.listed(DROPPED, CLOSED)}
    found = closer.analytics.frame(sql(SQL, "event_days"))
    strays = {TenantDay(t, d): n for t, d, n in found.iter_rows() if TenantDay(t, d) in gone}
    if strays:
        closer.days.count("late", strays)
        delete_events(closer.analytics, list(strays))
        clear_old_parts(closer.analytics, closer.clock)


def _close_group(closer: Closer, lease: Lease, group: Sequence[TenantDay], steps: Sequence[Step]) -> None:
    for step in steps:
        _hold(closer, lease)
        if pairs := [day.pair for day in _in_group(closer, group) if day.state in step.on]:
            step.run(closer, pairs)


@contextmanager
def _leased(closer: Closer) -> Iterator[Lease]:
    lease = Lease(closer.records, _LEASE, closer.holder, LEASE_S)
    _take(closer, lease)
    try:
        yield lease
    finally:
        lease.release()


def _take(closer: Closer, lease: Lease) -> None:
    """A closer that died left its lease behind; a live one is done in seconds."""
    until = closer.clock.now() + timedelta(seconds=LEASE_S)
    while not lease.acquire(closer.clock.now()):
        if closer.clock.now() > until:
            raise Transient("Another process is closing days; this one waits for its turn.", retry_after_s=60)
        closer.wait()


def _hold(closer: Closer, lease: Lease) -> None:
    if not lease.acquire(closer.clock.now()):
        raise Transient("Another process took over the closing of days.", retry_after_s=60)


def _refuse_unaccounted(pairs: Sequence[TenantDay], before: _Rows, seen: _Rows, after: _Rows) -> None:
    """Rows past the cut-off may still come in while the cubes are built; none may go missing."""
    if any(not before.get(p, 0) <= seen.get(p, 0) <= after.get(p, 0) for p in pairs):
        raise Fatal("The cubes did not see every row of a closing day; nothing was published. Report this defect.")


def _keys(closer: Closer, pairs: Sequence[TenantDay]) -> dict[tuple[str, date], bytes]:
    """The keys that exist. Without its key (records restored, keys never are) a day closes and shows nothing."""
    found: Mapping[tuple[str, date], bytes | None] = {(t, d): closer.keys.existing(t, d) for t, d in pairs}
    return {pair: key for pair, key in found.items() if key is not None}


def _in_group(closer: Closer, pairs: Sequence[TenantDay]) -> list[Day]:
    wanted = set(pairs)
    return [day for day in closer.days.listed(OPEN, CLOSING, PUBLISHED, DROPPED) if day.pair in wanted]


def _groups(closer: Closer, pairs: Sequence[TenantDay]) -> Iterator[list[TenantDay]]:
    found = closer.analytics.frame(sql(SQL, "event_days"))
    rows = {TenantDay(tenant, day): number for tenant, day, number in found.iter_rows()}
    group: list[TenantDay] = []
    held = 0
    for pair in pairs:
        if group and (held + rows.get(pair, 0) > ROWS_MAX or len(group) == PAIRS_MAX):
            yield group
            group, held = [], 0
        group.append(pair)
        held += rows.get(pair, 0)
    if group:
        yield group
