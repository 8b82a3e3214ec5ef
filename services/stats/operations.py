"""What a command may ask of the process that owns the embedded store.

Each command has a thread of its own, so it has a client of its own: one client does one thing at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import date
from typing import Any

from services.runtime.control import Operation
from services.runtime.lag import lag
from services.runtime.retention.published import as_json
from services.runtime.topics import TOPICS
from services.stats.access.scope import Scope
from services.stats.closing.close import close_through
from services.stats.days.forgetting import count_events
from services.stats.days.states import CLOSED, OPEN, closes_at
from services.stats.figures.cells import cells_kept
from services.stats.queries.answers import Queries
from services.stats.service import GROUP, Statistics

__all__ = ["close", "operations", "query", "retention", "status"]

COMMAND = "stats-command"  # holds the closing lease under a name of its own, beside the timer


def operations(statistics: Statistics, wait: Callable[[], None]) -> Mapping[str, Operation]:
    return {
        "close": lambda arguments: close(statistics, wait, arguments),
        "query": lambda arguments: query(statistics, arguments),
        "status": lambda _arguments: status(statistics),
        "retention": lambda arguments: retention(statistics, arguments),
    }


def close(statistics: Statistics, wait: Callable[[], None], arguments: Mapping[str, Any]) -> list[dict[str, str]]:
    """`{"through": "2026-11-23"}` -> the days that it closed, as `{"tenant", "day"}`."""
    statistics.note_route_tables()
    with closing(statistics.closing.another()) as own:
        closed = close_through(statistics.closer(wait, COMMAND, own), date.fromisoformat(arguments["through"]))
    return [{"tenant": day.tenant, "day": day.day.isoformat()} for day in closed]


def query(statistics: Statistics, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """`{"query": {...}}` -> the answer for the operator, who may see every tenant. Raises `QueryError`."""
    with closing(statistics.reading.another()) as own:
        return Queries(own, statistics.clock, statistics.settings.zone).answer(arguments["query"], Scope())


def retention(statistics: Statistics, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`{"run": true}` removes what is over first -> the lines of the report, as JSON has them."""
    with closing(statistics.closing.another()) as own:
        terms = statistics.retention(own)
        return [as_json(line) for line in (terms.run() if arguments["run"] else terms.report())]


def status(statistics: Statistics) -> dict[str, Any]:
    """`lag`: records of the log that are not counted yet. `days`: how many stand in each state. `rows_open`: in days
    that are not closed yet; `rows_counted`: in the figures of those that are. `closes_next`: when the first of the open
    days closes by itself."""
    days, zone = statistics.days.listed(), statistics.settings.zone
    still_open = [day for day in days if day.state == OPEN]
    with closing(statistics.closing.another()) as own:
        waiting = count_events(own, [day.pair for day in still_open]) if still_open else {}
    closings = [closes_at(day, zone).astimezone(zone) for day in still_open]
    closed = [day.day for day in days if day.state == CLOSED]
    return {
        "lag": lag(statistics.log, GROUP, TOPICS["access-log"].name),
        "days": dict(Counter(day.state for day in days)),
        "closed_through": max(closed).isoformat() if closed else None,
        "closes_next": min(closings).isoformat(timespec="minutes") if closings else None,
        "rows_open": sum(waiting.values()),
        "rows_counted": sum(day.rows for day in days),
        "rows_objected": sum(day.objected for day in days),
        "rows_late": sum(day.late for day in days),
        "cells_published": cells_kept(statistics.engine),
    }
