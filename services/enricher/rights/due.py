"""When a request has to be answered: one month, which may be extended by two (GDPR article 12(3)).

A month is one of the calendar (Regulation (EEC, Euratom) 1182/71, article 3(2)(c)): it ends on the same date of the
next month, or on its last day when that has no such date. Weekends and holidays move nothing: earlier is never wrong.
"""

from __future__ import annotations

import calendar
from datetime import date

__all__ = ["EXTENDED_MONTHS", "MONTHS", "add_months", "due", "extended"]

MONTHS = 1
EXTENDED_MONTHS = 3  # of receipt: the first month and two more


def due(received: date) -> date:
    return add_months(received, MONTHS)


def extended(received: date) -> date:
    return add_months(received, EXTENDED_MONTHS)


def add_months(day: date, months: int) -> date:
    years, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))
