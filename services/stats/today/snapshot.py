"""Today, before it is closed: singles by the closing code, marked provisional, replaced as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from services.runtime.clickhouse import Analytics, sql
from services.runtime.clock import Clock
from services.stats.closing.gathering import Objectors, Tables, build_cells, find_objected, gather, working_tables
from services.stats.closing.late import late_cells
from services.stats.days.states import CLOSING, OPEN, Days, TenantDay
from services.stats.engine import engine_errors
from services.stats.figures.cells import replace_provisional
from services.stats.figures.cubes import Cube, Measure, declared_cubes
from services.stats.figures.disclosure import DayKeys, PublishedCells, publish, together
from services.stats.pseudonyms.keyring import Keyring
from services.stats.store import SQL

__all__ = ["NOW_MINUTES", "Snapshotter", "take_snapshot"]

NOW_MINUTES = 5  # "now" is the last complete block of this many minutes
NOW = Cube("now", (), "people", (Measure("visitors", "people"),), None)  # its dim1 is the block's start


@dataclass(frozen=True)
class Snapshotter:
    """All that a snapshot needs."""

    analytics: Analytics
    days: Days
    keys: Keyring
    objectors: Objectors
    clock: Clock


@engine_errors()
def take_snapshot(snapshotter: Snapshotter) -> int:
    """Replaces the provisional cells of every tenant by those of the open days. Returns how many there are now.

    The same keys as at the close draw the same roundings: two snapshots of an unchanged cell look the same,
    and so does the closed day.
    """
    keys = _open_keys(snapshotter)
    replace_provisional(snapshotter.analytics, cells := _cells(snapshotter, keys))
    return cells.height


def _cells(snapshotter: Snapshotter, keys: DayKeys) -> PublishedCells:
    with working_tables(snapshotter.analytics, "snapshot") as tables:
        find_objected(snapshotter.analytics, tables, keys, snapshotter.objectors)
        gather(snapshotter.analytics, tables, [TenantDay(tenant, day) for tenant, day in keys])
        gathered = build_cells(snapshotter.analytics, tables, declared_cubes().singles(), keys)
        late = late_cells(snapshotter.analytics, tables.objected, keys)
        return together([gathered.cells, late, _now(snapshotter, tables, keys)])


def _open_keys(snapshotter: Snapshotter) -> dict[tuple[str, date], bytes]:
    days = snapshotter.days.listed(OPEN, CLOSING)
    found = {(d.tenant, d.day): snapshotter.keys.existing(d.tenant, d.day) for d in days}
    return {pair: key for pair, key in found.items() if key is not None}


def _now(snapshotter: Snapshotter, tables: Tables, keys: DayKeys) -> PublishedCells:
    first, end = _last_block(snapshotter.clock.now())
    out = {"objected": tables.objected, "suspects": tables.suspects}
    parameters = {"block": first.isoformat(), "first": first, "end": end, **out}
    people = snapshotter.analytics.frame(sql(SQL, "now_people"), parameters)
    return publish(people.rename({"tenant_name": "tenant"}), NOW, keys)


def _last_block(now: datetime) -> tuple[datetime, datetime]:
    """The start and end of the last complete block before `now` (UTC)."""
    block = timedelta(minutes=NOW_MINUTES)
    end = datetime.min.replace(tzinfo=UTC) + (now - datetime.min.replace(tzinfo=UTC)) // block * block
    return end - block, end
