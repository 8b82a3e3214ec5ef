"""Accounts that became another one: one person to look up, to restrict, to hold and to erase."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from services.enricher import records
from services.enricher.access.service import open_access
from services.enricher.persons.accounts import RowError
from services.enricher.persons.directory import AccountChange, Profile
from services.enricher.rights.execution import Rights
from services.enricher.rights.holds import Held
from services.enricher.rights.signals import Signal
from services.enricher.service import Identity
from services.enricher.tenants.registry import Tenant
from services.runtime.clock import FixedClock
from tests.parts.identity import (
    NOON,
    TENANT,
    access,
    apply_accounts,
    batch,
    count,
    link,
    linked,
    linked_removed,
    opened,
    send,
)

MINUTE = timedelta(minutes=1)


def test_a_look_up_shows_both_accounts(plane: Identity) -> None:
    """By either id, and by the e-mail of the one that stays; also what is linked to the former one afterwards."""
    _visits(plane, "ann", "ann-2", "bob")
    plane.accounts.put(TENANT, Profile("ann-2", email="ann@example.org"))
    plane.accounts.put(TENANT, Profile("ann"), merged_into="ann-2")
    apply_accounts(plane)
    _visits(plane, "ann", first=10)
    expected = ["/0/ann", "/1/ann-2", "/10/ann"]
    assert [sorted(linked(plane, name)) for name in ("ann", "ann-2")] == [expected, expected]
    assert plane.directory.find(TENANT, "email", "ann@example.org") == plane.directory.find(TENANT, "account", "ann")
    (subject,) = plane.directory.find(TENANT, "account", "ann")
    assert sum(frame.height for frame in plane.activity.whole(subject)) == len(expected)
    assert linked(plane, "bob") == ["/2/bob"]


def test_chains_and_turns_leave_one_person(plane: Identity) -> None:
    """a became b, b became c; then c became a after all: whoever is asked for, all three are the newest one."""
    _say(plane, ("a", "b"), ("b", "c"))
    assert plane.directory.accounts_of(TENANT, "a")[0] == "c"
    _say(plane, ("c", "a"))
    for name in ("a", "b", "c"):
        found = plane.directory.accounts_of(TENANT, name)
        assert (found[0], sorted(found)) == ("a", ["a", "b", "c"])


def test_a_wrong_word_is_taken_back(plane: Identity) -> None:
    """The newest word says that it is an account of its own; an older one that comes late changes nothing."""
    _visits(plane, "ann", "bob")
    _say(plane, ("ann", "bob"))
    plane.directory.put(plane.signals, [AccountChange(TENANT, "ann", Profile("ann"), NOON + 9 * MINUTE)])
    _say(plane, ("ann", "bob"))
    assert (linked(plane, "ann"), linked(plane, "bob")) == (["/0/ann"], ["/1/bob"])


def test_a_withdrawn_account_stays_with_its_person(plane: Identity) -> None:
    """A tombstone empties the profile; whose activity it is stays known."""
    _visits(plane, "ann", "ann-2")
    plane.accounts.put(TENANT, Profile("ann"), merged_into="ann-2")
    plane.accounts.withdraw(TENANT, "ann")
    apply_accounts(plane)
    assert len(linked(plane, "ann-2")) == 2


@pytest.mark.parametrize("asked", ["ann", "ann-2"])
def test_an_erasure_takes_every_account(plane: Identity, asked: str) -> None:
    """Whichever was named; what comes later of either, from before the cut-off, brings nobody back."""
    _visits(plane, "ann", "ann-2", "bob")
    _say(plane, ("ann", "ann-2"))
    done = plane.rights.erase(TENANT, asked, "C-1")
    _visits(plane, "ann", "ann-2", first=10)
    apply_accounts(plane)
    assert (done.state, linked(plane, "ann"), linked(plane, "ann-2")) == ("done", [], [])
    assert (linked(plane, "bob"), count(plane, records.person_keys)) == (["/2/bob"], 1)


@pytest.mark.parametrize("step", ["_erase_one", "_execute"])
def test_an_erasure_of_several_accounts_goes_on_after_a_crash(
    plane: Identity, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Killed after the first account: the same command finishes the others."""
    _visits(plane, "ann", "ann-2", "ann-3")
    _say(plane, ("ann", "ann-3"), ("ann-2", "ann-3"))
    with monkeypatch.context() as patch:
        real, calls = getattr(Rights, step), list[object]()

        def once(*args: object) -> object:
            if calls:
                raise RuntimeError
            calls.append(args)
            return real(*args)

        patch.setattr(Rights, step, once)
        with pytest.raises(RuntimeError):
            plane.rights.erase(TENANT, "ann-3", "C-1")
    plane.rights.erase(TENANT, "ann-3", "C-1")
    assert count(plane, records.subjects) == count(plane, records.activity) == 0


