"""What a day goes through when it is closed: figures out, people gone. Each step may be done again.

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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from services.runtime.clickhouse import Analytics, sql
from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.errors import Fatal
from services.runtime.log.interface import EventLog
from services.runtime.logs import get_logger
from services.stats.closing.gathering import Objectors, build_cells, find_objected, gather, rows_there, working_tables
from services.stats.closing.late import late_cells
from services.stats.closing.proposals import Proposals
from services.stats.days.forgetting import clear_old_parts, count_events, delete_events, refuse_damaged
from services.stats.days.ledgers import end_offsets, wait_for_ledgers
from services.stats.days.states import CLOSED, CLOSING, DROPPED, OPEN, PUBLISHED, Day, Days, TenantDay
from services.stats.figures.cells import discard_cells, keep_cells, kept_cells, publish_cells, without_cells
from services.stats.figures.cubes import declared_cubes
from services.stats.figures.disclosure import together
from services.stats.pseudonyms.keyring import Keyring
from services.stats.store import SQL

__all__ = ["STEPS", "Closer", "Step", "in_group"]

_Rows = Mapping[TenantDay, int]


@dataclass(frozen=True)
class Closer:
    """All that closing needs. `draw_releases` is called at step 4 with the days that close and the table of visitors
    that objected, and must bear being called again; `draw_silent` with the last day of a closing that somebody asked
    for, to draw days that had no row at all; `wait` is called while the worker is behind (a command without a
    worker steps it there)."""

    analytics: Analytics
    records: sa.Engine
    keys: Keyring
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
    without = [day.pair for day in in_group(closer, pairs) if day.cutoffs is None]
    closer.days.note(without, cutoffs=end_offsets(closer.log))


def wait_for_cutoffs(closer: Closer, pairs: Sequence[TenantDay]) -> None:
    """1. Everything before the cut-offs is in the store."""
    wanted: dict[str, int] = {}
    for day in in_group(closer, pairs):
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
    if short := [day.pair for day in in_group(closer, pairs) if there.get(day.pair, 0) < day.rows]:
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
    late = {d.pair: there[d.pair] - d.rows for d in in_group(closer, pairs) if there.get(d.pair, 0) > d.rows}
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


def in_group(closer: Closer, pairs: Sequence[TenantDay]) -> list[Day]:
    """How those of `pairs` stand that are not closed yet."""
    wanted = set(pairs)
    return [day for day in closer.days.listed(OPEN, CLOSING, PUBLISHED, DROPPED) if day.pair in wanted]


def _refuse_unaccounted(pairs: Sequence[TenantDay], before: _Rows, seen: _Rows, after: _Rows) -> None:
    """Rows past the cut-off may still come in while the cubes are built; none may go missing."""
    if any(not before.get(p, 0) <= seen.get(p, 0) <= after.get(p, 0) for p in pairs):
        raise Fatal("The cubes did not see every row of a closing day; nothing was published. Report this defect.")


def _keys(closer: Closer, pairs: Sequence[TenantDay]) -> dict[tuple[str, date], bytes]:
    """The keys that exist. Without its key (records restored, keys never are) a day closes and shows nothing."""
    found: Mapping[tuple[str, date], bytes | None] = {(t, d): closer.keys.existing(t, d) for t, d in pairs}
    return {pair: key for pair, key in found.items() if key is not None}
