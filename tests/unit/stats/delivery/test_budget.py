"""What the operator's page says of the budget is what the ledger has."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path

from services.stats.delivery.budget import spent
from services.stats.releases.split import declared_split
from tests.unit.stats.releases.records import NAMED, charge_day, new_records, store_days

FIRST = date(2026, 10, 30)
DAY = declared_split().rho_of(NAMED)


def test_months_add_up_what_was_charged(tmp_path: Path) -> None:
    """A lost day has cost as much as a drawn one; a day that was never charged costs nothing and is told."""
    records = new_records(tmp_path)
    days = [FIRST + timedelta(n) for n in range(5)]  # two in October, three in November
    store_days(records, "harbour", days[:3])
    assert charge_day(records, "harbour", days[4])  # and nothing was stored
    store_days(records, "meadow", days[:1])
    november, october = spent(records, {"harbour"}, days[4] + timedelta(2), float)
    records.dispose()
    assert (october.tenant, october.first, october.drawn, october.lost, october.not_drawn) == (
        "harbour", date(2026, 10, 1), 2, 0, 0,
    )  # fmt: skip
    assert (november.drawn, november.lost, november.not_drawn) == (1, 1, 2)
    assert (october.rho, november.rho) == (2 * DAY, 2 * DAY)
    assert november.epsilon == float(2 * DAY)


def test_nobody_sees_the_budget_of_another_tenant(tmp_path: Path) -> None:
    """None is every tenant; an empty set nobody's."""
    records = new_records(tmp_path)
    store_days(records, "harbour", [FIRST])
    store_days(records, "meadow", [FIRST])
    seen = {
        name: [month.tenant for month in spent(records, tenants, FIRST, lambda _: 0.0)]
        for name, tenants in {"all": None, "one": {"meadow"}, "none": frozenset[str]()}.items()
    }
    records.dispose()
    assert seen == {"all": ["harbour", "meadow"], "one": ["meadow"], "none": []}


def test_a_tenant_without_a_draw_has_no_line(tmp_path: Path) -> None:
    records = new_records(tmp_path)
    assert spent(records, None, FIRST, lambda _: 0.0) == []
    records.dispose()
    assert Fraction(1, 50) >= DAY
