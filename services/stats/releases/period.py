"""The days a release covers."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, timedelta

from services.runtime.errors import Fatal

__all__ = ["DAYS_MAX", "Period", "month", "span"]

DAYS_MAX = 366  # a year; longer series are several releases


@dataclass(frozen=True)
class Period:
    """Both days included."""

    first: date
    last: date

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(n) for n in range((self.last - self.first).days + 1)]


def month(text: str) -> Period:
    """`2026-11` -> its days. Raises `Fatal` on anything else."""
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        raise Fatal("A period is a month like 2026-11.") from None
    return Period(first, first.replace(day=calendar.monthrange(first.year, first.month)[1]))


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
