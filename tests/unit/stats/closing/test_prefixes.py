"""Prefixes with many children lose them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import polars as pl

from services.stats.closing.prefixes import CHILDREN_MAX, collapse_crowded

DAY = date(2026, 11, 2)


def _collapsed(routes: Iterable[str], page: bool = True, tenant: str = "a") -> dict[str, str]:
    frame = pl.DataFrame([{"tenant": tenant, "day": DAY, "route": route, "page": page} for route in routes])
    return {route: shown for _, _, route, shown in collapse_crowded(frame).iter_rows()}


def _names(count: int, pattern: str) -> list[str]:
    return [pattern.format(f"name-{n}") for n in range(count)]


def test_fifty_children_keep_their_names_and_fifty_one_lose_them() -> None:
    assert _collapsed(_names(CHILDREN_MAX, "/u/{}")) == {}
    assert set(_collapsed(_names(CHILDREN_MAX + 1, "/u/{}")).values()) == {"/u/{*}"}


def test_what_follows_the_child_stays() -> None:
    """And prefixes that are not crowded are left alone."""
    found = _collapsed([*_names(60, "/u/{}/photos"), "/u", "/shop/list"])
    assert set(found.values()) == {"/u/{*}/photos"}
    assert len(found) == 60


def test_a_level_that_collapses_brings_the_next_together() -> None:
    """Each of 60 users has an album of its own name: neither is shown."""
    found = _collapsed(f"/u/name-{n}/album-{n}" for n in range(60))
    assert set(found.values()) == {"/u/{*}/{*}"}


def test_the_root_is_never_collapsed() -> None:
    assert _collapsed(_names(200, "/{}")) == {}


def test_paths_that_nobody_was_served_collapse_nothing() -> None:
    """A scanner that asks for a thousand of them does not take the names from the pages that are there."""
    assert _collapsed(_names(1000, "/blog/{}"), page=False) == {}


def test_days_and_tenants_are_counted_apart() -> None:
    """30 children here and 30 there are not 60."""
    rows = [
        {"tenant": tenant, "day": DAY, "route": f"/u/{tenant}{n}", "page": True} for tenant in "ab" for n in range(30)
    ]
    assert collapse_crowded(pl.DataFrame(rows)).is_empty()
