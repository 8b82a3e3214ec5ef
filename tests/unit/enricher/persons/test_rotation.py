"""Keys of persons under a new key-encryption key: everybody stays readable, and what is older opens nobody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.enricher import records
from services.enricher.persons import rotation
from services.enricher.persons.vault import Tampered
from services.enricher.service import Identity
from services.runtime.clock import FixedClock
from services.runtime.database import transaction
from services.runtime.errors import Fatal
from tests.parts.identity import NOON, TENANT, access, batch, link, linked, opened, send

PEOPLE = ("ann", "bob", "cem", "dan", "eve")
WEEK, TWO_DAYS = timedelta(days=7), timedelta(days=2)


@pytest.fixture
def peopled(plane: Identity, monkeypatch: pytest.MonkeyPatch) -> Identity:
    """Five people, and chunks of two keys."""
    monkeypatch.setattr(rotation, "CHUNK_KEYS", 2)
    send(plane, batch([access(name, f"/{name}") for name in PEOPLE]))
    link(plane)
    return plane


def test_everybody_is_readable_and_the_older_key_is_gone(peopled: Identity) -> None:
    """Data is not touched: the blocks are byte for byte what they were."""
    blocks = _column(peopled, records.activity.c.sealed)
    before = _column(peopled, records.person_keys.c.wrapped)
    assert peopled.rotation.rotate() == len(PEOPLE)
    assert _readable(peopled) == list(PEOPLE)
    assert _column(peopled, records.activity.c.sealed) == blocks
    assert not before & _column(peopled, records.person_keys.c.wrapped)
    assert peopled.keys.names("kek/") == ["kek/2"]
    status = peopled.rotation.status()
    assert (status.current, status.persons, status.is_closed) == (2, {"kek/2": len(PEOPLE)}, True)


def test_rows_of_before_open_nobody(peopled: Identity) -> None:
    """A backup of the key table from before a rotation is refused at the start, with what to do."""
    old = _rows(peopled)
    peopled.rotation.rotate()
    _put(peopled, old)
    with pytest.raises(Fatal, match="newer than the last rotation"):
        peopled.vault.prepare(peopled.engine)


def test_without_closing_rows_of_before_would_open_everybody(peopled: Identity) -> None:
    """The switch of the test above: keys wrapped anew, and the older key-encryption key kept."""
    old = _rows(peopled)
    peopled.rotation.begin()
    peopled.rotation.rewrap()
    _put(peopled, old)
    assert _readable(peopled) == list(PEOPLE)


@pytest.mark.parametrize("steps", range(5))
def test_what_was_begun_is_finished(peopled: Identity, steps: int) -> None:
    """Killed after any step, also between two chunks, the next call goes on; it does not begin another one."""
    one = peopled.rotation
    done: list[Callable[[], object]] = [one.begin, one._rewrap_chunk, one._rewrap_chunk, one._rewrap_chunk]
    for step in done[:steps]:
        step()
    peopled.rotation.rotate()
    assert peopled.rotation.status().current == 2
    assert (peopled.keys.names("kek/"), _readable(peopled)) == (["kek/2"], list(PEOPLE))


def test_a_key_that_nobody_was_told_of_is_taken_up(tmp_path: Path) -> None:
    """Killed between making the key and saying so; a start finds it, and closing works as ever."""
    with opened(tmp_path) as plane:
        send(plane, batch([access("ann", "/ann")]))
        link(plane)
        plane.keys.get_or_create("kek/2")
    with opened(tmp_path) as plane:
        assert plane.rotation.keep_term(None, timedelta(0)) == 1
        assert (plane.keys.names("kek/"), linked(plane, "ann")) == (["kek/2"], ["/ann"])


def test_whoever_comes_during_a_rotation_is_wrapped_by_the_new_key(peopled: Identity) -> None:
    """And is readable when it is over."""
    peopled.rotation.begin()
    send(peopled, batch([access("fay", "/fay")], first=10))
    link(peopled)
    assert peopled.rotation.rewrap() == len(PEOPLE)
    peopled.rotation.close()
    assert linked(peopled, "fay") == ["/fay"]


def test_an_erasure_in_the_middle_stays_an_erasure(peopled: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that was read, and is gone by the time it is written wrapped anew, does not come back."""
    read = _rows(peopled)
    peopled.rotation.begin()
    peopled.rights.erase(TENANT, "ann", "C-1")
    answers = [read, []]
    monkeypatch.setattr(rotation, "_wrapped_otherwise", lambda *_, **__: answers.pop(0))
    peopled.rotation.rewrap()
    assert len(_rows(peopled)) == len(PEOPLE) - 1
    assert _readable(peopled) == list(PEOPLE[1:])


