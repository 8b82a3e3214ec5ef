"""Closing days: which are due, who closes them, and how many at once. Idempotent, and resumable when killed anywhere.

What is done with them is in `steps`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from services.runtime.clickhouse import sql
from services.runtime.database import Lease
from services.runtime.errors import Transient
from services.stats.closing.steps import STEPS, Closer, Step, in_group
from services.stats.days.forgetting import clear_old_parts, delete_events, restore_lifetime
from services.stats.days.ledgers import end_offsets, wait_for_ledgers
from services.stats.days.states import CLOSED, CLOSING, DROPPED, OPEN, PUBLISHED, Day, TenantDay, due
from services.stats.engine import engine_errors
from services.stats.store import SQL

__all__ = ["close_days", "close_due", "close_through", "discover", "drop_strays"]

_LEASE = "stats-close"
LEASE_S = 300  # renewed before each step; longer than the longest step on the largest group (100 s)
ROWS_MAX = 5_000_000  # of one group: its rows are held in memory (about 150 bytes each) while the cubes are built
PAIRS_MAX = 500  # of one group: they are parameters of a query


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
        if pairs := [day.pair for day in in_group(closer, group) if day.state in step.on]:
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
