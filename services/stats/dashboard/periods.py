"""The days a page shows, and the days it compares them with. Pure arithmetic on dates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from services.runtime.web.languages import N_, Language
from services.runtime.web.problems import Problem
from services.stats.queries.dates import FIRST_DAY, LAST_DAY

__all__ = ["COMPARISONS", "PERIODS", "TODAY", "Period", "Span", "compared", "read_period"]

DAYS_MAX = 400  # a year and what is left of its month; longer spans belong into a file, not on a page
_ONE_DAY = timedelta(days=1)

# Key of the address -> (days, text, keyboard key). `custom` has `from` and `to` instead.
PERIODS: Final[Mapping[str, tuple[int, str, str]]] = {
    "day": (1, N_("One day"), "d"),
    "7d": (7, N_("Last 7 days"), "w"),
    "30d": (30, N_("Last 30 days"), "m"),
    "12mo": (365, N_("Last 12 months"), "y"),
}
COMPARISONS: Final[Mapping[str, str]] = {
    "previous": N_("Previous period"),
    "year": N_("Same weekdays a year before"),
    "none": N_("No comparison"),
}
TODAY: Final = N_("Today")
_FIRST_YEAR = FIRST_DAY.year + 3  # a year of days, and what it is compared with, lie behind the date of an address
_YEAR_OF_WEEKS = timedelta(days=364)  # 52 weeks: a Monday is compared with a Monday


@dataclass(frozen=True, slots=True)
class Span:
    """Days from `first` through `last`."""

    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def moved(self, by: timedelta) -> Span:
        return Span(self.first + by, self.last + by)

    def dates(self) -> list[date]:
        return [self.first + timedelta(days=n) for n in range(self.days)]


@dataclass(frozen=True, slots=True)
class Period:
    """`kind` is a key of `PERIODS` or `custom`."""

    kind: str
    span: Span

    def parameters(self, today: date) -> dict[str, str]:
        """For the address: only what is not the default, so that 'last 30 days' stays that tomorrow."""
        if self.kind == "custom":
            return {"period": "custom", "from": self.span.first.isoformat(), "to": self.span.last.isoformat()}
        ends_elsewhere = {} if self.span.last == today else {"date": self.span.last.isoformat()}
        return {"period": self.kind} | ends_elsewhere

    def stepped(self, steps: int) -> Period:
        """The period `steps` lengths later (earlier when negative)."""
        return Period(self.kind, self.span.moved(timedelta(days=self.span.days * steps)))

    def described(self, today: date, language: Language) -> str:
        first, last = self.span.first, self.span.last
        if self.kind in PERIODS and last == today:
            return language.say(TODAY if self.kind == "day" else PERIODS[self.kind][1])
        return language.day(first) if first == last else language.days(first, last)


def read_period(parameters: Mapping[str, str], today: date) -> Period:
    """From an address. Raises `Problem` 400 naming the field that is wrong."""
    kind = parameters.get("period", "30d")
    if kind == "custom":
        return Period(kind, _custom(parameters))
    if kind not in PERIODS:
        raise Problem(
            400,
            "There is no such period",
            "`period` is one of {choices}.",
            values={"choices": ", ".join([*PERIODS, "custom"])},
        )
    last = _date(parameters, "date", today)
    return Period(kind, Span(last - timedelta(days=PERIODS[kind][0] - 1), last))


def compared(span: Span, how: str) -> Span | None:
    """The days to compare with, as many as `span` has; None without a comparison."""
    if how == "none":
        return None
    return span.moved(-_YEAR_OF_WEEKS if how == "year" else timedelta(days=-span.days))


def _custom(parameters: Mapping[str, str]) -> Span:
    span = Span(_date(parameters, "from"), _date(parameters, "to"))
    if not 1 <= span.days <= DAYS_MAX:
        raise Problem(
            400,
            "These days cannot be shown",
            "`from` comes before `to`, at most {days} days.",
            values={"days": DAYS_MAX},
        )
    return span


def _date(parameters: Mapping[str, str], field: str, default: date | None = None) -> date:
    text = parameters.get(field, "")
    if not text and default is not None:
        return default
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise _no_such_day(field) from None
    if not _FIRST_YEAR <= day.year <= LAST_DAY.year:
        raise _no_such_day(field)
    return day


def _no_such_day(field: str) -> Problem:
    return Problem(400, "There is no such day", "`{field}` is a date like 2026-03-31.", values={"field": field})
