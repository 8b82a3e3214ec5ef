"""The last steps: from the exact figures of a log to the ones that are shown, by what may lie between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from services.cli.reconciling.stages import Counts, Step
from services.stats.days.states import CLOSED, DROPPED, PUBLISHED, Day
from services.stats.figures.disclosure import ROUNDING

__all__ = ["METRICS", "Shown", "publishing_steps", "question", "shown_by_day"]

METRICS = ("requests", "pageviews", "visitors")  # of the query API, in the order of `Counts`
_CLOSED = {PUBLISHED, DROPPED, CLOSED}
NOT_CLOSED = "the day is not closed: nothing is shown yet"
SMALL = "below the threshold: not shown"
ROUNDED = "rounding to a multiple of 5"
ELSEWHERE = "late, not imported, or of other logs (and rounding)"
SNAPSHOT = "since the last snapshot, not imported, or of other logs (and rounding)"


@dataclass(frozen=True, slots=True)
class Shown:
    """`figures` in the order of `Counts`, None where none is shown. `state`: of the day; None: unknown to the
    statistics. `late`: some of its lines came after its close."""

    figures: tuple[int | None, int | None, int | None] = (None, None, None)
    state: str | None = None
    late: bool = False


def question(tenant: str, days: Sequence[date]) -> dict[str, Any]:
    """What to ask the query API."""
    return {
        "site_id": tenant,
        "metrics": list(METRICS),
        "date_range": [min(days).isoformat(), max(days).isoformat()],
        "dimensions": ["time:day"],
        "pagination": {"limit": 10_000},
    }


def shown_by_day(answer: Mapping[str, Any], days: Sequence[Day]) -> dict[date, Shown]:
    """`answer` to the `question`; `days`: the tenant's."""
    figures = {date.fromisoformat(row["dimensions"][0]): tuple(row["metrics"]) for row in answer["results"]}
    known = {day.day: day for day in days}
    return {
        day: Shown(
            figures.get(day, (None, None, None)),
            known[day].state if day in known else None,
            day in known and known[day].late > 0,
        )
        for day in {*figures, *known}
    }


def publishing_steps(exact: Counts, shown: Shown) -> list[Step]:
    """From `exact` to what is shown; a figure that is not shown counts 0."""
    closed = shown.state in _CLOSED
    nothing = SMALL if closed or any(f is not None for f in shown.figures) else NOT_CLOSED
    changes = {name: [0, 0, 0] for name in (NOT_CLOSED, SMALL, ELSEWHERE if closed else SNAPSHOT, ROUNDED)}
    for at, (there, figure) in enumerate(zip(exact, shown.figures, strict=True)):
        change = (figure or 0) - there
        rounded = abs(change) < ROUNDING
        name = nothing if figure is None else ROUNDED if rounded else ELSEWHERE if closed else SNAPSHOT
        changes[name][at] = change
    return _running(exact, {name: Counts(*change) for name, change in changes.items() if any(change)})


def _running(left: Counts, changes: Mapping[str, Counts]) -> list[Step]:
    steps = []
    for name, change in changes.items():
        left = Counts(*(a + b for a, b in zip(left, change, strict=True)))
        steps.append(Step(name, change, left))
    return steps
