"""The days that a question is about, by their dates or by a name like `30d`."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

from services.stats.queries.errors import QueryError

__all__ = ["ALL_DAYS", "FIRST_DAY", "LAST_DAY", "RANGES", "read_dates"]

ALL_DAYS: Final = "all"
_DAYS: Final = {"day": 1, "7d": 7, "28d": 28, "30d": 30, "91d": 91}
_MONTHS: Final = {"month": 1, "6mo": 6, "12mo": 12}  # whole ones, and the current one as far as it is
RANGES: Final = (*_DAYS, *_MONTHS, "year", ALL_DAYS)
FIRST_DAY: Final = date(2000, 1, 1)  # with LAST_DAY: no calendar ends within a comparison of a range
LAST_DAY: Final = date(2999, 12, 31)
DAYS_MAX = 3 * 366  # published cells are kept 25 months; longer ranges are a mistake


def read_dates(raw: Any, today: date) -> tuple[date, date]:
    """First and last day of a `date_range`; raises `QueryError`."""
    if isinstance(raw, str):
        return _relative(raw, today)
    if not isinstance(raw, list) or len(raw) not in {1, 2}:
        raise QueryError("date_range", 'is ["2026-11-01", "2026-11-14"] or a name.', RANGES)
    try:
        first, last = date.fromisoformat(str(raw[0])), date.fromisoformat(str(raw[-1]))
    except ValueError:
        raise QueryError("date_range", "has dates like 2026-11-14.") from None
    if not FIRST_DAY <= first <= last <= LAST_DAY:
        raise QueryError("date_range", f"ends after it starts, and lies between {FIRST_DAY} and {LAST_DAY}.")
    if not timedelta(0) <= last - first < timedelta(days=DAYS_MAX):
        raise QueryError("date_range", f"ends after it starts, and has at most {DAYS_MAX} days.")
    return first, last


def _relative(name: str, today: date) -> tuple[date, date]:
    if name in _DAYS:
        return today - timedelta(days=_DAYS[name] - 1), today
    if name in _MONTHS:
        return _months_back(today, _MONTHS[name] - 1), today
    if name == "year":
        return today.replace(month=1, day=1), today
    if name == ALL_DAYS:
        return today - timedelta(days=DAYS_MAX - 1), today
    raise QueryError("date_range", "there is no such range.", RANGES, name)


def _months_back(day: date, months: int) -> date:
    """The first day of the month so many months before."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, 1)
