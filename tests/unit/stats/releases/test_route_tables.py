"""A day's releases name the routes of the table as it stood before the day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from services.runtime.clock import FixedClock
from services.stats.days.states import Days, TenantDay
from services.stats.records import route_proposals
from services.stats.releases.route_tables import RouteTables, route_tables
from services.stats.tenants.registry import Tenant
from tests.unit.stats.releases.records import new_records

PARIS = ZoneInfo("Europe/Paris")
DAY = date(2026, 11, 3)
MIDNIGHT = datetime(2026, 11, 2, 23, tzinfo=UTC)  # in Paris
PAIR = TenantDay("club", DAY)


@pytest.fixture
def records(tmp_path: Path) -> sa.Engine:
    return new_records(tmp_path)


@pytest.fixture
def tables(records: sa.Engine) -> RouteTables:
    return RouteTables(records, FixedClock(MIDNIGHT), PARIS)


def note(tables: RouteTables, at: datetime, *routes: str) -> None:
    tables.note([Tenant("club", "Club", routes=routes, updated_at=at)])


def of(tables: RouteTables, day: date = DAY) -> Sequence[str]:
    return tables.before([TenantDay("club", day)])[TenantDay("club", day)]


def test_a_table_holds_from_the_next_midnight(tables: RouteTables) -> None:
    """Of the installation's zone; the day on which it changed keeps the one before."""
    note(tables, MIDNIGHT - timedelta(seconds=1), "/a")
    note(tables, MIDNIGHT, "/b")
    assert of(tables, DAY - timedelta(days=1)) == ()
    assert of(tables) == ("/a",)
    assert of(tables, DAY + timedelta(days=1)) == ("/b",)


def test_a_tenant_without_a_table_has_no_routes(tables: RouteTables) -> None:
    """Nor has one that nobody registered."""
    note(tables, MIDNIGHT - timedelta(days=9))
    assert of(tables) == ()


def test_a_table_is_noted_when_it_changes(tables: RouteTables, records: sa.Engine) -> None:
    """Not when something else of the tenant does; and taken back again it is a change too."""
    for hours, routes in ((9, ("/a",)), (8, ("/a",)), (7, ()), (6, ("/a",))):
        note(tables, MIDNIGHT - timedelta(hours=hours), *routes)
    with records.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(route_tables)) == 3
    assert of(tables) == ("/a",)


def test_a_past_day_that_is_imported_takes_the_table_before_its_first_row(
    tables: RouteTables, records: sa.Engine
) -> None:
    """Nobody had seen the day's figures here then; a table that came after the rows does not count."""
    imported = MIDNIGHT + timedelta(days=10)
    note(tables, imported - timedelta(hours=1), "/a")
    note(tables, imported + timedelta(hours=1), "/a", "/seen-in-the-figures")
    Days(records).seen([PAIR], imported)
    assert of(tables) == ("/a",)


def test_rows_that_come_on_the_day_change_nothing(tables: RouteTables, records: sa.Engine) -> None:
    """The switch of the test above: only a day that was over takes a later table."""
    note(tables, MIDNIGHT + timedelta(hours=1), "/a")
    Days(records).seen([PAIR], MIDNIGHT + timedelta(hours=2))
    assert of(tables) == ()


def test_accepted_proposals_hold_on_their_days(tables: RouteTables, records: sa.Engine) -> None:
    """From the day after they were accepted, up to the day on which they were refused."""
    row = {"tenant": "club", "template": "/blog/{name}", "state": "accepted", "proposed_on": DAY - timedelta(days=3)}
    with records.begin() as connection:
        connection.execute(sa.insert(route_proposals).values(**row, holds_from=DAY, holds_to=DAY + timedelta(days=1)))
    days = [of(tables, DAY + timedelta(days=n)) for n in (-1, 0, 1)]
    assert days == [(), ("/blog/{name}",), ()]
