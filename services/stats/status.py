"""Where the statistics plane stands, without a look at ClickHouse."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from services.runtime.database import transaction
from services.runtime.lag import lag
from services.runtime.log.interface import EventLog
from services.runtime.topics import TOPICS
from services.stats.days import CLOSED
from services.stats.records import day_cells, days

__all__ = ["StatisticsStatus", "statistics_status"]

_GROUP = "stats"


@dataclass(frozen=True, slots=True)
class StatisticsStatus:
    """`lag`: records of the log that are not counted yet. The rest is of all closed days, ever."""

    lag: int
    events_counted: int
    days_closed: int
    days_open: int
    cells_published: int


def statistics_status(engine: sa.Engine, log: EventLog) -> StatisticsStatus:
    """Reads the records and the log's offsets; also beside a running service."""
    closed = sa.case((days.c.state == CLOSED, 1), else_=0)
    with transaction(engine) as connection:
        of_days = sa.select(sa.func.sum(days.c.rows), sa.func.sum(closed), sa.func.count())
        rows, days_closed, all_days = connection.execute(of_days.select_from(days)).one()
        cells = connection.scalar(sa.select(sa.func.sum(day_cells.c.rows)))
    return StatisticsStatus(
        lag=lag(log, _GROUP, TOPICS["access-log"].name),
        events_counted=int(rows or 0),
        days_closed=int(days_closed or 0),
        days_open=int(all_days) - int(days_closed or 0),
        cells_published=int(cells or 0),
    )
