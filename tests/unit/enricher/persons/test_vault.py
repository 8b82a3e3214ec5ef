"""K1: what is sealed opens only whole, only for its person and only where it belongs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from services.enricher import records
from services.enricher.activity import blocks as activity
from services.enricher.persons.vault import PersonKey, Tampered, bound_to
from services.enricher.service import Identity
from services.runtime.database import transaction
from services.runtime.errors import Fatal
from services.runtime.keys import open_keys
from tests.parts.identity import NOON, TENANT, access, batch, link, send


@pytest.fixture
def person(plane: Identity) -> PersonKey:
    with transaction(plane.engine) as connection:
        return plane.vault.create(connection, ["subject-1"])["subject-1"]


def test_a_flipped_byte_anywhere_in_a_block_is_rejected(person: PersonKey) -> None:
    """Every byte of nonce, ciphertext and tag, every bit of it."""
    place = bound_to("tenant", "subject", "7")
    sealed = person.seal(place, b"GET /members/42 from 203.0.113.7")
    assert person.open(place, sealed).startswith(b"GET")
    for number, changed in _flipped(sealed):
        with pytest.raises(Tampered):
            person.open(place, changed)
        assert number < len(sealed)


def test_a_flipped_byte_of_the_place_is_rejected(person: PersonKey) -> None:
    """Tenant, subject, block and day are bound to the block."""
    place = bound_to("tenant", "subject", "7", "2026-03-10")
    sealed = person.seal(place, b"x")
    for _, changed in _flipped(place):
        with pytest.raises(Tampered):
            person.open(changed, sealed)


def test_a_cut_or_empty_text_is_rejected(person: PersonKey) -> None:
    """Too short for a nonce and a tag included."""
    sealed = person.seal(b"p", b"text")
    for length in range(len(sealed)):
        with pytest.raises(Tampered):
            person.open(b"p", sealed[:length])


def test_places_read_in_one_way_only() -> None:
    """Moving a character from one part to the next names another place."""
    assert bound_to("ab", "c") != bound_to("a", "bc") != bound_to("abc")


def test_a_flipped_byte_of_a_wrapped_key_is_rejected(plane: Identity, person: PersonKey) -> None:
    """The key itself is bound to its person and to the key that wraps it."""
    subject, kek, wrapped = _key_row(plane, person.subject)
    for _, changed in _flipped(wrapped):
        with pytest.raises(Tampered):
            plane.vault.unwrap([(subject, kek, changed)])
    with pytest.raises(Tampered):
        plane.vault.unwrap([("subject-2", kek, wrapped)])


def test_blocks_swapped_between_persons_are_rejected(plane: Identity) -> None:
    """Somebody with write access to the database cannot show one person's activity as another's."""
    send(plane, batch([access("ann", "/ann"), access("bob", "/bob")]))
    link(plane)
    ann, bob = _subject(plane, "ann"), _subject(plane, "bob")
    _swap(plane, records.activity, records.activity.c.sealed, ann, bob)
    for subject in (ann, bob):
        with pytest.raises(Tampered):
            _read(plane, subject)


@pytest.mark.parametrize("column", ["block", "day", "tenant"])
def test_a_block_moved_to_another_place_is_rejected(plane: Identity, column: str) -> None:
    """Also to another number, day or tenant of the same person."""
    send(plane, batch([access("ann", "/ann")]))
    link(plane)
    moved = {"block": 4711, "day": NOON.date() - timedelta(days=1), "tenant": "other"}[column]
    with transaction(plane.engine) as connection:
        connection.execute(sa.update(records.activity).values({column: moved}))
    with pytest.raises(Tampered):
        _read(plane, _subject(plane, "ann"))


def test_keys_swapped_between_persons_are_rejected(plane: Identity) -> None:
    """The wrapped key of one person does not open as another's."""
    send(plane, batch([access("ann", "/ann"), access("bob", "/bob")]))
    link(plane)
    ann, bob = _subject(plane, "ann"), _subject(plane, "bob")
    _swap(plane, records.person_keys, records.person_keys.c.wrapped, ann, bob)
    with pytest.raises(Tampered):
        _read(plane, ann)


