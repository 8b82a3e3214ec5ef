"""What came late on a day, as cells: the rows that `counting/late.py` moved there."""

from __future__ import annotations

from services.runtime.clickhouse import Analytics, sql
from services.stats.figures.cubes import LATE
from services.stats.figures.disclosure import DayKeys, PublishedCells, publish
from services.stats.store import SQL

__all__ = ["late_cells"]


def late_cells(analytics: Analytics, objected: str, keys: DayKeys) -> PublishedCells:
    """The cells of what came late on the days of `keys`; `objected` is the table of visitors
    to leave out."""
    pairs = [(tenant, day.isoformat()) for tenant, day in keys]
    people = analytics.frame(sql(SQL, "late_people"), {"pairs": pairs, "objected": objected})
    return publish(people.rename({"tenant_name": "tenant"}), LATE, keys)
