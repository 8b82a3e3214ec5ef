"""On a real ClickHouse: what a visitor adds is cut to the bounds, and the proof notices when it is not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from services.runtime.clickhouse import Analytics, sql
from services.runtime.clock import FixedClock
from services.runtime.errors import Fatal
from services.stats.days.states import TenantDay
from services.stats.records import days
from services.stats.releases import bounding
from services.stats.releases.bounding import Secret
from services.stats.releases.ledger import charges
from services.stats.releases.split import declared_split
from tests.integration.releases.store import (
    DAY,
    accesses,
    drawing,
    events,
    fill,
    new_store,
    opted_in,
    sums_of,
)
from tests.unit.stats.releases.records import closed_at, new_records, noisy_cells

VISITORS = {1: 3, 2: 50, 3: 51, 4: 5000, 2**64 - 1: 1}
BOUNDED_VIEWS = 3 + 50 + 50 + 50 + 1
HARBOUR = TenantDay("harbour", DAY)
ROUTES = tuple(sorted(f"/page/{letter}" for letter in "abcdefghijklmnopqrst"))


@pytest.fixture(scope="module")
def analytics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Analytics]:
    store = new_store(tmp_path_factory.mktemp("store"))
    fill(
        store,
        [
            events(VISITORS),
            events({5: 4}, page_view=0),  # only files: a visitor without a page view
            events({6: 4}, bot_class="declared"),
            events({7: 4}, bot_class="suspected"),
            events({0: 4}, late=1),  # came after the key was gone: has no pseudonym
            events({8: 4}, tenant="other"),
            events({9: 4}, event_day=DAY - timedelta(days=1)),
            events({10: 4}, kind="ledger"),
        ],
    )
    yield store
    store.close()


def eager(visitor: int) -> list[dict[str, object]]:
    """A visitor over every bound: 20 routes, 60 page views, three countries and devices, slow and fast answers."""
    return [
        {"visitor": visitor, "route": route, "country": country, "device": device, "duration_ms": duration}
        for route in ROUTES
        for country, device, duration in (("FR", "desktop", 5), ("BE", "mobile", 700), ("CH", "tablet", 99_999))
    ]


def test_sums_are_bounded_and_of_people_of_that_day_alone(analytics: Analytics) -> None:
    """At most 50 page views a visitor; no bots, no late rows, no ledger rows, no other tenant or day."""
    everybody = len(VISITORS) + 1
    assert sums_of(analytics, "harbour") == {
        "visitors": {(): everybody},
        "page_views": {(): BOUNDED_VIEWS},
        "visitors_by_country_and_device": {("FR", "desktop"): everybody},
        "visitors_by_referrer_class": {("direct",): len(VISITORS)},
        "requests_by_latency_class": {("25",): everybody},
    }


def test_one_visitor_more_changes_each_measure_by_no_more_than_its_bounds(analytics: Analytics) -> None:
    """The neighbouring day: that is what the noise is measured for. (Its own tenant, next to the others.)"""
    fill(analytics, [events(VISITORS, tenant="with"), events(VISITORS, tenant="one-more")])
    fill(analytics, [accesses(eager(77), tenant="one-more")])
    without, with_one = (sums_of(analytics, tenant, ROUTES) for tenant in ("with", "one-more"))
    for measure in declared_split().measures:
        before, after = without[measure.name], with_one[measure.name]
        added = {key: after.get(key, 0) - before.get(key, 0) for key in before.keys() | after.keys()}
        changed = [n for n in added.values() if n]
        assert len(changed) == measure.cells_max, measure.name
        assert all(n == measure.contribution_max for n in changed), measure.name


def test_which_cells_are_kept_depends_on_the_secret_alone(analytics: Analytics) -> None:
    """The same secret keeps the same cells of each visitor whoever else came; another one keeps others."""
    fill(analytics, [accesses([*eager(1)], tenant="alone"), accesses([*eager(1), *eager(2)], tenant="two")])
    alone, two = (sums_of(analytics, tenant, ROUTES)["visitors_by_route"] for tenant in ("alone", "two"))
    assert set(alone) <= set(two)
    kept = {frozenset(sums_of(analytics, "alone", ROUTES, Secret(n, 9))["visitors_by_route"]) for n in range(5)}
    assert len(kept) == 5
    assert {len(routes) for routes in kept} == {15}


def test_what_is_in_no_catalogue_is_not_counted_and_takes_no_room(analytics: Analytics) -> None:
    """Routes outside the table are left out before the bound; an unknown country or device is counted as unknown."""
    outside = [
        {"visitor": 1, "route": f"/jane@example.org/{n}", "country": "EU", "device": "toaster"} for n in range(30)
    ]
    fill(analytics, [accesses([*outside, {"visitor": 1, "route": "/page/a", "country": "EU"}], tenant="rare")])
    sums = sums_of(analytics, "rare", ROUTES)
    assert sums["visitors_by_route"] == {("/page/a",): 1}
    assert sums["visitors_by_country_and_device"].keys() <= {("ZZ", "other"), ("ZZ", "desktop")}
    assert "visitors_by_route" not in sums_of(analytics, "rare"), "no table, no routes"


def test_a_visitor_that_objected_is_not_counted(analytics: Analytics) -> None:
    """Also when its rows came in after the objectors' rows were removed."""
    fill(analytics, [events({1: 1, 2: 1}, tenant="objected")])
    gone = pl.DataFrame({"tenant": ["objected"], "day": [DAY], "visitor": [2]}, schema_overrides={"visitor": pl.UInt64})
    analytics.command("CREATE TABLE gone (tenant String, day Date, visitor UInt64) ENGINE = Memory")
    analytics.insert("gone", gone)
    assert sums_of(analytics, "objected", objected="gone")["visitors"] == {(): 1}
    assert sums_of(analytics, "objected")["visitors"] == {(): 2}


