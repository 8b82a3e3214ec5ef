"""The days a release covers."""

from __future__ import annotations

import calendar
import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from services.runtime.errors import Fatal

__all__ = ["DAYS_MAX", "Period", "declared", "span"]

DAYS_MAX = 366  # a year; longer series are several releases


@dataclass(frozen=True)
class Period:
    """Both days included."""

    first: date
    last: date

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(n) for n in range((self.last - self.first).days + 1)]

    @property
    def interval(self) -> str:
        """ISO 8601."""
        return f"{self.first}/{self.last}"


def declared(text: str) -> Period:
    """A month (`2026-11`), a week from Monday (`2026-W47`) or a day (`2026-11-23`). Raises `Fatal` on anything else."""
    for shape, days_of in _SHAPES:
        if shape.fullmatch(text):
            with contextlib.suppress(ValueError):
                return days_of(text)
    raise Fatal("A period is a month like 2026-11, a week like 2026-W47 or a day like 2026-11-23.")


def _month(text: str) -> Period:
    first = date.fromisoformat(f"{text}-01")
    return Period(first, first.replace(day=calendar.monthrange(first.year, first.month)[1]))


def _week(text: str) -> Period:
    monday = date.fromisoformat(f"{text}-1")
    return Period(monday, monday + timedelta(days=6))


def _day(text: str) -> Period:
    return Period(date.fromisoformat(text), date.fromisoformat(text))


_SHAPES: Sequence[tuple[re.Pattern[str], Callable[[str], Period]]] = (
    (re.compile(r"\d{4}-\d\d"), _month),
    (re.compile(r"\d{4}-W\d\d"), _week),
    (re.compile(r"\d{4}-\d\d-\d\d"), _day),
)


def span(first: str, last: str) -> Period:
    """Raises `Fatal` on what is no date, on a reversed span and on more than `DAYS_MAX` days."""
    try:
        period = Period(date.fromisoformat(first), date.fromisoformat(last))
    except ValueError:
        raise Fatal("--from and --to are days like 2026-11-01.") from None
    if not period.first <= period.last:
        raise Fatal("--from is after --to; exchange them.")
    if len(period.days) > DAYS_MAX:
        raise Fatal(f"A release covers at most {DAYS_MAX} days; build several.")
    return period
