"""The terms of what the statistics plane keeps, on its real store, with what is planted too old in each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta

import polars as pl
import pytest

from services.runtime.clock import FixedClock
from services.runtime.database import transaction
from services.runtime.retention.keeping import Retention
from services.runtime.retention.kinds import kinds_of
from services.runtime.retention.published import Line
from services.runtime.retention.terms import Standing, Terms
from services.runtime.settings import Settings
from services.stats.closing.close import close_due, close_through
from services.stats.closing.refilling import refill
from services.stats.collection import records as collection_records
from services.stats.days.periods import Period, TenantPeriod, named
from services.stats.delivery.downloads import Downloads
from services.stats.delivery.partners import Asker
from services.stats.pseudonyms.active import ACTIVE, delete_active
from services.stats.releases import ledger
from services.stats.retention import keepers
from tests.parts.closing import FIRST, World, crowd, rows
from tests.unit.stats.releases.records import noisy_cells, store_days

ZONE = Settings().zone
TERM = 400  # days that the tenant "a" has chosen for its figures


def _retention(world: World, **tenants: Standing) -> Retention:
    own = keepers(world.analytics, world.closer.records, ZONE)
    chosen = {"a": Standing(days={"figures": TERM, "releases": TERM})} | tenants
    return Retention("statistics", own, lambda: Terms(Settings(), chosen), log=world.log, clock=world.clock)


def _line(lines: Sequence[Line], kind: str, tenant: str) -> Line:
    (found,) = (line for line in lines if (line.kind, line.tenant) == (kind, tenant))
    return found


LONG_AGO = FIRST - timedelta(days=500)


def _close(world: World, *days: date) -> None:
    for tenant in ("a", "b"):
        for day in days:
            world.put(rows(tenant, day, crowd(60)))
    close_through(world.closer, FIRST)


def test_figures_go_when_their_tenants_term_is_over(world: World) -> None:
    """From the store that is shown and from the records that fill it; the twin's and the newer ones stay."""
    _close(world, LONG_AGO, FIRST)
    lines = _retention(world).run()
    assert _line(lines, "figures", "a").removed > 0
    assert _line(lines, "figures", "b").removed == 0
    shown = world.cells().select("tenant", "day").unique().sort("tenant", "day").rows()
    assert shown == [("a", FIRST), ("b", LONG_AGO), ("b", FIRST)]

    world.analytics.command("TRUNCATE TABLE cells")
    refill(world.analytics, world.closer.records, world.clock)
    assert world.cells().select("tenant", "day").unique().sort("tenant", "day").rows() == shown


def test_of_a_tenant_that_has_left_no_figure_has_a_term(world: World) -> None:
    """All of them are over; the twin's stay."""
    _close(world, FIRST)
    retention = _retention(world, a=Standing("terminating"))
    assert not _line(retention.report(), "figures", "a").kept
    retention.run()
    assert world.cells()["tenant"].unique().to_list() == ["b"]


def test_a_noisy_figure_goes_and_its_charge_stays(world: World) -> None:
    """Its noise must never be drawn again: that would be a second look at the same people."""
    _plant_noise(world)
    _retention(world).run()
    with transaction(world.closer.records) as connection:
        assert noisy_cells(connection, "a", LONG_AGO, LONG_AGO) == []
        assert [charge.day for charge in ledger.charges(connection, "a")] == [LONG_AGO]


def _plant_events(world: World) -> None:
    world.put(rows("a", FIRST, crowd(3)))
    world.clock.sleep(30 * 3600)


def _plant_active(world: World) -> None:
    frame = pl.DataFrame({"tenant": ["a"], "period": ["week/2026-01-05"], "account": [7]}, schema=ACTIVE)
    world.analytics.insert("active_accounts", frame)


def _plant_figures(world: World) -> None:
    _close(world, LONG_AGO)


def _plant_noise(world: World) -> None:
    store_days(world.closer.records, "a", [LONG_AGO])


def _plant_download(world: World) -> None:
    long_ago = FixedClock(world.clock.now() - timedelta(days=1096))
    Downloads(world.closer.records, long_ago).note(Asker("acme", frozenset(), "k"), "a-use", "2022.01.1", "x.csv", 1)


def _plant_counts(world: World) -> None:
    old = int((world.clock.now() - timedelta(days=15)).timestamp())
    source = {"source": "a-web", "tenant": "a", "heard": old}
    count = {"source": "a-web", "block": old, "outcome": "accepted", "count": 1}
    with transaction(world.closer.records) as connection:
        connection.execute(collection_records.sources.insert(), source)
        connection.execute(collection_records.counts.insert(), count)


PLANTS: Mapping[str, Callable[[World], None]] = {
    "open-days": _plant_events,
    "active-accounts": _plant_active,
    "figures": _plant_figures,
    "releases": _plant_noise,
    "deliveries": _plant_download,
    "collection": _plant_counts,
}
CLOSING = {"open-days", "active-accounts"}  # what deletes these is not the round but the closing


def test_each_type_is_planted() -> None:
    """None is left out of what follows."""
    assert list(PLANTS) == [kind.name for kind in kinds_of("statistics")]


@pytest.mark.parametrize("works", [True, False], ids=["removed", "switch"])
def test_what_is_too_old_fails_the_report_until_it_is_removed(
    world: World, works: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a run, and after the closing for what that deletes, none is too old; with the removal replaced by nothing
    the report goes on failing."""
    for plant in (*(PLANTS[kind] for kind in PLANTS if kind != "open-days"), _plant_events):
        plant(world)
    retention = _retention(world)
    assert _too_old(retention.report()) == set(PLANTS)
    if not works:
        for keeper in retention.keepers:
            monkeypatch.setattr(type(keeper), "remove", lambda *_: {})
        retention.run()
        assert _too_old(retention.report()) == set(PLANTS)
        return
    retention.run()
    assert _too_old(retention.report()) == CLOSING
    close_due(world.closer, ZONE)
    delete_active(world.analytics, world.clock, TenantPeriod("a", named("week/2026-01-05")))
    assert _too_old(retention.report()) == set()


def test_a_week_that_waits_for_an_import_is_not_too_old(world: World) -> None:
    """Days long past close a day after they came; only then are their week and month too old."""
    past = FIRST - timedelta(days=70)
    world.put(rows("a", past, crowd(3)))
    monday, first = past - timedelta(days=past.weekday()), past.replace(day=1)
    periods = [str(Period("week", monday)), str(Period("month", first))]
    world.analytics.insert("active_accounts", pl.DataFrame({"tenant": "a", "period": periods, "account": 7}, ACTIVE))
    retention = _retention(world)
    world.clock.sleep(20 * 3600)
    assert _too_old(retention.report()) == set()
    world.clock.sleep(10 * 3600)
    assert _too_old(retention.report()) == CLOSING


def _too_old(lines: Sequence[Line]) -> set[str]:
    return {line.kind for line in lines if not line.kept}