def test_a_day_without_people_is_zero(analytics: Analytics) -> None:
    """A zero gets noise like any other number."""
    assert not any(sums_of(analytics, "nobody", ROUTES).values())


@pytest.mark.parametrize(
    ("kept", "broken", "measure"),
    [
        ("least(countIf(page_view = 1), {page_views_max:UInt32})", "countIf(page_view = 1)", "page_views"),
        ("('visitors', '', '', toInt64(1))", "('visitors', '', '', toInt64(2))", "visitors"),
        ("[('visitors',", "[('visitors', '', '', toInt64(1)), ('visitors',", "visitors"),
        ("counted_routes), 1, {routes_max:UInt32}", "counted_routes), 1, 16", "visitors_by_route"),
        ("places), 1, {places_max:UInt32}", "places), 1, 2", "visitors_by_country_and_device"),
        ("(route -> ('visitors_by_route', route, '', toInt64(1))", "(route -> ('visitors_by_route', '/page/a', '', toInt64(1))", "visitors_by_route"),
    ],
)  # fmt: skip
def test_a_removed_bound_is_noticed_before_anything_is_charged(
    analytics: Analytics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str, broken: str, measure: str
) -> None:
    """The switch: the bounding statement without its bound. Nothing is charged, so mending it loses no day."""
    fill(analytics, [accesses(eager(77), tenant="eager")])

    def unbounded(package: str, name: str) -> str:
        text = sql(package, name)
        assert name != "bounded_units" or kept in text
        return text.replace(kept, broken)

    monkeypatch.setattr(bounding, "sql", unbounded)
    with pytest.raises(Fatal, match=f"adds more to {measure} "):
        sums_of(analytics, "eager", ROUTES)
    records = new_records(tmp_path)
    if measure != "visitors_by_route":  # this tenant has no table
        with pytest.raises(Fatal, match=f"adds more to {measure} "):
            drawing(analytics, records).draw([TenantDay("eager", DAY)])
    with records.connect() as connection:
        assert not charges(connection)


def test_a_closing_day_is_drawn_once(analytics: Analytics, tmp_path: Path) -> None:
    """Every cell of every catalogue gets noise, zeros too; only noisy values are stored; asking again changes nothing."""
    records = new_records(tmp_path)
    clock = FixedClock(closed_at(DAY))
    assert drawing(analytics, records, clock).draw([HARBOUR]) == 1
    with records.connect() as connection:
        stored = noisy_cells(connection, "harbour", DAY, DAY)
        assert [c.rho for c in charges(connection, "harbour")] == [declared_split().rho_day_max / 2], "no routes"
    assert len(stored) == 1 + 1 + 250 * 4 + 6 + 11
    exact = sums_of(analytics, "harbour")
    assert all(abs(cell.value - exact[cell.measure].get(cell.key, 0)) < 8 * cell.sigma for cell in stored)
    assert sum(cell.value != exact[cell.measure].get(cell.key, 0) for cell in stored) > 900
    clock.advance(timedelta(days=1))
    assert drawing(analytics, records, clock).draw([HARBOUR]) == 0
    with records.connect() as connection:
        assert noisy_cells(connection, "harbour", DAY, DAY) == stored


def test_only_who_opted_in_is_drawn_and_silent_days_are_too(analytics: Analytics, tmp_path: Path) -> None:
    """A day nobody came gets its noise like any other; one that still waits to be closed does not."""
    records = new_records(tmp_path)
    open_day, silent, last = (DAY + timedelta(days=n) for n in (1, 2, 3))
    row = {"tenant": "harbour", "state": "open", "first_row_at": closed_at(DAY).isoformat()}
    with records.begin() as connection:
        connection.execute(sa.insert(days).values(**row, day=open_day))
    closing = [HARBOUR, TenantDay("harbour", last), TenantDay("other", DAY)]
    for _ in range(2):
        drawing(analytics, records, FixedClock(closed_at(last)), opted_in=opted_in("harbour")).draw(closing)
    with records.connect() as connection:
        assert [c.day for c in charges(connection, "harbour")] == [DAY, silent, last]
        assert not charges(connection, "other")
        values = {c.measure: c.value for c in noisy_cells(connection, "harbour", silent, silent)}
    assert abs(values["visitors"]) < 8 * 13


def test_a_last_day_without_a_row_is_drawn_when_somebody_closes(analytics: Analytics, tmp_path: Path) -> None:
    """It was missing until anybody came: a partner could tell one visitor from none. Not before the tenant's first day,
    not today or later, not a day that waits for its closing, and not whose tenant opted out."""
    records = new_records(tmp_path)
    open_day, silent, today = (DAY + timedelta(days=n) for n in (1, 2, 3))
    row = {"tenant": "harbour", "state": "open", "first_row_at": closed_at(DAY).isoformat()}
    with records.begin() as connection:
        connection.execute(sa.insert(days).values(**row, day=open_day))
    clock = FixedClock(closed_at(silent))
    drawing(analytics, records, clock).draw([HARBOUR, TenantDay("other", DAY)])
    made = drawing(analytics, records, clock, opted_in=opted_in("harbour"))
    assert [made.draw_silent(today + timedelta(days=30)), made.draw_silent(today)] == [1, 0]
    with records.connect() as connection:
        assert [c.day for c in charges(connection, "harbour")] == [DAY, silent]
        assert [c.day for c in charges(connection, "other")] == [DAY]
