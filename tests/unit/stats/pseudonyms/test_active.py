"""Accounts that were active, noted under the keys of their weeks and months."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from services.runtime.keys import FileKeyService
from services.stats.days.periods import PeriodKeys, named
from services.stats.pseudonyms.active import Activity


@pytest.mark.parametrize(
    ("day", "monday", "first", "last"),
    [
        (date(2026, 11, 23), date(2026, 11, 23), date(2026, 11, 1), date(2026, 11, 30)),
        (date(2026, 11, 29), date(2026, 11, 23), date(2026, 11, 1), date(2026, 11, 30)),
        (date(2027, 1, 1), date(2026, 12, 28), date(2027, 1, 1), date(2027, 1, 31)),
        (date(2028, 2, 29), date(2028, 2, 28), date(2028, 2, 1), date(2028, 2, 29)),
    ],
)
def test_a_day_is_in_one_week_and_one_month(day: date, monday: date, first: date, last: date, tmp_path: Path) -> None:
    """Weeks begin on Monday, also across a year's end; months are as long as they are."""
    week, month = (named(text) for text in _noted(tmp_path, day, ["ann"])["period"])
    assert (week.kind, week.first, (week.last - week.first).days) == ("week", monday, 6)
    assert (month.kind, month.first, month.last) == ("month", first, last)


def test_nobody_is_noted_who_objected_or_is_not_logged_in(tmp_path: Path) -> None:
    """Of ann, ben, who objected, and a visitor without an account, ann alone: once in the week, once in the month."""
    noted = _noted(tmp_path, date(2026, 11, 23), ["ann", "ben", None, "ann"])
    assert noted["period"].to_list() == ["week/2026-11-23", "month/2026-11-01"]
    assert noted["account"].n_unique() == 2  # under two keys


def _noted(folder: Path, day: date, accounts: list[str | None]) -> pl.DataFrame:
    keys = PeriodKeys(FileKeyService(folder / "keys"), lambda _of: False)
    frame = pl.DataFrame({"account": accounts}).with_columns(
        tenant=pl.lit("chess-club"), event_day=pl.lit(day), bot_class=pl.lit("human"), late=pl.lit(0)
    )
    return Activity(keys, lambda _tenant: ["ben"]).active(frame)
