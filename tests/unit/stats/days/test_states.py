"""States of days only advance; when a day closes by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from services.runtime.database import open_records, upgrade
from services.stats.days.states import CLOSED, CLOSING, OPEN, PUBLISHED, Days, TenantDay, due
from services.stats.records import MIGRATIONS

NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
DAY = TenantDay("harbour", date(2026, 11, 2))


@pytest.fixture
def days(tmp_path: Path) -> Iterator[Days]:
    engine = open_records(f"sqlite:///{tmp_path}/records.db")
    upgrade(engine, MIGRATIONS)
    yield Days(engine)
    engine.dispose()


def test_a_day_nobody_has_heard_of_has_no_state(days: Days) -> None:
    assert days.state(*DAY) is None


def test_a_day_opens_once(days: Days) -> None:
    """Seen again it keeps its state and the time of its first row."""
    days.seen([DAY], NOW)
    days.advance([DAY], CLOSING)
    days.seen([DAY], NOW + timedelta(hours=5))
    (day,) = days.listed()
    assert (day.state, day.first_row_at) == (CLOSING, NOW)


def test_a_state_never_goes_back(days: Days) -> None:
    """A closer that was asleep finds the day closed."""
    days.seen([DAY], NOW)
    days.advance([DAY], CLOSED, closed_at=NOW.isoformat())
    days.advance([DAY], PUBLISHED)
    days.advance([DAY], CLOSING)
    assert days.state(*DAY) == CLOSED
    assert days.listed()[0].closed_at == NOW


def test_cut_offs_come_back_as_they_were_noted(days: Days) -> None:
    days.seen([DAY], NOW)
    days.note([DAY], cutoffs={"topic/0": 17})
    assert days.listed()[0].cutoffs == {"topic/0": 17}


def test_days_are_listed_by_state_and_date(days: Days) -> None:
    later = TenantDay("harbour", DAY.day + timedelta(days=1))
    days.seen([later, DAY], NOW)
    days.advance([DAY], CLOSING)
    assert [d.pair for d in days.listed()] == [DAY, later]
    assert [d.pair for d in days.listed(OPEN)] == [later]
    assert [d.pair for d in days.listed(through=DAY.day)] == [DAY]


PARIS = ZoneInfo("Europe/Paris")  # its 2 November 2026 ends at 23:00 UTC


@pytest.mark.parametrize(
    ("first_row", "closes"),
    [
        (datetime(2026, 11, 2, 9, tzinfo=UTC), datetime(2026, 11, 3, 11, tzinfo=UTC)),  # live
        (datetime(2026, 11, 3, 10, tzinfo=UTC), datetime(2026, 11, 3, 11, tzinfo=UTC)),  # a collector that was offline
        (datetime(2026, 11, 9, 8, tzinfo=UTC), datetime(2026, 11, 10, 8, tzinfo=UTC)),  # an import of a past day
    ],
)
def test_when_a_day_is_due(days: Days, first_row: datetime, closes: datetime) -> None:
    """12 h after its end in the installation's zone; 24 h after its first row when that came later."""
    days.seen([DAY], first_row)
    (day,) = days.listed()
    assert not due(day, closes - timedelta(seconds=1), PARIS)
    assert due(day, closes, PARIS)
