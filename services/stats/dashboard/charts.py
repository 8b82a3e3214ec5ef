"""The main chart as rows of its table; the browser draws from the table, so the two are never different."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from services.runtime.web.languages import N_, Language
from services.stats.dashboard.asking import Answer, Questions
from services.stats.dashboard.figures import Kind, written
from services.stats.dashboard.fine_print import fine_print
from services.stats.dashboard.panels import Card
from services.stats.dashboard.periods import Span
from services.stats.dashboard.view import View
from services.stats.figures.cubes import OTHER

__all__ = ["Chart", "Point", "day_chart", "hour_chart"]

_SATURDAY = 5
_BEFORE = {"none": "", "year": N_("A year before")}


@dataclass(frozen=True, slots=True)
class Point:
    """One day or hour. `x` is seconds since 1970 as if the installation's time were UTC: the axis shows that time."""

    x: int
    label: str
    y: float | None
    y_text: str
    then: float | None = None
    then_text: str = ""
    then_label: str = ""
    provisional: bool = False
    weekend: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """`then_name` empty: no comparison."""

    title: str
    metric: str
    kind: Kind
    unit: str
    x_name: str
    then_name: str
    points: tuple[Point, ...]
    csv: str
    now_name: str
    going_on: str
    empty: str  # why there is nothing to draw
    trust: str


def day_chart(questions: Questions, provisional: Collection[date], csv: str) -> Chart:
    """The chosen metric by day, beside the days it is compared with."""
    view, card = questions.view, questions.view.card
    say = view.language.say
    now = questions.rows([card.metric], ["time:day"], view.period.span)
    then = questions.rows([card.metric], ["time:day"], view.compared)
    points = _day_points(view, card, now.by_value(), then.by_value(), provisional)
    return Chart(
        title=say("{metric} by day", metric=say(card.text)),
        metric=say(card.text),
        kind=card.kind,
        unit="day",
        x_name=say("Day"),
        now_name=view.period.described(view.today, view.language),
        going_on=_going_on(view.period.span, provisional, view.language),
        then_name=say(_BEFORE.get(view.compare, N_("Previous period"))),
        points=tuple(points),
        csv=csv,
        empty=_why_empty(now, points, view.language),
        trust=fine_print(view, now),
    )


def hour_chart(questions: Questions, provisional: Collection[date], csv: str) -> Chart:
    """One day by hour: requests alone, because visitors by hour would be too few to show."""
    view, say = questions.view, questions.view.language.say
    day = view.period.span.first
    now = questions.rows(["requests"], ["time:hour"], view.period.span)
    then = questions.rows(["requests"], ["time:hour"], view.compared)
    found, before = (_by_hour(answer) for answer in (now, then))
    points = [
        Point(
            x=_seconds(day, hour),
            label=f"{hour:02d}:00",
            y=found.get(hour),
            y_text=written(found.get(hour), "count", view.language),
            then=before.get(hour),
            then_text=written(before.get(hour), "count", view.language),
            then_label=view.language.weekday(view.compared.first) if view.compared else "",
            provisional=day in provisional and hour == max(found, default=-1),  # the hour that goes on
        )
        for hour in range(24)
    ]
    return Chart(
        title=say("Requests of people by hour"),
        metric=say("Requests"),
        kind="count",
        unit="hour",
        x_name=say("Hour"),
        now_name=view.period.described(view.today, view.language),
        going_on=say("Provisional") if day in provisional else "",
        then_name=say(_BEFORE.get(view.compare, N_("The day before"))),
        points=tuple(points),
        csv=csv,
        empty=_why_empty(now, points, view.language),
        trust=fine_print(view, now),
    )


def _by_hour(answer: Answer) -> dict[int, float | None]:
    """Quiet hours that are merged are none of the day's: they have no place on its axis."""
    return {int(hour): value for hour, value in answer.by_value().items() if hour != OTHER}


def _day_points(
    view: View,
    card: Card,
    now: Mapping[str, float | None],
    then: Mapping[str, float | None],
    provisional: Collection[date],
) -> list[Point]:
    days, compared = view.period.span.dates(), view.compared
    others = compared.dates() if compared else [None] * len(days)
    return [
        Point(
            x=_seconds(day),
            label=view.language.weekday(day),
            y=now.get(day.isoformat()),
            y_text=written(now.get(day.isoformat()), card.kind, view.language),
            then=then.get(other.isoformat()) if other else None,
            then_text=written(then.get(other.isoformat()), card.kind, view.language) if other else "",
            then_label=view.language.weekday(other) if other else "",
            provisional=day in provisional,
            weekend=day.weekday() >= _SATURDAY,
        )
        for day, other in zip(days, others, strict=True)
    ]


def _why_empty(answer: Answer, points: Sequence[Point], language: Language) -> str:
    if answer.refused:
        return language.say("Not published for this selection: it would single people out.")
    if any(point.y is not None or point.then is not None for point in points):
        return ""
    return language.say("Too few people came to show them by themselves: a figure here is about ten visitors at least.")


def _going_on(span: Span, provisional: Collection[date], language: Language) -> str:
    """Which days of the span may still change."""
    days = [language.weekday(day) for day in span.dates() if day in provisional]
    return language.say("Provisional: {days}", days=", ".join(days)) if days else ""


def _seconds(day: date, hour: int = 0) -> int:
    return int((datetime.combine(day, time(0), UTC) + timedelta(hours=hour)).timestamp())
