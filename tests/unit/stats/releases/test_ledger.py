"""A day is charged once and stored once; what is in between can only be lost."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import pytest

from services.runtime.errors import Fatal
from services.stats.releases.ledger import CHARGED, STORED, Scopes, charges
from tests.unit.stats.releases.records import (
    FIRST,
    charge_day,
    closed_at,
    new_records,
    noisy_cells,
    store_day,
    store_days,
)

NOISY = {"visitors": [7], "page_views": [-30], "visitors_by_route": [1, -2]}
ROUTES = ("/a", "/b/{id}")


def test_a_day_is_charged_once(tmp_path: Path) -> None:
    """The second charge says no, before and after the store."""
    engine = new_records(tmp_path)
    assert charge_day(engine, "a", FIRST)
    assert not charge_day(engine, "a", FIRST, at=closed_at(FIRST) + timedelta(hours=1))
    store_day(engine, "a", FIRST, NOISY, ROUTES)
    assert not charge_day(engine, "a", FIRST, at=closed_at(FIRST) + timedelta(days=9))
    assert charge_day(engine, "b", FIRST), "another tenant's day is another row"


def test_a_charge_holds_what_was_spent(tmp_path: Path) -> None:
    """As exact fractions, with the first charge's time."""
    engine = new_records(tmp_path)
    charge_day(engine, "a", FIRST)
    with engine.connect() as connection:
        (row,) = charges(connection, "a")
    assert (row.state, row.rho, row.delta) == (CHARGED, Fraction(6, 1000), Fraction(1, 10**7))
    assert (row.charged_at, row.stored_at) == ("2026-11-02T12:00:00+00:00", None)


def test_a_charge_says_what_the_tenant_had_opted_in_to(tmp_path: Path) -> None:
    """Whoever opts in later does not change what a drawn day may be used for."""
    engine = new_records(tmp_path)
    charge_day(engine, "a", FIRST, Scopes(platform=True))
    with engine.connect() as connection:
        assert [(c.own, c.platform) for c in charges(connection, "a")] == [(False, True)]


def test_cells_and_state_are_stored_together(tmp_path: Path) -> None:
    """With the sigma they were drawn at, so that a later split changes no interval."""
    engine = new_records(tmp_path)
    charge_day(engine, "a", FIRST)
    store_day(engine, "a", FIRST, NOISY, ROUTES)
    with engine.connect() as connection:
        assert [c.state for c in charges(connection, "a")] == [STORED]
        cells = {(c.measure, c.key, c.value, c.sigma) for c in noisy_cells(connection, "a", FIRST, FIRST)}
    assert cells == {
        ("visitors", (), 7, 13), ("page_views", (), -30, 791),
        ("visitors_by_route", ("/a",), 1, 28), ("visitors_by_route", ("/b/{id}",), -2, 28),
    }  # fmt: skip


def test_a_second_store_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    """Whoever comes with other noise for a stored day."""
    engine = new_records(tmp_path)
    store_days(engine, "a", [FIRST])
    with pytest.raises(Fatal, match="nothing was stored"):
        store_day(engine, "a", FIRST, NOISY, ROUTES)
    with engine.connect() as connection:
        assert {501, 1999} <= {c.value for c in noisy_cells(connection, "a", FIRST, FIRST)}


def test_a_day_that_was_never_charged_cannot_be_stored(tmp_path: Path) -> None:
    """Noise without a charge has no way in."""
    engine = new_records(tmp_path)
    with pytest.raises(Fatal, match="never charged"):
        store_day(engine, "a", FIRST, NOISY, ROUTES)
    with engine.connect() as connection:
        assert not noisy_cells(connection, "a", FIRST, FIRST)
