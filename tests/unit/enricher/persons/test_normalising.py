"""Spellings of one value are equal, values of two people are not."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from services.enricher import records
from services.enricher.persons import reindexing
from services.enricher.persons.directory import AccountChange, Profile
from services.enricher.persons.normalising import FORM, normalise
from services.enricher.service import Identity
from services.runtime.database import transaction
from services.runtime.stop import Stop
from tests.parts.identity import NOON, TENANT, opened

PHONE = "+41446681800"


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("+41 44 668 18 00", ""),
        ("0041 44 668 18 00", "FR"),
        ("+41 (0)44 668 18 00", ""),
        ("044/668 18 00", "CH"),
        ("\uff10\uff14\uff14 668 18 00", "CH"),
        ("tel. 044 668 18 00", "CH"),
        ("011 41 44 668 18 00", "US"),
    ],
)
def test_one_phone_number_has_one_form(text: str, region: str) -> None:
    """With and without country code, with the trunk zero, in full-width digits, as dialled from abroad."""
    assert normalise("phone", text, region) == PHONE


@pytest.mark.parametrize(
    ("one", "other", "region"),
    [
        ("044 668 18 00", "+41 44 668 18 00", ""),
        ("044 668 18 00", "+41 44 668 18 00", "DE"),
        ("+41 44 668 18 00 ext. 12", "+41 44 668 18 00 ext. 13", ""),
        ("+41 44 668 18 00 ext. 12", "+41 44 668 18 00", ""),
        ("+41 44 668 18 00", "+41 44 668 18 01", ""),
    ],
)
def test_two_phone_numbers_stay_two(one: str, other: str, region: str) -> None:
    """Without its country a national number is nobody else's; colleagues differ by their extension."""
    assert normalise("phone", one, region) != normalise("phone", other, region)


@pytest.mark.parametrize(
    "text",
    [
        "Zoe\u0301@M\u00fcller.example",
        "zo\u00e9@xn--mller-kva.example",
        " ZO\u00c9@M\u00dcLLER.EXAMPLE ",
        "zo\u00e9@mu\u0308ller.example",
    ],
)
def test_one_e_mail_has_one_form(text: str) -> None:
    """Composed or not, in any case, with the domain as people or as machines write it."""
    assert normalise("email", text) == "zo\u00e9@xn--mller-kva.example"


def test_account_ids_are_exact() -> None:
    """Two members may differ by case alone."""
    assert normalise("account", "Ann") != normalise("account", "ann")


def test_look_ups_are_made_anew_when_the_form_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """People stored before the region was set are found afterwards, what is sealed is untouched, and it happens once."""
    monkeypatch.setattr(reindexing, "CHUNK_PERSONS", 2)
    with opened(tmp_path) as plane:
        _put(plane)
        before = _sealed(plane)
    with opened(tmp_path) as plane:
        _region(plane, "CH")
        assert plane.directory.find(TENANT, "phone", PHONE) == []
        assert plane.reindexing.run(Stop()) == 5
        assert len(plane.directory.find(TENANT, "phone", PHONE)) == 1
        assert len(plane.directory.find(TENANT, "email", "m3@example.org")) == 1
        assert (_sealed(plane), plane.reindexing.run(Stop())) == (before, 0)


def test_an_erasure_meanwhile_leaves_no_look_up(plane: Identity) -> None:
    """Erased before its turn: nothing of the person is written again."""
    _put(plane)
    _region(plane, "CH")
    plane.rights.erase(TENANT, "m0", "C-1")
    assert plane.reindexing.run(Stop()) == 4
    assert plane.directory.find(TENANT, "phone", PHONE) == []


def _put(plane: Identity) -> None:
    """Five members; the first has a number without its country."""
    people = [Profile(f"m{n}", email=f"m{n}@example.org", phone=f"044 668 18 0{n}") for n in range(5)]
    plane.directory.put(plane.signals, [AccountChange(TENANT, p.account, p, NOON) for p in people])


def _region(plane: Identity, region: str) -> None:
    """As a start with this setting does."""
    plane.directory._region, plane.directory.form = region, f"{FORM}/{region}"


def _sealed(plane: Identity) -> set[bytes]:
    with transaction(plane.engine) as connection:
        return set(connection.execute(sa.select(records.profiles.c.sealed)).scalars())