def test_an_older_key_that_still_wraps_somebody_is_not_destroyed(peopled: Identity) -> None:
    """Closing too early would destroy people's data."""
    peopled.rotation.begin()
    peopled.rotation._rewrap_chunk()
    peopled.rotation.close()
    assert peopled.keys.names("kek/") == ["kek/1", "kek/2"]
    assert _readable(peopled) == list(PEOPLE)


def test_a_key_that_does_not_open_stops_it(peopled: Identity) -> None:
    """A damaged key is not passed over: what wraps it would be destroyed."""
    table = records.person_keys
    with transaction(peopled.engine) as connection:
        connection.execute(sa.update(table).values(wrapped=b"\0" * 60))
    with pytest.raises(Tampered):
        peopled.rotation.rotate()
    assert "kek/1" in peopled.keys.names("kek/")


def test_a_key_wrapped_anew_while_it_is_read_is_read_again(peopled: Identity) -> None:
    """A reader that has the row of before, and finds what wraps it destroyed."""
    old = _rows(peopled)
    peopled.rotation.rotate()
    answers = [old, _rows(peopled)]
    assert len(peopled.vault.unwrap_now(lambda: answers.pop(0))) == len(PEOPLE)
    with pytest.raises(Fatal):
        peopled.vault.unwrap_now(lambda: old)


def test_it_comes_round_after_an_erasure_and_closes_later(tmp_path: Path) -> None:
    """Every seven days at most, only when somebody was erased, and the older key two days longer."""
    clock = FixedClock(NOON)
    with opened(tmp_path, clock) as plane:
        send(plane, batch([access(name, f"/{name}") for name in PEOPLE]))
        link(plane)
        assert _kept(plane) == ["kek/1"], "nobody was erased"
        plane.rights.erase(TENANT, "ann", "C-1")
        assert plane.rotation.status().destroyed == 1
        assert plane.rotation.keep_term(None, TWO_DAYS) == 0, "by hand alone"
        assert _kept(plane) == ["kek/1", "kek/2"]
        clock.advance(timedelta(days=1, hours=23))
        assert _kept(plane) == ["kek/1", "kek/2"]
        clock.advance(timedelta(hours=1))
        assert _kept(plane) == ["kek/2"]
        plane.rights.erase(TENANT, "bob", "C-2")
        clock.advance(timedelta(days=4))
        assert _kept(plane) == ["kek/2"], "not again within a week"
        clock.advance(timedelta(days=1))
        assert _kept(plane) == ["kek/2", "kek/3"]
        assert plane.rotation.status().destroyed == 0
        assert [linked(plane, name) for name in PEOPLE] == [[], [], ["/cem"], ["/dan"], ["/eve"]]


def _kept(plane: Identity) -> list[str]:
    plane.rotation.keep_term(WEEK, TWO_DAYS)
    return list(plane.keys.names("kek/"))


def _readable(plane: Identity) -> list[str]:
    return [name for name in PEOPLE if linked(plane, name) == [f"/{name}"]]


def _rows(plane: Identity) -> list[tuple[str, str, bytes]]:
    with transaction(plane.engine) as connection:
        return [(row.subject, row.kek, row.wrapped) for row in connection.execute(sa.select(records.person_keys))]


def _put(plane: Identity, rows: list[tuple[str, str, bytes]]) -> None:
    with transaction(plane.engine) as connection:
        connection.execute(sa.delete(records.person_keys))
        records.insert_many(connection, records.person_keys, ("subject", "kek", "wrapped"), rows)


def _column(plane: Identity, column: sa.Column[bytes]) -> set[bytes]:
    with transaction(plane.engine) as connection:
        return set(connection.execute(sa.select(column)).scalars())
