"""Attacks on releases through the real parts: bounding in ClickHouse, the ledger, packages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa

from services.runtime.clickhouse import Analytics
from services.runtime.clock import FixedClock
from services.runtime.keys import FileKeyService
from services.stats.days.states import TenantDay
from services.stats.releases import package
from services.stats.releases.contents import PLATFORM
from services.stats.releases.ledger import Scopes
from services.stats.releases.noise import Noise, discrete_gaussian
from services.stats.releases.period import Period
from services.stats.releases.route_tables import RouteTables
from services.stats.releases.split import declared_split
from services.stats.tenants.registry import Tenant
from tests.integration.releases.store import DAY, UTC, accesses, drawing, events, fill, new_store, sums_of
from tests.privacy.released import discrete_gaussian_of, told
from tests.unit.stats.releases.records import closed_at, new_records, noisy_cells

ONE = TenantDay("harbour", DAY)
SECRETS = ("jane.doe@example.org", "tok_5dJq81xVbN0aZr77")
RARE = tuple(f"/reset/{secret}" for secret in SECRETS)


@pytest.fixture
def analytics(tmp_path: Path) -> Iterator[Analytics]:
    store = new_store(tmp_path)
    yield store
    store.close()


def built(records: sa.Engine, folder: Path, tenant: str) -> Path:
    return package.build(records, FileKeyService(folder / "keys"), tenant, Period(DAY, DAY), folder / "out")[1]


def everything_in(folder: Path) -> bytes:
    """Every byte of a package, tables also as they read."""
    frames = [pl.read_parquet(path).write_csv().encode() for path in sorted(folder.glob("*.parquet"))]
    return b"\n".join([path.read_bytes() for path in sorted(folder.iterdir())] + frames)


def test_a_rare_url_is_in_no_package(analytics: Analytics, tmp_path: Path) -> None:
    """One visitor calls URLs with an e-mail address and a token a thousand times. The catalogue is the tenant's table of the
    day before; one that is made of what was called often that day (thresholding on hits) holds both."""
    records, clock = new_records(tmp_path), FixedClock(closed_at(DAY))
    noted = Tenant("harbour", "Harbour", routes=("/", "/members/{id}"), updated_at=closed_at(DAY).replace(month=1))
    RouteTables(records, clock, UTC).note([noted])
    fill(analytics, [events(dict.fromkeys(range(2, 60), 1)), *(events({1: 1000}, route=route) for route in RARE)])
    drawing(analytics, records, clock).draw([ONE])
    folder = built(records, tmp_path, "harbour")
    released = everything_in(folder)
    assert set(pl.read_csv(folder / "visitors_by_route.csv")["route"]) == {"/", "/members/{id}"}
    assert not any(secret.encode() in released for secret in SECRETS)

    hits = "SELECT route FROM events WHERE kind = 'event' GROUP BY route HAVING count() >= 10 ORDER BY route"
    of_the_day = tuple(analytics.frame(hits)["route"])
    weak = sums_of(analytics, "harbour", of_the_day)["visitors_by_route"]
    assert {route for (route,) in weak} >= set(RARE), "the weaker twin publishes them"


def test_a_day_is_not_released_again_after_late_data(analytics: Analytics, tmp_path: Path) -> None:
    """The attacker has the release, a visitor's rows come late, the day is drawn again: refused. With noise that is the
    same for the same cell (keyed, to be repeatable) the difference of both tells who came, each time."""
    records = new_records(tmp_path)
    fill(analytics, [events(dict.fromkeys(range(1, 200), 1))])
    assert drawing(analytics, records).draw([ONE]) == 1
    before = everything_in(built(records, tmp_path, "harbour"))
    fill(analytics, [events({999: 1})])
    assert drawing(analytics, records).draw([ONE]) == 0
    assert everything_in(built(records, tmp_path, "harbour")) == before

    repeatable = Noise(dict.fromkeys((m.name for m in declared_split().measures), _keyed), lambda _rho: 1.0)
    first = repeatable.draw({"visitors": [199]})["visitors"][0]
    again = repeatable.draw({"visitors": [200]})["visitors"][0]
    assert again - first == 1, "the weaker twin tells of one late visitor"


def test_tenants_and_the_platform_do_not_differ(analytics: Analytics, tmp_path: Path) -> None:
    """Of real packages: the platform less one tenant is, in every cell, the other tenant's own noisy value, so that holding
    both tells nothing that one does not."""
    records = new_records(tmp_path)
    fill(analytics, [events(dict.fromkeys(range(400), 2), tenant=tenant) for tenant in ("club", "harbour")])
    both = replace(drawing(analytics, records), opted_in=lambda _tenant: Scopes(own=True, platform=True))
    assert both.draw([TenantDay("club", DAY), ONE]) == 2
    folders = {tenant: built(records, tmp_path, tenant) for tenant in ("club", "harbour", PLATFORM)}
    for name in ("totals", "visitors_by_country_and_device", "visitors_by_referrer_class", "requests_by_latency_class"):
        values = {tenant: pl.read_csv(folder / f"{name}.csv")["value"].to_numpy() for tenant, folder in folders.items()}
        assert (values[PLATFORM] - values["club"] == values["harbour"]).all(), name


def test_a_partner_that_asks_a_thousand_times_has_one_answer(analytics: Analytics, tmp_path: Path) -> None:
    """Building reads what was stored; the sampler is asked once a day and tenant. One that is asked for every answer is
    averaged to within two visitors."""
    records = new_records(tmp_path)
    fill(analytics, [events(dict.fromkeys(range(300), 1))])
    drawing(analytics, records).draw([ONE])
    answers = {everything_in(built(records, tmp_path, "harbour")) for _ in range(20)}
    assert len(answers) == 1
    with records.connect() as connection:
        (stored,) = [c.value for c in noisy_cells(connection, "harbour", DAY, DAY) if c.measure == "visitors"]
    fresh = discrete_gaussian(declared_split()).draw({"visitors": [300] * 1000})["visitors"]
    told(off_by_stored=abs(stored - 300), off_by_mean_of_fresh=abs(float(np.mean(fresh)) - 300))
    assert abs(float(np.mean(fresh)) - 300) < 6 * 13 / 1000**0.5


def test_one_visitor_on_many_cells_of_a_real_day(analytics: Analytics) -> None:
    """One address and agent that calls every page of the table, from two countries, adds at most the bounds; a person with
    three agents adds three times that, which is the group of the printed figure."""
    routes = tuple(f"/p/{n:02}" for n in range(30))
    every = [{"route": route, "country": country} for route in routes for country in ("FR", "BE")]
    fill(analytics, [accesses([{"visitor": 1, **row} for row in every], tenant="one")])
    fill(analytics, [accesses([{"visitor": v, **row} for v in (1, 2, 3) for row in every], tenant="three")])
    for tenant, agents in (("one", 1), ("three", 3)):
        sums = sums_of(analytics, tenant, routes)
        for measure in declared_split().measures:
            cells = sums[measure.name].values()
            assert sum(cells) <= agents * measure.cells_max * measure.contribution_max, measure.name
            assert max(cells) <= agents * measure.contribution_max, measure.name


def _keyed(values: list[int]) -> list[int]:
    return (np.array(values) + discrete_gaussian_of(13, len(values), np.random.default_rng(7))).tolist()  # type: ignore[no-any-return]
