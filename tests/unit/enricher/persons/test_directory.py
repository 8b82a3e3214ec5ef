"""Profiles are sealed, found by an exact value, and follow the newest word."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from services.enricher import records
from services.enricher.persons.directory import AccountChange, Profile
from services.enricher.persons.normalising import normalise
from services.enricher.persons.vault import Tampered
from services.enricher.rights.ordering import SignalsMoved
from services.enricher.service import Identity
from services.runtime.database import transaction
from services.runtime.errors import Fatal
from tests.parts.identity import NOON, TENANT, access, batch, count, link, send

ANN = Profile("ann", "Ann Martin", "Ann.Martin@Example.org", "1 rue X, Paris", "+33 6 12 34 56 78")


def test_a_profile_comes_back_whole(plane: Identity) -> None:
    """By account, e-mail and phone, however they are spelled."""
    _put(plane, ANN)
    for by, value in (("account", "ann"), ("email", " ann.martin@EXAMPLE.org"), ("phone", "0033 (6) 12.34.56.78")):
        (subject,) = plane.directory.find(TENANT, by, value)
        assert plane.directory.profile(subject) == ANN


@pytest.mark.parametrize(
    ("by", "value"),
    [("account", "an"), ("account", "ANN"), ("email", "ann.martin"), ("phone", "+336123456"), ("email", "%")],
)
def test_only_an_exact_value_finds(plane: Identity, by: str, value: str) -> None:
    """No prefix, no pattern, no other spelling of an account id."""
    _put(plane, ANN)
    assert plane.directory.find(TENANT, by, value) == []


def test_another_tenant_finds_nothing(plane: Identity) -> None:
    """Digests are keyed by tenant: equal e-mails of two tenants have nothing in common in the store."""
    _put(plane, ANN)
    _put(plane, ANN, tenant="other")
    with transaction(plane.engine) as connection:
        digests = list(connection.execute(sa.select(records.look_ups.c.digest)).scalars())
    assert len(set(digests)) == len(digests) == 4
    assert plane.directory.find("third", "email", str(ANN.email)) == []
    assert "index/third" not in plane.keys.names()


def test_there_is_no_look_up_by_name(plane: Identity) -> None:
    """The error names what can be asked for."""
    with pytest.raises(Fatal, match="account, email, phone"):
        plane.directory.find(TENANT, "name", "Ann Martin")


def test_a_family_shares_an_e_mail(plane: Identity) -> None:
    """All of them are found; who is meant is for the asker to tell."""
    _put(plane, ANN)
    _put(plane, Profile("bea", "Bea", ANN.email))
    assert len(plane.directory.find(TENANT, "email", str(ANN.email))) == 2


def test_the_newest_word_wins_in_any_order(plane: Identity) -> None:
    """A replay of an older record changes nothing, and a new e-mail forgets the old one."""
    _put(plane, Profile("ann", "Ann Durand", "durand@example.org"), at=NOON + timedelta(hours=1))
    _put(plane, ANN, at=NOON)
    (subject,) = plane.directory.find(TENANT, "account", "ann")
    assert plane.directory.profile(subject) == Profile("ann", "Ann Durand", "durand@example.org")
    assert plane.directory.find(TENANT, "email", str(ANN.email)) == []


def test_a_withdrawn_account_is_emptied_and_keeps_its_activity(plane: Identity) -> None:
    """The tenant takes back what it said; what happened keeps its own term."""
    _put(plane, ANN)
    send(plane, batch([access("ann", "/a")]))
    link(plane)
    _change(plane, AccountChange(TENANT, "ann", None, NOON + timedelta(hours=1)))
    (subject,) = plane.directory.find(TENANT, "account", "ann")
    assert plane.directory.profile(subject) == Profile("ann")
    assert count(plane, records.look_ups) == 0
    assert count(plane, records.activity) == 1


def test_withdrawing_an_unknown_account_makes_nobody(plane: Identity) -> None:
    """A tombstone for a person who is not here leaves no trace."""
    _change(plane, AccountChange(TENANT, "nobody", None, NOON))
    assert count(plane, records.subjects) == 0


def test_activity_before_the_account_is_known_belongs_to_the_same_person(plane: Identity) -> None:
    """A person is made at first sight, with the account id alone, and gets a profile later."""
    send(plane, batch([access("ann", "/a")]))
    link(plane)
    (before,) = plane.directory.find(TENANT, "account", "ann")
    assert plane.directory.profile(before) == Profile("ann")
    _put(plane, ANN)
    assert plane.directory.find(TENANT, "account", "ann") == [before]
    assert plane.directory.profile(before) == ANN


def test_two_spellings_of_an_account_in_one_batch_are_one_person(plane: Identity) -> None:
    """Spaces around and compatibility forms are the same id."""
    send(plane, batch([access("ann"), access(" ann"), access("ａnn")]))
    link(plane)
    assert count(plane, records.subjects) == 1


def test_the_store_holds_no_clear_text(plane: Identity) -> None:
    """No column of any table holds a value of the profile."""
    _put(plane, ANN)
    values = [v.encode() for v in (ANN.account, ANN.name, ANN.email, ANN.postal_address, ANN.phone) if v]
    with transaction(plane.engine) as connection:
        for table in records.metadata.tables.values():
            for row in connection.execute(sa.select(table)):
                cells = [c if isinstance(c, bytes) else str(c).encode() for c in row]
                assert not any(value in cell for value in values for cell in cells)


def test_nothing_of_a_profile_shows_in_text() -> None:
    """A profile in a traceback, a log or an assertion message would be a leak."""
    for shown in (repr(ANN), str(ANN), repr(AccountChange(TENANT, "ann", ANN, NOON))):
        text = re.sub(r" at 0x[0-9a-f]+", "", shown)  # an address in memory may have any digits
        assert not any(value in text for value in ("ann", "Ann", "Paris", "33"))


def test_a_profile_moved_to_another_person_is_rejected(plane: Identity) -> None:
    """It is bound to its subject and tenant."""
    _put(plane, ANN)
    (subject,) = plane.directory.find(TENANT, "account", "ann")
    with transaction(plane.engine) as connection:
        connection.execute(sa.update(records.subjects).values(tenant="other"))
    with pytest.raises(Tampered):
        plane.directory.profile(subject)


def test_nothing_is_stored_while_a_signal_is_not_followed(plane: Identity) -> None:
    """The gate between an erasure and everything that writes."""
    with transaction(plane.engine) as connection:
        connection.execute(sa.update(records.counters).values(value=10**6))
    with pytest.raises(SignalsMoved):
        _put(plane, ANN)
    assert count(plane, records.subjects) == 0


@given(st.text(max_size=40), st.sampled_from(["account", "email", "phone"]))
def test_normalising_twice_changes_nothing(value: str, field: str) -> None:
    """Otherwise a stored value could not be found by itself."""
    assert normalise(field, normalise(field, value)) == normalise(field, value)


def _put(plane: Identity, profile: Profile, tenant: str = TENANT, at: datetime = NOON) -> None:
    _change(plane, AccountChange(tenant, profile.account, profile, at))


def _change(plane: Identity, change: AccountChange) -> None:
    plane.directory.put(plane.signals, [change])
