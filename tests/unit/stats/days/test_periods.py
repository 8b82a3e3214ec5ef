"""Weeks and months, and the keys that accounts are counted under in them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from services.runtime.keys import FileKeyService
from services.stats.days.periods import Period, PeriodKeys, TenantPeriod, over

WEEK = TenantPeriod("chess-club", Period("week", date(2026, 11, 23)))


def test_a_period_is_over_when_its_last_day_closes() -> None:
    """Twelve hours after the last day's end, in the installation's time zone."""
    week, zone = WEEK.period, ZoneInfo("Europe/Paris")
    assert not over(week, datetime(2026, 11, 30, 10, 59, tzinfo=UTC), zone)
    assert over(week, datetime(2026, 11, 30, 11, 0, tzinfo=UTC), zone)


def test_a_closed_period_gets_no_key_again(tmp_path: Path) -> None:
    """What is made under a new key could be taken for somebody else's, and would be in no figure."""
    closed: list[TenantPeriod] = []
    keys = PeriodKeys(FileKeyService(tmp_path / "keys"), lambda of: of in closed)
    first = keys.key(WEEK)
    assert first == keys.key(WEEK)
    assert list(keys.open()) == list(keys.open("chess-club")) == [WEEK]
    assert list(keys.open("chess")) == []
    closed.append(WEEK)
    assert keys.destroy(WEEK)
    assert keys.key(WEEK) is None
    assert list(keys.open()) == []
