"""Templates are proposed from published figures alone, and what is decided holds from the following day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from services.runtime.clock import FixedClock
from services.runtime.database import open_records, upgrade
from services.stats.closing.proposals import (
    ACCEPTED,
    PROPOSED,
    READ_AGAIN,
    REFUSED,
    WAITING_MAX,
    AcceptedRoutes,
    Proposal,
    Proposals,
)
from services.stats.counting.routes import Routes
from services.stats.figures.disclosure import PUBLISHED, PublishedCells
from services.stats.records import MIGRATIONS
from services.stats.tenants.registry import Tenants

DAY = date(2026, 11, 23)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NEXT = DAY + timedelta(days=1)
UTC_ZONE = ZoneInfo("UTC")


@pytest.fixture
def proposals(tmp_path: Path) -> Iterator[Proposals]:
    engine = open_records(f"sqlite:///{tmp_path}/records.db")
    upgrade(engine, MIGRATIONS)
    yield Proposals(engine)
    engine.dispose()


def _cells(*routes: str, tenant: str = "club", cube: str = "route", day: date = DAY) -> PublishedCells:
    rows = [(tenant, day, cube, route, "", "visitors", 20) for route in routes]
    return PublishedCells(pl.DataFrame(rows, schema=dict(PUBLISHED), orient="row"))


def _templates(proposals: Proposals) -> list[str]:
    return [p.template for p in proposals.listed()]


def test_a_published_route_that_lost_its_children_is_proposed_once(proposals: Proposals) -> None:
    """Whatever else is published, and however often the day is taken up again."""
    cells = _cells("/", "/news", "/blog/{*}", "/shop/{*}/reviews/{*}", "/a/b/c/d/e/{*}/…", "(other)", "named/{*}")
    for _ in range(2):
        proposals.propose(cells)
    proposals.propose(_cells("/blog/{*}", day=NEXT))
    proposals.propose(_cells("/elsewhere/{*}", cube="entry"))
    assert [(p.template, p.state, p.proposed_on) for p in proposals.listed()] == [
        ("/blog/{name}", PROPOSED, DAY),
        ("/shop/{name}/reviews/{name}", PROPOSED, DAY),
    ]


def test_what_was_refused_is_not_proposed_again(proposals: Proposals) -> None:
    """Nor does an accepted one wait again."""
    proposals.propose(_cells("/blog/{*}", "/shop/{*}"))
    proposals.refuse("club", "/blog/{name}", NOON, UTC_ZONE)
    proposals.accept("club", "/shop/{name}", NOON, UTC_ZONE)
    proposals.propose(_cells("/blog/{*}", "/shop/{*}", day=NEXT))
    assert {p.template: p.state for p in proposals.listed()} == {"/blog/{name}": REFUSED, "/shop/{name}": ACCEPTED}


def test_only_so_many_wait_of_one_tenant(proposals: Proposals) -> None:
    """Of another there is room."""
    proposals.propose(_cells(*(f"/p{n}/{{*}}" for n in range(WAITING_MAX + 5))))
    proposals.propose(_cells("/blog/{*}", tenant="choir"))
    assert len(proposals.listed(["club"])) == WAITING_MAX
    assert len(proposals.listed(["choir"])) == 1


def test_nothing_can_be_decided_that_was_not_proposed(proposals: Proposals) -> None:
    """A template of another tenant neither."""
    proposals.propose(_cells("/blog/{*}"))
    assert proposals.accept("choir", "/blog/{name}", NOON, UTC_ZONE) is None
    assert proposals.refuse("club", "/members/nina", NOON, UTC_ZONE) is None
    assert _templates(proposals) == ["/blog/{name}"]


def test_a_decision_holds_from_the_following_day(proposals: Proposals) -> None:
    """Of the installation's zone; in a day's last moments, when workers may not hear of it in time, one day later."""
    paris = ZoneInfo("Europe/Paris")
    proposals.propose(_cells("/a/{*}", "/b/{*}", "/c/{*}"))
    accept = proposals.accept
    assert _holds(accept("club", "/a/{name}", NOON, UTC_ZONE)) == (NEXT, None)
    assert _holds(accept("club", "/b/{name}", NOON.replace(hour=23, minute=30), paris)) == (
        NEXT + timedelta(days=1),
        None,
    )
    almost = datetime(2026, 11, 23, 23, 59, 30, tzinfo=UTC)
    assert _holds(accept("club", "/c/{name}", almost, UTC_ZONE)) == (NEXT + timedelta(days=1), None)


def test_an_accepted_one_that_is_refused_ends_with_the_day(proposals: Proposals) -> None:
    """And one that is taken back before it held never does; one that is accepted again the same day has no gap."""
    proposals.propose(_cells("/a/{*}"))
    decide = {"accept": proposals.accept, "refuse": proposals.refuse}
    later = NOON + timedelta(days=5)
    told = [
        _holds(decide[what]("club", "/a/{name}", now, UTC_ZONE))
        for what, now in (
            ("accept", NOON),
            ("refuse", NOON),
            ("accept", NOON),
            ("refuse", later),
            ("accept", later),
            ("refuse", later),
            ("accept", later + timedelta(days=9)),
        )
    ]
    ends = later.date() + timedelta(days=1)
    again = later.date() + timedelta(days=10)
    assert told == [(NEXT, None), (None, None), (NEXT, None), (NEXT, ends), (NEXT, None), (NEXT, ends), (again, None)]


def _holds(proposal: Proposal | None) -> tuple[date | None, date | None]:
    assert proposal is not None
    return proposal.holds_from, proposal.holds_to


def test_accepted_templates_hold_for_the_rows_of_those_days_alone(proposals: Proposals) -> None:
    """Also when rows of both days come in one batch; other tenants are not touched; a worker hears of it by itself."""
    clock = FixedClock(NOON)
    routes = Routes(Tenants(), AcceptedRoutes(proposals._records, clock))
    proposals.propose(_cells("/blog/{*}"))
    assert _routes(routes) == ["/blog/spring", "/blog/spring", "/blog/spring"]
    proposals.accept("club", "/blog/{name}", NOON, UTC_ZONE)
    clock.sleep(READ_AGAIN.total_seconds())
    assert _routes(routes) == ["/blog/spring", "/blog/{name}", "/blog/spring"]
    proposals.refuse("club", "/blog/{name}", NOON, UTC_ZONE)
    assert _routes(routes) == ["/blog/spring", "/blog/{name}", "/blog/spring"]
    clock.sleep(READ_AGAIN.total_seconds())
    assert _routes(routes) == ["/blog/spring", "/blog/spring", "/blog/spring"]


def _routes(routes: Routes) -> list[str]:
    rows = [("club", DAY), ("club", NEXT), ("choir", NEXT)]
    columns = {"tenant": [t for t, _ in rows], "event_day": [d for _, d in rows]}
    frame = pl.DataFrame({**columns, "path": ["/blog/spring"] * 3, "route": pl.Series([None] * 3, dtype=pl.String)})
    return routes.put_route(frame)["route"].to_list()
