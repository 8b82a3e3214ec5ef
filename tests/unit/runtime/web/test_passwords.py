"""Passwords: which are taken, that a hash is all that is kept, and what they seal."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from argon2 import PasswordHasher, low_level
from cryptography.exceptions import InvalidTag

from services.runtime.web.passwords import LENGTH_MAX, LENGTH_MIN, Passwords, trouble_with
from tests.parts.web import FAST

GOOD = "seven green lamps"


@pytest.mark.parametrize("password", [GOOD, "x y" * 4, "éèàùçôîûœæß€", "1234 5678 9012 abc", "xyz" * 85 + "x"])
def test_length_is_what_counts(password: str) -> None:
    """No rule of composition; blanks and every alphabet are welcome, up to 256 characters."""
    assert trouble_with(password, "ada", "statistics") == ""


@pytest.mark.parametrize(
    ("password", "told"),
    [
        ("a" * (LENGTH_MIN - 1), "at least"),
        ("ab c" * LENGTH_MAX, "at most"),
        ("Ada.Lovelace", "the name of somebody"),
        ("ada lovelace", "the name of somebody"),
        ("s t a t i s t i c s", "the name of somebody"),
        ("PassWord-1234", "first that are tried"),
        ("azertyuiop123", "first that are tried"),
        ("abababababababab", "first that are tried"),
        ("e\u0301" * 6, "at least"),  # six letters, whatever way they were typed
    ],
)
def test_what_is_guessed_first_is_refused(password: str, told: str) -> None:
    """Names of the person and the service, short ones, and those of every list; the sentence says which."""
    assert told in trouble_with(password, "ada-lovelace", "statistics")


def test_a_password_is_checked_against_its_hash() -> None:
    """The right one, also typed with other bytes for the same letters; no other; and nobody has none."""
    made = Passwords(FAST)
    stored = made.hash("café au lait, s'il vous plaît")
    assert made.check(stored, "cafe\u0301 au lait, s'il vous plai\u0302t")
    assert not made.check(stored, "cafe au lait, s'il vous plait")
    assert not made.check(None, "a password that nobody has")
    assert "lait" not in stored


def test_the_recommended_parameters_are_used() -> None:
    """RFC 9106's second option: argon2id, 64 MiB, three passes."""
    assert Passwords().hash(GOOD).startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_a_hash_of_other_parameters_is_outdated() -> None:
    """So that it is made anew at the next sign-in."""
    stored = Passwords(PasswordHasher(time_cost=2, memory_cost=8, parallelism=1)).hash(GOOD)
    assert Passwords(FAST).is_outdated(stored)
    assert not Passwords(FAST).is_outdated(Passwords(FAST).hash(GOOD))


def test_what_is_sealed_opens_with_the_password_alone() -> None:
    """Neither the records' hash nor another password opens it, and every byte of it counts."""
    made = Passwords(FAST)
    stored = made.hash(GOOD)
    sealed = made.seal(stored, GOOD, b"secret")
    assert made.unseal(stored, GOOD, sealed) == b"secret"
    assert b"secret" not in sealed
    for at in range(len(sealed)):
        spoilt = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(InvalidTag):
            made.unseal(stored, GOOD, spoilt)
    with pytest.raises(InvalidTag):
        made.unseal(stored, stored, sealed)
    assert made.unseal(None, GOOD, None) == b""


def test_somebody_unknown_costs_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try is one hash to compare and one key, with the same parameters: counted, not timed."""
    work: list[tuple[str, str]] = []
    verify, derive = FAST.verify, low_level.hash_secret_raw

    class Counting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Any:
            work.append(("verify", str(hash).split("$")[3]))
            return verify(hash, password)

    def counting(*arguments: Any, **options: Any) -> bytes:
        work.append(("derive", str(options["memory_cost"])))
        return derive(*arguments, **options)

    made = Passwords(Counting(time_cost=1, memory_cost=8, parallelism=1))
    monkeypatch.setattr("services.runtime.web.passwords.hash_secret_raw", counting)
    stored = made.hash(GOOD)
    for known, sealed in [(stored, made.seal(stored, GOOD, b"s")), (None, None)]:
        work.clear()
        made.check(known, GOOD)
        made.unseal(known, GOOD, sealed)
        assert work == [("verify", "m=8,t=1,p=1"), ("derive", "8")]


def test_so_many_at_once_and_no_more() -> None:
    """Sixty people who sign in at once do not take 4 GB."""
    running, most, lock = [0], [0], threading.Lock()

    class Slow(PasswordHasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            made = super().hash(password, salt=salt)
            with lock:
                running[0] -= 1
            return made

    made = Passwords(Slow(time_cost=1, memory_cost=1024, parallelism=1), turns=2)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(made.hash, [GOOD] * 60))
    assert 1 <= most[0] <= 2