def test_without_the_other_accounts_an_erasure_would_leave_them(
    plane: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch of the tests above."""
    _visits(plane, "ann", "ann-2")
    _say(plane, ("ann", "ann-2"))
    monkeypatch.setattr(plane.directory, "accounts_within", lambda _connection, _tenant, account: [account])
    plane.rights.erase(TENANT, "ann-2", "C-1")
    assert count(plane, records.person_keys) == 1


def _joined_while_erased(plane: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """The feed applies that ann became ann-2 after the erasure of ann-2 was signalled, before it is in force."""
    _visits(plane, "ann", "ann-2", "bob")
    real, waiting = plane.signals.publish, [("ann", "ann-2")]

    def signalled(signal: Signal) -> int:
        position = real(signal)
        if waiting:
            _say(plane, waiting.pop())
        return position

    monkeypatch.setattr(plane.signals, "publish", signalled)


def test_who_becomes_a_person_while_it_is_erased_is_erased_too(
    plane: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their word was in force first; nobody is left with a key who could be found by no account."""
    _joined_while_erased(plane, monkeypatch)
    assert plane.rights.erase(TENANT, "ann-2", "C-1").state == "done"
    assert (count(plane, records.person_keys), count(plane, records.subjects)) == (1, 1)
    assert linked(plane, "bob") == ["/2/bob"]
    assert sum(part.counts["person_keys"] for part in plane.rights.parts("C-1")) == 2


def test_killed_before_it_was_in_force_it_is_gone_on_with(plane: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the signal alone, as after a start."""
    _joined_while_erased(plane, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(plane.rights, "_execute", _die)
        with pytest.raises(RuntimeError):
            plane.rights.erase(TENANT, "ann-2", "C-1")
    assert plane.rights.resume() == ["C-1"]
    assert count(plane, records.person_keys) == 1


def test_without_the_look_at_that_moment_a_key_would_be_left(plane: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch of the two tests above."""
    _joined_while_erased(plane, monkeypatch)
    monkeypatch.setattr(plane.rights, "_joined", lambda *_: [])
    plane.rights.erase(TENANT, "ann-2", "C-1")
    assert count(plane, records.person_keys) == 2


def test_a_held_account_that_joins_meanwhile_stays_on_its_own(plane: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hold is on that account; the person who asked is gone, and it is found by its own id."""
    plane.holds.place(TENANT, "ann", "pseudonym", "dora", "court order")
    _joined_while_erased(plane, monkeypatch)
    plane.rights.erase(TENANT, "ann-2", "C-1")
    assert (linked(plane, "ann"), linked(plane, "ann-2")) == (["/0/ann"], [])


def test_who_was_erased_and_is_named_anew_ends_nothing_twice(plane: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """Erased as ann-2's other account, then made anew by a word from after the cut-off: it does not keep the case."""
    _visits(plane, "ann", "ann-2")
    _say(plane, ("ann", "ann-2"))
    real, waiting = plane.rights._erase_one, [("ann", "ann-2")]

    def erased(*args: str) -> object:
        done = real(*args)
        if waiting:
            plane.signals.follow()
            _say(plane, waiting.pop())
        return done

    monkeypatch.setattr(plane.rights, "_erase_one", erased)
    assert plane.rights.erase(TENANT, "ann-2", "C-1").state == "done"
    assert plane.directory.accounts_of(TENANT, "ann") == ["ann"]


def test_asked_again_it_takes_nobody_who_came_later(plane: Identity) -> None:
    """The service asks until every worker has answered; meanwhile the account is made anew, and another becomes it."""
    _visits(plane, "ann", "bob")
    plane.rights.erase(TENANT, "ann", "C-1")
    plane.signals.follow()
    _say(plane, ("bob", "ann"))
    plane.rights.erase(TENANT, "ann", "C-1")
    assert linked(plane, "bob") == ["/1/bob"]


def _die(*_: object) -> None:
    raise RuntimeError


def test_a_word_from_before_the_erasure_makes_nobody_the_erased_person(plane: Identity) -> None:
    """It came late; the account that it speaks of stays one of its own."""
    _visits(plane, "ann", "ann-2")
    plane.accounts.put(TENANT, Profile("ann"), merged_into="ann-2")
    plane.rights.erase(TENANT, "ann-2", "C-1")
    apply_accounts(plane)
    assert plane.directory.accounts_of(TENANT, "ann") == ["ann"]
    assert plane.directory.find(TENANT, "account", "ann-2") == []


def test_a_restriction_of_one_account_is_one_of_the_person(plane: Identity) -> None:
    """Whether it was said before or after the accounts became one."""
    world = open_access(plane).gate._decider.world
    plane.rights.signal(TENANT, "ann", "C-1", kind="restriction")
    _visits(plane, "ann-2")
    _say(plane, ("ann", "ann-2"))
    assert world.is_restricted(TENANT, "ann-2")
    plane.rights.signal(TENANT, "ann-2", "C-2", kind="restriction")
    plane.rights.signal(TENANT, "ann-2", "C-3", kind="restriction", active=False)
    assert not world.is_restricted(TENANT, "ann"), "lifted for one, lifted for all"


def test_a_hold_keeps_every_account(tmp_path: Path) -> None:
    """Neither their term nor an erasure of any of them takes what is held."""
    clock = FixedClock(NOON)
    with opened(tmp_path, clock) as plane:
        _visits(plane, "ann", "ann-2", "bob")
        _say(plane, ("ann", "ann-2"))
        plane.holds.place(TENANT, "ann-2", "pseudonym", "dora", "court order")
        with pytest.raises(Held):
            plane.rights.erase(TENANT, "ann", "C-1")
        clock.advance(timedelta(days=200))
        assert linked_removed(plane) == 1
        assert len(linked(plane, "ann-2")) == 2


def test_accounts_of_several_tenants_stay_several_people(plane: Identity) -> None:
    """The same id, e-mail and phone, and a merge in one tenant: the other tenant's person is another one."""
    plane.registry.add(Tenant("other", "Other", NOON))
    for tenant in (TENANT, "other"):
        plane.accounts.put(tenant, Profile("ann", email="ann@example.org", phone="+41446681800"))
    plane.accounts.put(TENANT, Profile("ann-old"), merged_into="ann")
    apply_accounts(plane)
    send(plane, batch([access("ann", "/here"), access("ann", "/there", tenant="other")]))
    link(plane)
    assert (linked(plane, "ann"), linked(plane, "ann", "other")) == (["/here"], ["/there"])
    assert plane.directory.accounts_of("other", "ann") == ["ann"]
    plane.rights.erase(TENANT, "ann", "C-1")
    assert (linked(plane, "ann"), linked(plane, "ann", "other")) == ([], ["/there"])
    assert len(plane.directory.find("other", "email", "ann@example.org")) == 1


def test_an_account_cannot_become_itself(plane: Identity) -> None:
    """Nor a name that no account may have; the CSV says which line."""
    assert plane.accounts.put(TENANT, Profile("ann"), merged_into=" ann") is RowError.INVALID_MERGE
    assert plane.accounts.put(TENANT, Profile("ann"), merged_into="x" * 201) is RowError.TOO_LONG
    told = plane.accounts.import_csv(TENANT, ["account,merged_into\n", "ann,ann\n", "old,ann\n", "ann,\n"])
    assert (told.accepted, told.errors) == (2, [(2, "invalid_merge")])
    apply_accounts(plane)
    assert plane.directory.accounts_of(TENANT, "old") == ["ann", "old"]


def _visits(plane: Identity, *names: str, first: int = 0) -> None:
    """One access each, at /number/name."""
    rows = [access(name, f"/{number}/{name}") for number, name in enumerate(names, first)]
    send(plane, batch(rows, first=first))
    link(plane)


def _say(plane: Identity, *became: tuple[str, str]) -> None:
    """Each a minute after the one before, and later calls after earlier ones."""
    at = _later(plane)
    changes = [AccountChange(TENANT, a, Profile(a), at + n * MINUTE, b) for n, (a, b) in enumerate(became)]
    plane.directory.put(plane.signals, changes)


def _later(plane: Identity) -> datetime:
    return NOON + count(plane, records.subjects) * timedelta(seconds=1)
