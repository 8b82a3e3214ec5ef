"""On a real ClickHouse: what a visitor adds is cut to the bounds, and the proof notices when it is not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.runtime.clickhouse import Analytics, sql
from services.runtime.clock import FixedClock
from services.runtime.errors import Fatal
from services.stats.records import days
from services.stats.releases import bounding
from services.stats.releases.bounding import bounded_sums
from services.stats.releases.drawing import AlreadyCharged, Drawn, bound_and_draw, draw_releases
from services.stats.releases.ledger import charges, noisy_cells
from services.stats.releases.split import declared_split
from tests.integration.releases.store import DAY, events, fill, new_store
from tests.unit.stats.releases.records import closed_at, new_records

VISITORS = {1: 3, 2: 20, 3: 21, 4: 5000, 2**64 - 1: 1}
BOUNDED_VIEWS = 3 + 20 + 20 + 20 + 1


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


def test_sums_are_bounded_and_of_people_of_that_day_alone(analytics: Analytics) -> None:
    """At most 20 page views a visitor; no bots, no late rows, no ledger rows, no other tenant or day."""
    sums = bounded_sums(analytics, declared_split(), "harbour", DAY)
    assert sums == {"visitors": len(VISITORS) + 1, "page_views": BOUNDED_VIEWS}


def test_one_visitor_more_changes_the_sums_by_no_more_than_the_bounds(analytics: Analytics) -> None:
    """The neighbouring day: that is what the noise is measured for. (Its own tenant, next to the others.)"""
    fill(analytics, [events(VISITORS, tenant="with"), events({**VISITORS, 77: 9_000}, tenant="with-one-more")])
    without, with_one = (bounded_sums(analytics, declared_split(), t, DAY) for t in ("with", "with-one-more"))
    difference = {m.name: with_one[m.name] - without[m.name] for m in declared_split().drawn}
    assert difference == {m.name: m.contribution_max for m in declared_split().drawn}


def test_a_day_without_people_is_zero(analytics: Analytics) -> None:
    """A zero gets noise like any other number."""
    assert bounded_sums(analytics, declared_split(), "nobody", DAY) == {"visitors": 0, "page_views": 0}


@pytest.mark.parametrize(
    ("kept", "broken", "measure"),
    [
        ("least(countIf(page_view = 1), {page_views_max:UInt32})", "countIf(page_view = 1)", "page_views"),
        ("('visitors', toInt64(1))", "('visitors', toInt64(1)), ('visitors', toInt64(1))", "visitors"),
    ],
)
def test_a_removed_bound_is_noticed_before_anything_is_charged(
    analytics: Analytics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str, broken: str, measure: str
) -> None:
    """The switch: the bounding statement without its bound. Nothing is charged, so mending it loses no day."""

    def unbounded(package: str, name: str) -> str:
        text = sql(package, name)
        assert name != "bounded_units" or kept in text
        return text.replace(kept, broken)

    records = new_records(tmp_path)
    monkeypatch.setattr(bounding, "sql", unbounded)
    with pytest.raises(Fatal, match=f"adds more to {measure}"):
        bound_and_draw(analytics, records, "harbour", DAY, FixedClock(closed_at(DAY)))
    with records.connect() as connection:
        assert not charges(connection, "harbour")


def test_a_closing_day_is_drawn_once(analytics: Analytics, tmp_path: Path) -> None:
    """Only noisy values are stored; asking again draws nothing and changes nothing."""
    records = new_records(tmp_path)
    clock = FixedClock(closed_at(DAY))
    assert bound_and_draw(analytics, records, "harbour", DAY, clock) == Drawn(cells=2)
    with records.connect() as connection:
        stored = noisy_cells(connection, "harbour", DAY, DAY)
    for cell in stored:
        exact = {"visitors": len(VISITORS) + 1, "page_views": BOUNDED_VIEWS}[cell.measure]
        assert abs(cell.value - exact) < 8 * cell.sigma
    clock.advance(timedelta(days=1))
    assert bound_and_draw(analytics, records, "harbour", DAY, clock) == AlreadyCharged(stored=True)
    with records.connect() as connection:
        assert noisy_cells(connection, "harbour", DAY, DAY) == stored


def test_only_who_opted_in_is_drawn_and_silent_days_are_too(analytics: Analytics, tmp_path: Path) -> None:
    """A day nobody came gets its noise like any other; one that still waits to be closed does not."""
    records = new_records(tmp_path)
    open_day, silent, last = (DAY + timedelta(days=n) for n in (1, 2, 3))
    row = {"tenant": "harbour", "state": "open", "first_row_at": closed_at(DAY).isoformat()}
    with records.begin() as connection:
        connection.execute(sa.insert(days).values(**row, day=open_day))
    closing = [("harbour", DAY), ("harbour", last), ("other", DAY)]
    for _ in range(2):
        draw_releases(analytics, records, lambda tenant: tenant == "harbour", FixedClock(closed_at(last)), closing)
    with records.connect() as connection:
        assert [c.day for c in charges(connection, "harbour")] == [DAY, silent, last]
        assert not charges(connection, "other")
        values = {c.measure: c.value for c in noisy_cells(connection, "harbour", silent, silent)}
    assert abs(values["visitors"]) < 8 * 13
