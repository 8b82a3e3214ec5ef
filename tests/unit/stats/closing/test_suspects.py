"""Suspected bots: the thresholds are of this world."""

from __future__ import annotations

import pytest

from services.stats.closing.suspects import REASONS, thresholds
from services.stats.counting.routes import Templater


@pytest.mark.parametrize("route", [*thresholds()["probe_routes"], *thresholds()["robots_routes"]])
def test_a_listed_route_is_one_that_templating_leaves(route: str) -> None:
    """A path that becomes another template would never be recognised."""
    assert Templater().template(route) == route


def test_reasons_are_names_that_cells_can_have() -> None:
    """Each once, and short enough to be read in a table."""
    assert len(set(REASONS)) == len(REASONS)
    assert all(0 < len(reason) <= 40 for reason in REASONS)
