"""The declared split is the design's table, and its scales are the smallest that keep it."""

from __future__ import annotations

from fractions import Fraction
from math import sqrt

import pytest

from services.stats.releases import split as split_module
from services.stats.releases.split import declared_split

# exports.md, the table of the budget, with 15 routes and 50 page views of a visitor (ADR 0234): measure -> (cells, contribution, rho in thousandths, sigma of a day)
DESIGN = {
    "visitors_by_route": (15, 1, 10, 27.4),
    "visitors": (1, 1, 3, 12.9),
    "page_views": (1, 50, 2, 790.6),
    "visitors_by_country_and_device": (1, 1, 2, 15.8),
    "visitors_by_referrer_class": (1, 1, 1, 22.4),
    "requests_by_latency_class": (1, 1, 2, 15.8),
}


def test_every_line_of_the_design_is_declared_and_nothing_else() -> None:
    """Bounds and shares, recomputed from the table."""
    declared = {m.name: (m.cells_max, m.contribution_max, int(m.rho * 1000)) for m in declared_split().measures}
    assert declared == {name: line[:3] for name, line in DESIGN.items()}


def test_the_shares_add_up_to_the_day_exactly() -> None:
    """Fractions: no rounding hides a thousandth."""
    assert sum(m.rho for m in declared_split().measures) == declared_split().rho_day_max == Fraction(1, 50)
    assert declared_split().rho_of({"visitors", "page_views"}) == Fraction(5, 1000)


@pytest.mark.parametrize("name", DESIGN)
def test_sigma_is_the_smallest_integer_that_keeps_the_share(name: str) -> None:
    """sigma^2 = L0 Linf^2 / (2 rho); one less would spend more than the share."""
    measure = declared_split()[name]
    exact = sqrt(measure.cells_max * measure.contribution_max**2 / (2 * float(measure.rho)))
    assert exact == pytest.approx(DESIGN[name][3], rel=0.002)
    spent = Fraction(measure.sensitivity_squared, 2 * measure.sigma**2)
    spent_by_one_less = Fraction(measure.sensitivity_squared, 2 * (measure.sigma - 1) ** 2)
    assert measure.rho_spent == spent <= measure.rho < spent_by_one_less


def test_a_split_over_the_budget_is_refused() -> None:
    """A line more would spend what a day does not have."""
    line = {"name": "a", "title": "A", "cells_max": 1, "contribution_max": 1, "rho": "1/40", "keys": []}
    with pytest.raises(ValueError, match="more than rho_day_max"):
        split_module._parse({"rho_day_max": "1/50", "delta": "1/10000000", "measures": [line]})
