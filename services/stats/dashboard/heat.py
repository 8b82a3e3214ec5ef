"""When requests come: weekdays by hours, the mean of the closed days shown."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from services.stats.dashboard.asking import Questions
from services.stats.dashboard.figures import written
from services.stats.dashboard.fine_print import rule
from services.stats.figures.cubes import OTHER
from services.stats.figures.disclosure import ROUNDING

__all__ = ["LEVELS", "HeatMap", "heat_map"]

LEVELS = 6  # shades besides none: more cannot be told apart
HOURS = range(24)
_MONDAY = date(2024, 1, 1)

Mean = Mapping[tuple[int, int], float]  # (weekday, hour) -> requests


@dataclass(frozen=True, slots=True)
class HeatCell:
    """`level` 0: nothing is published."""

    text: str
    told: str
    level: int


@dataclass(frozen=True, slots=True)
class HeatMap:
    """`rows`: name of the weekday, 24 cells. `csv`: the same days and hours as a file. `empty`: why there is none."""

    hours: tuple[str, ...]
    rows: tuple[tuple[str, tuple[HeatCell, ...]], ...]
    csv: str
    empty: str
    trust: str = ""


def heat_map(questions: Questions, provisional: Collection[date], csv: str) -> HeatMap:
    view = questions.view
    answer = questions.rows(["requests"], ["time:day", "time:hour"], view.period.span)
    hours = tuple(f"{hour:02d}" for hour in HOURS)
    if answer.refused:
        return HeatMap(
            hours, (), csv, view.language.say("Not published for this selection: it would single people out.")
        )
    sums: Counter[tuple[int, int]] = Counter()
    days: dict[int, set[date]] = defaultdict(set)
    for (day, hour), (value,) in answer.rows:
        found = date.fromisoformat(day)
        if found not in provisional and hour != OTHER:  # today's hours to come would count as quiet
            days[found.weekday()].add(found)
            sums[found.weekday(), int(hour)] += int(value or 0)
    if not sums:
        return HeatMap(hours, (), csv, view.language.say("Shown once a day of these is closed."))
    mean = {(weekday, hour): total / len(days[weekday]) for (weekday, hour), total in sums.items()}
    return HeatMap(
        hours, tuple(_row(questions, weekday, mean) for weekday in range(7) if days[weekday]), csv, "", rule(view)
    )


def _row(questions: Questions, weekday: int, mean: Mean) -> tuple[str, tuple[HeatCell, ...]]:
    name = questions.view.language.weekday_name(_MONDAY + timedelta(days=weekday))
    return name, tuple(_cell(questions, name, hour, mean.get((weekday, hour)), max(mean.values())) for hour in HOURS)


def _cell(questions: Questions, weekday: str, hour: int, mean: float | None, most: float) -> HeatCell:
    language = questions.view.language
    figure = None if mean is None else round(mean / ROUNDING) * ROUNDING
    text = written(figure, "count", language)
    level = 0 if mean is None or not most else max(1, -(-mean * LEVELS // most))
    told = language.say("{weekday}, {hour}:00: about {n} requests", weekday=weekday, hour=f"{hour:02d}", n=text)
    return HeatCell(text, told, int(level))
