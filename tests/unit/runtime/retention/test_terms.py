"""Terms: the shorter of the operator's and the tenant's, and none for who has left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.runtime.retention.kinds import KINDS, SETTABLE, End
from services.runtime.retention.terms import OVER_ALL, Standing, Terms
from services.runtime.settings import Settings

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def _terms(**tenants: Standing) -> Terms:
    return Terms(Settings(), tenants)


@pytest.mark.parametrize(("chosen", "days"), [(30, 30), (90, 90), (400, 90)])
def test_a_tenant_chooses_within_the_operators_ceiling(chosen: int, days: int) -> None:
    """`identity.linked_days` is 90."""
    assert _terms(a=Standing(days={"linked": chosen})).of("linked", "a") == timedelta(days=days)


def test_what_is_not_a_tenants_to_choose_is_the_operators() -> None:
    """An entry for it changes nothing."""
    assert _terms(a=Standing(days={"grants": 1})).of("grants", "a") == KINDS["grants"].term(Settings())


def test_of_a_tenant_nobody_has_registered_the_operators_term_holds() -> None:
    """Its data is not kept for ever for that."""
    assert _terms().of("linked", "unknown") == timedelta(days=90)


@pytest.mark.parametrize("status", ["terminating", "terminated"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_tenant_that_has_left_has_a_term(kind: str, status: str) -> None:
    """Whatever there is, is over; nothing of it is isolated or counted."""
    terms = _terms(a=Standing(status, {"linked": 30}, {"linked": "isolate"}))
    assert terms.of(kind, "a") == timedelta(0)
    assert terms.cutoff(kind, NOW, "a") == OVER_ALL
    assert terms.end(kind, "a") is End.DELETE
    assert terms.gone == ("a",)


def test_the_end_is_the_tenants_where_the_type_knows_it() -> None:
    """What a type does not know is not done."""
    terms = _terms(a=Standing(ends={"linked": "isolate", "figures": "isolate"}))
    assert terms.end("linked", "a") is End.ISOLATE
    assert terms.end("figures", "a") is End.DELETE
    assert terms.end("linked", "b") is End.DELETE


def test_tenants_with_one_cut_off_stand_together() -> None:
    """So that a thousand tenants are few statements."""
    terms = _terms(a=Standing(), b=Standing(days={"linked": 30}), c=Standing())
    assert terms.by_cutoff("linked", NOW, ["a", "b", "c"]) == {
        NOW - timedelta(days=90): ["a", "c"],
        NOW - timedelta(days=30): ["b"],
    }


def test_every_type_can_end_and_says_what_it_is() -> None:
    """The page and the report are made of this list."""
    assert all(kind.ends and kind.what and kind.term(Settings()) > timedelta(0) for kind in KINDS.values())
    assert set(SETTABLE) == {"linked", "accounts", "figures", "releases"}
