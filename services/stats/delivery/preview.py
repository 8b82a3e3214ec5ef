"""What a page shows of a published version: the first rows of each table, and its visitors by day with their error."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from services.runtime.web.languages import Language
from services.stats.delivery.publications import Publications, Version

__all__ = ["Day", "Preview", "Sample", "preview_of"]

ROWS_SHOWN = 8
_DAILY, _MEASURE, _PERIOD = "daily.csv", "visitors", "period"
_NUMBERS = frozenset({"days", "value", "value_lo", "value_hi"})


@dataclass(frozen=True, slots=True)
class Sample:
    """`numbers`: which of the columns are right-aligned. `more`: rows that are not shown."""

    file: str
    columns: tuple[str, ...]
    numbers: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    more: int


@dataclass(frozen=True, slots=True)
class Day:
    """`x`: seconds since 1970. None: the day is missing. What is negative by its noise is shown as 0."""

    x: int
    label: str
    is_weekend: bool
    value: int | None = None
    low: int | None = None
    high: int | None = None
    text: str = ""
    interval: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    samples: Sequence[Sample]
    days: Sequence[Day]


def preview_of(publications: Publications, version: Version, language: Language) -> Preview:
    names = [file.name for file in publications.files(version.name, version.version) if file.name.endswith(".csv")]
    tables = {
        name: list(csv.reader(io.StringIO(publications.content(version.name, version.version, name).decode())))
        for name in names
    }
    return Preview(
        [_sample(name, rows, language) for name, rows in tables.items() if len(rows) > 1],
        _days(tables.get(_DAILY, []), version, language),
    )


def _sample(name: str, rows: Sequence[Sequence[str]], language: Language) -> Sample:
    """Without the period, which stands at the top of the page."""
    places = [place for place, column in enumerate(rows[0]) if column != _PERIOD]
    columns = tuple(rows[0][place] for place in places)
    numbers = tuple(column in _NUMBERS for column in columns)
    shown = tuple(
        tuple(_number(row[place], language) if n else row[place] for place, n in zip(places, numbers, strict=True))
        for row in rows[1 : 1 + ROWS_SHOWN]
    )
    return Sample(name, columns, numbers, shown, max(0, len(rows) - 1 - ROWS_SHOWN))


def _days(rows: Sequence[Sequence[str]], version: Version, language: Language) -> list[Day]:
    """Every day of the period, missing ones too."""
    if not rows:
        return []
    told = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    values = {row["day"]: row for row in told if row["measure"] == _MEASURE}
    span = (version.first_day + timedelta(n) for n in range((version.last_day - version.first_day).days + 1))
    return [_day(day, values.get(day.isoformat()), language) for day in span]


def _day(day: date, row: dict[str, str] | None, language: Language) -> Day:
    x = int(datetime.combine(day, time(), UTC).timestamp())
    label, is_weekend = language.weekday(day, year=True), day.weekday() > 4  # Saturday, Sunday
    if row is None or not row["value"]:
        return Day(x, label, is_weekend)
    value, low, high = (max(0, int(row[name])) for name in ("value", "value_lo", "value_hi"))
    interval = f"{language.number(low)} – {language.number(high)}"
    return Day(x, label, is_weekend, value, low, high, language.number(value), interval)


def _number(text: str, language: Language) -> str:
    """As the pages write it; a value below 0 is 0 (the file has it as it is)."""
    return language.number(max(0, int(text))) if text else ""