def test_without_the_place_a_swap_would_pass(plane: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch: bound to nothing, a block moved to another day opens, so the checks above can fail."""
    monkeypatch.setattr(activity, "_place", lambda *_: b"")
    send(plane, batch([access("ann", "/ann")]))
    link(plane)
    with transaction(plane.engine) as connection:
        connection.execute(sa.update(records.activity).values(day=NOON.date() - timedelta(days=1)))
    assert _read(plane, _subject(plane, "ann"))["path"].to_list() == ["/ann"]


def test_a_missing_key_encryption_key_says_what_to_do(plane: Identity, person: PersonKey) -> None:
    """Restoring the records without the key folder is the mistake behind it."""
    row = _key_row(plane, person.subject)
    plane.keys.destroy(row[1])
    with pytest.raises(Fatal, match="key folder"):
        plane.vault.unwrap([row])


def test_keys_of_an_older_key_encryption_key_still_open(plane: Identity, person: PersonKey) -> None:
    """Each key names what wraps it, so that rotation can be gradual."""
    sealed = person.seal(b"p", b"text")
    plane.rotation.begin()
    with transaction(plane.engine) as connection:
        assert plane.vault.load(connection, [person.subject])[person.subject].open(b"p", sealed) == b"text"
        plane.vault.create(connection, ["subject-2"])
    assert _key_row(plane, "subject-1")[1] == "kek/1"
    assert _key_row(plane, "subject-2")[1] == "kek/2"


def test_nothing_of_a_key_shows_in_text(person: PersonKey) -> None:
    """A key in a traceback or a log would be in a backup for ever."""
    assert "0x" in repr(person)
    assert "subject-1" not in repr(person)


def test_a_wide_key_folder_is_refused(tmp_path: Path) -> None:
    """Who can read the key-encryption key can read everybody."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o755)
    with pytest.raises(Fatal, match="chmod"):
        open_keys(f"file://{folder}")


def test_packed_rows_come_back_and_tolerate_an_older_writer() -> None:
    """A column that an older version did not write is null."""
    frame = batch([access("ann", "/é☃", duration_ms=5)]).frame.with_columns(expires=date(2026, 4, 1))
    (text,) = activity.pack(frame)["text"].to_list()
    packed = zstandard.ZstdCompressor().compress(text.encode())
    assert activity.unpack([packed])["path"].to_list() == ["/é☃"]
    older = zstandard.ZstdCompressor().compress(b'{"timestamp":[1],"path":["/"]}')
    assert activity.unpack([older]).schema == pl.Schema(activity.LINKED)
    assert activity.unpack([older, packed])["user_agent"].to_list() == [None, "Mozilla/5.0"]


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_is_changed_or_moved_is_rejected(data: st.DataObject) -> None:
    """K1, as a property: any block, profile or wrapped key opens where it was sealed, and nowhere else: not under
    another tenant, subject, number, day or kind of place, nor with any byte changed, added or taken away."""
    parts = data.draw(st.lists(st.text(max_size=12), min_size=1, max_size=5))
    key = PersonKey("s", AESGCM(data.draw(st.binary(min_size=32, max_size=32))))
    text = data.draw(st.binary(max_size=80))
    sealed = key.seal(bound_to(*parts), text)
    assert key.open(bound_to(*parts), sealed) == text
    others = data.draw(st.lists(st.text(max_size=12), max_size=5).filter(lambda other: other != parts))
    spoilt = data.draw(_spoilt(sealed))
    for place, found in ((bound_to(*others), sealed), (bound_to(*parts), spoilt)):
        with pytest.raises(Tampered):
            key.open(place, found)


@pytest.mark.parametrize("column", ["tenant", "subject"])
def test_a_profile_or_key_moved_to_another_place_is_rejected(plane: Identity, column: str) -> None:
    """The rows of a directory swapped by somebody who can write to the database: each of their two columns."""
    send(plane, batch([access("ann", "/ann"), access("bob", "/bob")]))
    link(plane)
    ann, bob = _subject(plane, "ann"), _subject(plane, "bob")
    table = records.subjects
    with transaction(plane.engine) as connection:
        if column == "tenant":
            connection.execute(sa.update(table).where(table.c.subject == ann).values(tenant="other"))
        else:
            connection.execute(sa.delete(records.profiles).where(records.profiles.c.subject == ann))
            connection.execute(sa.update(records.profiles).values(subject=ann))
    with pytest.raises(Tampered):
        plane.directory.profile(ann)
    assert bob != ann


@st.composite
def _spoilt(draw: st.DrawFn, sealed: bytes) -> bytes:
    """One byte other than it was, one more, or some fewer."""
    at = draw(st.integers(0, len(sealed) - 1))
    how = draw(st.sampled_from(["change", "add", "cut", "drop"]))
    if how == "change":
        return sealed[:at] + bytes([sealed[at] ^ draw(st.integers(1, 255))]) + sealed[at + 1 :]
    if how == "add":
        return sealed + draw(st.binary(min_size=1, max_size=4))
    return sealed[:at] if how == "cut" else sealed[:at] + sealed[at + 1 :]


def _flipped(data: bytes) -> Iterator[tuple[int, bytes]]:
    for number in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[number] ^= 1 << bit
            yield number, bytes(changed)


def _key_row(plane: Identity, subject: str) -> tuple[str, str, bytes]:
    table = records.person_keys
    with transaction(plane.engine) as connection:
        row = connection.execute(sa.select(table).where(table.c.subject == subject)).one()
    return row.subject, row.kek, row.wrapped


def _subject(plane: Identity, account: str) -> str:
    (subject,) = plane.directory.find(TENANT, "account", account)
    return subject


def _read(plane: Identity, subject: str) -> pl.DataFrame:
    return plane.activity.read(subject, NOON - timedelta(days=30), NOON + timedelta(days=1))


def _swap(plane: Identity, table: sa.Table, column: sa.ColumnElement[bytes], one: str, other: str) -> None:
    with transaction(plane.engine) as connection:
        found = {
            s: connection.execute(sa.select(column).where(table.c.subject == s)).scalar_one() for s in (one, other)
        }
        for subject, value in ((one, found[other]), (other, found[one])):
            connection.execute(sa.update(table).where(table.c.subject == subject).values({column: value}))
