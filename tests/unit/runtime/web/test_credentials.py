"""Signing in with a password and a second factor: what opens, once, and what the records hold."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from services.runtime.clock import FixedClock
from services.runtime.web.credentials import RECOVERY_CODES, Credentials, Standing, forget
from services.runtime.web.passwords import Passwords
from services.runtime.web.sessions import Sessions
from services.runtime.web.tables import SessionTables
from services.runtime.web.totp import new_secret
from tests.parts.web import FAST, records

PASSWORD = "seven green lamps"
OTHER = "eight green lamps"


@dataclass
class Desk:
    """One person, ada, with a password and an authenticator."""

    engine: sa.Engine
    tables: SessionTables
    clock: FixedClock
    credentials: Credentials
    secret: str
    codes: Sequence[str]

    def code(self) -> str:
        return pyotp.TOTP(self.secret).at(self.clock.now())

    def next_code(self) -> str:
        self.clock.advance(timedelta(seconds=30))
        return self.code()


def opened(folder: Path, *, required: bool = True, hasher: PasswordHasher = FAST) -> tuple[Desk, Sessions]:
    engine, tables = records(folder)
    clock = FixedClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
    made = Credentials(engine, tables, clock, Passwords(hasher), factor_required=required)
    sessions = Sessions(engine, tables, clock)
    sessions.put_user("ada", ["viewer"], ["*"])
    return Desk(engine, tables, clock, made, new_secret(), ()), sessions


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made, _ = opened(tmp_path)
    codes = made.credentials.set_up("ada", PASSWORD, made.secret, made.code())
    assert codes is not None
    made.codes = codes
    return made


def test_password_and_code_open(desk: Desk) -> None:
    """Together; a code may have a blank in the middle."""
    code = desk.next_code()
    assert desk.credentials.check("ada", PASSWORD, f"{code[:3]} {code[3:]}")


@pytest.mark.parametrize(
    ("name", "password", "right_code"),
    [("ada", OTHER, True), ("ada", PASSWORD, False), ("ada", "", True), ("eve", PASSWORD, True), ("", "", False)],
)
def test_anything_wrong_opens_nothing(desk: Desk, name: str, password: str, right_code: bool) -> None:
    """And a wrong password does not use up the right code."""
    code = desk.next_code()
    assert not desk.credentials.check(name, password, code if right_code else "000000")
    assert desk.credentials.check("ada", PASSWORD, code)


def test_each_code_opens_once(desk: Desk) -> None:
    """Not again, none from before it, and not the one of setting up; the next one does."""
    assert not desk.credentials.check("ada", PASSWORD, desk.code())  # it was given when setting up
    early = desk.next_code()
    late = desk.next_code()
    assert desk.credentials.check("ada", PASSWORD, late)
    assert not desk.credentials.check("ada", PASSWORD, late)
    assert not desk.credentials.check("ada", PASSWORD, early)
    assert desk.credentials.check("ada", PASSWORD, desk.next_code())


def test_one_code_in_many_browsers_at_once_opens_one(desk: Desk) -> None:
    code = desk.next_code()
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: desk.credentials.check("ada", PASSWORD, code), range(8)))
    assert opened.count(True) == 1


def test_a_code_after_its_time_is_wrong(desk: Desk) -> None:
    """One step late is taken, two are not."""
    code = desk.next_code()
    desk.clock.advance(timedelta(seconds=60))
    assert not desk.credentials.check("ada", PASSWORD, code)
    code = desk.next_code()
    desk.clock.advance(timedelta(seconds=30))
    assert desk.credentials.check("ada", PASSWORD, code)


def test_a_recovery_code_takes_the_codes_place_once(desk: Desk) -> None:
    """Ten of them, each once, with the password, however it is typed."""
    assert len(set(desk.codes)) == RECOVERY_CODES
    first, second = desk.codes[:2]
    assert not desk.credentials.check("ada", OTHER, first)
    assert desk.credentials.check("ada", PASSWORD, first.upper().replace("-", " "))
    assert not desk.credentials.check("ada", PASSWORD, first)
    assert desk.credentials.standing("ada") == Standing(True, True, RECOVERY_CODES - 1)
    assert desk.credentials.check("ada", PASSWORD, second)


def test_the_records_open_nothing(desk: Desk, tmp_path: Path) -> None:
    """Neither password, secret nor recovery code stands in the database file."""
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"argon2id" in stored  # the search reaches the rows
    for secret in (PASSWORD, desk.secret, desk.codes[0], desk.codes[0].replace("-", "")):
        assert secret.encode() not in stored


def test_a_changed_password_takes_the_old_ones_place(desk: Desk) -> None:
    """Only with the one of now; the authenticator goes on working."""
    assert not desk.credentials.change_password("ada", OTHER, OTHER)
    assert desk.credentials.change_password("ada", PASSWORD, OTHER)
    code = desk.next_code()
    assert not desk.credentials.check("ada", PASSWORD, code)
    assert desk.credentials.check("ada", OTHER, code)


def test_of_two_changes_at_once_one_counts(desk: Desk) -> None:
    """Both had the right password; the second is told that it is wrong now."""
    wanted = [f"{number} green lamps here" for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda new: desk.credentials.change_password("ada", PASSWORD, new), wanted))
    assert done.count(True) == 1
    assert desk.credentials.check("ada", wanted[done.index(True)], desk.next_code())


def test_a_new_authenticator_takes_the_old_ones_place(desk: Desk) -> None:
    """With the password and a code of the new one; the old one and the old recovery codes are over."""
    fresh = new_secret()
    code = pyotp.TOTP(fresh).at(desk.clock.now())
    assert desk.credentials.replace_factor("ada", OTHER, fresh, code) is None
    assert desk.credentials.replace_factor("ada", PASSWORD, fresh, "000000") is None
    codes = desk.credentials.replace_factor("ada", PASSWORD, fresh, code)
    assert codes is not None
    assert len(codes) == RECOVERY_CODES
    for old in (desk.next_code(), desk.codes[0]):
        assert not desk.credentials.check("ada", PASSWORD, old)
    assert desk.credentials.check("ada", PASSWORD, codes[0])


def test_nothing_is_set_up_without_the_authenticators_code(tmp_path: Path) -> None:
    """Else a picture that was never read would lock its owner out."""
    desk, _ = opened(tmp_path)
    assert desk.credentials.set_up("ada", PASSWORD, desk.secret, "000000") is None
    assert desk.credentials.standing("ada") == Standing()


@pytest.mark.parametrize("required", [True, False])
def test_a_password_alone_opens_where_the_setting_says_so(tmp_path: Path, required: bool) -> None:
    """With a second factor required, one that has none opens nothing: also when the setting came later."""
    desk, _ = opened(tmp_path, required=required)
    assert desk.credentials.set_up("ada", PASSWORD) == ()
    assert desk.credentials.check("ada", PASSWORD, "") is not required


def test_who_has_a_factor_needs_it_whatever_the_setting_says(tmp_path: Path) -> None:
    desk, _ = opened(tmp_path, required=False)
    desk.credentials.set_up("ada", PASSWORD, desk.secret, desk.code())
    assert not desk.credentials.check("ada", PASSWORD, "")


def test_a_hash_of_old_parameters_is_made_anew(desk: Desk) -> None:
    """At the next sign-in, with what it seals; and that goes on opening."""
    stronger = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    after = Credentials(desk.engine, desk.tables, desk.clock, Passwords(stronger))
    assert after.check("ada", PASSWORD, desk.next_code())
    with desk.engine.connect() as connection:
        stored = connection.scalar(sa.select(desk.tables.credentials.c.password_hash))
    assert stored is not None
    assert "m=16,t=2" in stored
    assert after.check("ada", PASSWORD, desk.next_code())


def test_what_is_forgotten_opens_nothing(desk: Desk) -> None:
    """Once: the second time there is nothing to forget."""
    assert forget(desk.engine, desk.tables, "ada")
    assert not forget(desk.engine, desk.tables, "ada")
    assert not desk.credentials.check("ada", PASSWORD, desk.next_code())
    assert not desk.credentials.check("ada", PASSWORD, desk.codes[0])
    assert desk.credentials.standing("ada") == Standing()


def test_who_is_removed_leaves_nothing(tmp_path: Path) -> None:
    """Sessions, links, password, factor and recovery codes go with the person; a namesake starts anew."""
    desk, sessions = opened(tmp_path)
    desk.credentials.set_up("ada", PASSWORD, desk.secret, desk.code())
    token = sessions.begin("ada", "password")
    assert token is not None
    assert sessions.remove_user("ada")
    sessions.put_user("ada", ["viewer"], ["*"])
    assert sessions.current(token) is None
    assert not desk.credentials.check("ada", PASSWORD, desk.next_code())
    with desk.engine.connect() as connection:
        for table in (desk.tables.credentials, desk.tables.recovery_codes, desk.tables.sessions):
            assert connection.scalar(sa.select(sa.func.count()).select_from(table)) == 0


def test_without_the_step_that_takes_codes_they_open_twice(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above fail when a code is only compared."""

    def only_compare(self: Credentials, _name: str, secret: str, code: str) -> bool:
        return self._step(secret, code) is not None

    monkeypatch.setattr(Credentials, "_take_step", only_compare)
    code = desk.next_code()
    assert [desk.credentials.check("ada", PASSWORD, code) for _ in range(2)] == [True, True]
