"""People of an OpenID provider: roles by group at each sign-in, and nobody becomes somebody else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.runtime.clock import FixedClock
from services.runtime.settings import OidcGroup
from services.runtime.web.people import NotAdmitted, ProviderPeople, Rights, is_name, rights_of
from services.runtime.web.sessions import Sessions
from tests.parts.web import records

RULES = [
    OidcGroup(group="board", service="statistics", role="admin", tenants=("chess-club",)),
    OidcGroup(group="product", service="statistics", role="viewer", tenants=("*",)),
    OidcGroup(group="choir", service="statistics", role="viewer", tenants=("choir",)),
    OidcGroup(group="helpdesk", service="identity", role="support", tenants=("chess-club",)),
]
LOOK = Rights(frozenset({"viewer"}), frozenset({"choir"}))


@pytest.mark.parametrize(
    ("groups", "roles", "tenants"),
    [
        ({"board"}, {"admin"}, {"chess-club"}),
        ({"choir", "product"}, {"viewer"}, {"*", "choir"}),
        ({"board", "choir"}, {"admin"}, {"chess-club"}),  # an administrator of the chess club, not of the choir
        ({"board", "helpdesk"}, {"admin"}, {"chess-club"}),
    ],
)
def test_groups_give_one_role_and_its_tenants(groups: set[str], roles: set[str], tenants: set[str]) -> None:
    """The first rule that fits says the role; rules with another role add nothing."""
    assert rights_of(groups, RULES, "statistics") == Rights(frozenset(roles), frozenset(tenants))


@pytest.mark.parametrize("groups", [set(), {"helpdesk"}, {"Board"}, {"board "}, {"*"}])
def test_no_group_gives_nothing(groups: set[str]) -> None:
    """Also one of another service, or almost the same name."""
    assert rights_of(groups, RULES, "statistics") is None


@pytest.fixture
def kept(tmp_path: Path) -> tuple[ProviderPeople, Sessions]:
    engine, tables = records(tmp_path)
    sessions = Sessions(engine, tables, FixedClock(datetime(2026, 3, 2, tzinfo=UTC)))
    return ProviderPeople(engine, tables), sessions


def test_rights_are_those_of_the_newest_sign_in(kept: tuple[ProviderPeople, Sessions]) -> None:
    """Open sessions have them at once; who has none left is removed, and their sessions with them."""
    people, sessions = kept
    assert people.admit("https://idp 1", "ada", LOOK) == "ada"
    token = sessions.begin("ada", "oidc")
    assert token is not None
    people.admit("https://idp 1", "ada", Rights(frozenset({"admin"}), frozenset({"choir"})))
    session = sessions.current(token)
    assert session is not None
    assert (session.roles, session.is_managed) == (frozenset({"admin"}), True)
    with pytest.raises(NotAdmitted, match="no_group"):
        people.admit("https://idp 1", "ada", None)
    assert sessions.current(token) is None
    assert not sessions.users()


def test_nobody_becomes_somebody_else_by_a_name(kept: tuple[ProviderPeople, Sessions]) -> None:
    """Neither somebody who is kept here nor somebody of the provider; who is renamed there keeps the name here."""
    people, sessions = kept
    sessions.put_user("ada", ["admin"], ["*"])
    people.admit("https://idp 1", "ben", LOOK)
    for subject, name in [("https://idp 2", "ada"), ("https://idp 2", "ben"), ("https://other 1", "ben")]:
        with pytest.raises(NotAdmitted, match="name_taken"):
            people.admit(subject, name, LOOK)
    assert people.admit("https://idp 1", "ada", LOOK) == "ben"
    assert {user.name: (user.is_managed, user.roles) for user in sessions.users()} == {
        "ada": (False, frozenset({"admin"})),
        "ben": (True, frozenset({"viewer"})),
    }


@pytest.mark.parametrize("name", ["", "os:root", "api:club", "voile", " ada", "a\nb", "a" * 101])
def test_names_are_printable_and_nobody_elses(kept: tuple[ProviderPeople, Sessions], name: str) -> None:
    people, _ = kept
    assert not is_name(name)
    with pytest.raises(NotAdmitted, match="no_name"):
        people.admit("https://idp 1", name, LOOK)
