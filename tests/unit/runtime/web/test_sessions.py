"""Sessions: a link works once, a session ends in time, nothing in the records opens one."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.runtime.clock import FixedClock
from services.runtime.errors import VoileError
from services.runtime.web.sessions import EVERY_TENANT, LINK_MINUTES, Sessions
from tests.parts.web import open_sessions


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))


@pytest.fixture
def sessions(tmp_path: Path, clock: FixedClock) -> Sessions:
    return open_sessions(tmp_path, clock)


def signed_in(sessions: Sessions) -> str:
    token = sessions.sign_in(sessions.login_link("ada"))
    assert token is not None
    return token


def test_a_link_signs_in_the_person_it_was_made_for(sessions: Sessions) -> None:
    """The session carries the person's name, roles and tenants."""
    session = sessions.current(signed_in(sessions))
    assert session is not None
    assert (session.user, session.roles) == ("ada", frozenset({"viewer"}))
    assert session.tenants == {EVERY_TENANT}


def test_a_link_works_once(sessions: Sessions) -> None:
    """The second use of one link opens nothing; looking at it first does not use it up."""
    link = sessions.login_link("ada")
    assert sessions.link_is_good(link)
    assert sessions.link_is_good(link)
    assert sessions.sign_in(link) is not None
    assert not sessions.link_is_good(link)
    assert sessions.sign_in(link) is None


def test_a_link_is_over_after_its_time(sessions: Sessions, clock: FixedClock) -> None:
    """At its last second a link works, one second later it does not."""
    first, second = sessions.login_link("ada"), sessions.login_link("ada")
    clock.advance(timedelta(minutes=LINK_MINUTES, seconds=-1))
    assert sessions.sign_in(first) is not None
    clock.advance(timedelta(seconds=1))
    assert not sessions.link_is_good(second)
    assert sessions.sign_in(second) is None


def test_an_unknown_person_gets_no_link(sessions: Sessions) -> None:
    """The error says what to do and does not repeat the name."""
    with pytest.raises(VoileError, match="voile user add") as caught:
        sessions.login_link("mallory@example.org")
    assert "mallory" not in str(caught.value)


def test_a_session_ends_when_idle(sessions: Sessions, clock: FixedClock) -> None:
    """Half an hour without a request ends it, each request begins the half hour anew."""
    token = signed_in(sessions)
    for _ in range(3):
        clock.advance(timedelta(minutes=29))
        assert sessions.current(token) is not None
    clock.advance(timedelta(minutes=30))
    assert sessions.current(token) is None


def test_a_session_ends_after_twelve_hours_however_busy(sessions: Sessions, clock: FixedClock) -> None:
    """Requests keep it from being idle, not from being old."""
    token = signed_in(sessions)
    for _ in range(12 * 4 - 1):
        clock.advance(timedelta(minutes=15))
        assert sessions.current(token) is not None
    clock.advance(timedelta(minutes=15))
    assert sessions.current(token) is None


def test_signing_out_ends_the_session(sessions: Sessions) -> None:
    """The cookie's token is worth nothing afterwards; another session of the same person goes on."""
    token, other = signed_in(sessions), signed_in(sessions)
    sessions.sign_out(token)
    assert sessions.current(token) is None
    assert sessions.current(other) is not None


def test_rights_taken_away_are_gone_at_once(sessions: Sessions) -> None:
    """An open session sees the roles and tenants of now, and ends with its person."""
    token = signed_in(sessions)
    sessions.put_user("ada", [], ["north"])
    session = sessions.current(token)
    assert session is not None
    assert not session.roles
    assert session.tenants == {"north"}
    link = sessions.login_link("ada")
    assert sessions.remove_user("ada")
    assert not sessions.remove_user("ada")
    assert sessions.current(token) is None
    assert sessions.sign_in(link) is None


def test_the_records_open_nothing(sessions: Sessions, tmp_path: Path) -> None:
    """No token of a link or a session stands in the database file."""
    link = sessions.login_link("ada")
    token = sessions.sign_in(link)
    assert token is not None
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"ada" in stored  # the search reaches the rows
    assert link.encode() not in stored
    assert token.encode() not in stored


def test_every_session_has_its_own_form_token(sessions: Sessions) -> None:
    """A form of one session is no use in another, also of the same person."""
    first, second = sessions.current(signed_in(sessions)), sessions.current(signed_in(sessions))
    assert first is not None
    assert second is not None
    assert first.csrf != second.csrf


def test_what_has_ended_is_forgotten(sessions: Sessions, clock: FixedClock, tmp_path: Path) -> None:
    """The next sign-in deletes the rows of ended sessions and links: no history of who came when is kept."""
    signed_in(sessions)
    clock.advance(timedelta(hours=13))
    signed_in(sessions)
    with sqlite3.connect(tmp_path / "records.db") as connection:
        assert connection.execute("SELECT count(*) FROM sessions").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM login_links").fetchone() == (1,)
    connection.close()


def test_a_person_sees_and_ends_their_own_sessions(sessions: Sessions, clock: FixedClock) -> None:
    """Newest first, with how they began; an id ends one's own alone, and opens nothing."""
    sessions.put_user("ben", ["viewer"], [EVERY_TENANT])
    first = signed_in(sessions)
    clock.advance(timedelta(minutes=5))
    second, bens = sessions.begin("ada", "password"), sessions.begin("ben", "oidc")
    assert second is not None
    assert bens is not None
    listed = sessions.opened("ada", second)
    assert [(one.method, one.is_this) for one in listed] == [("password", True), ("link", False)]
    assert sessions.current(listed[0].id) is None
    assert not sessions.end("ada", sessions.opened("ben")[0].id)
    assert sessions.end("ada", listed[1].id)
    assert not sessions.end("ada", listed[1].id)
    assert [sessions.current(token) is None for token in (first, second, bens)] == [True, False, False]


def test_all_sessions_of_a_person_end_but_one(sessions: Sessions) -> None:
    """And links that were not used; nobody else's."""
    sessions.put_user("ben", ["viewer"], [EVERY_TENANT])
    kept, other, link, bens = (
        signed_in(sessions),
        signed_in(sessions),
        sessions.login_link("ada"),
        sessions.begin("ben", "link"),
    )
    assert bens is not None
    assert sessions.end_all("ada", but=kept) == 1
    assert [sessions.current(token) is None for token in (kept, other, bens)] == [False, True, False]
    assert sessions.sign_in(link) is None
    assert sessions.end_all("ada") == 1


def test_nobody_begins_a_session_of_nobody(sessions: Sessions) -> None:
    """Somebody who was removed while they signed in, say."""
    assert sessions.begin("eve", "password") is None
