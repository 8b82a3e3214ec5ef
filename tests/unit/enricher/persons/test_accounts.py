"""Accounts come in by one way, wrong rows are named by line, and no value is ever repeated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.enricher import records
from services.enricher.persons import account_feed
from services.enricher.persons.accounts import AccountBook, RowError, UnusableFile, check_account, read_csv
from services.enricher.persons.directory import AccountChange, Profile
from services.enricher.service import Identity
from services.runtime import avro
from services.runtime.clock import FixedClock
from services.runtime.errors import Transient
from services.runtime.log.interface import Message
from services.runtime.topics import TOPICS
from tests.parts.identity import MEMBER, NOON, TENANT, apply_accounts, count

HEADER = "account,name,email,postal_address,phone\n"


def test_a_csv_reaches_the_directory(plane: Identity) -> None:
    """Quoted line breaks, accents and a byte order mark included."""
    lines = [
        "\ufeff" + HEADER,
        'ann,Ann Élan,ann@example.org,"1 rue X\n',
        '75000 Paris",+33 6 12 34 56 78\n',
        "bob,,,,\n",
    ]
    result = plane.accounts.import_csv(TENANT, lines)
    assert (result.lines, result.accepted, result.rejected) == (2, 2, {})
    apply_accounts(plane)
    (subject,) = plane.directory.find(TENANT, "email", "ANN@example.org")
    profile = plane.directory.profile(subject)
    assert profile is not None
    assert (profile.name, profile.postal_address) == ("Ann Élan", "1 rue X\n75000 Paris")
    assert len(plane.directory.find(TENANT, "account", "bob")) == 1


def test_semicolons_and_other_orders_are_fine(plane: Identity) -> None:
    """What a spreadsheet in French writes."""
    result = plane.accounts.import_csv(TENANT, ["Email;Account\n", "ann@example.org;ann\n"])
    assert result.accepted == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",Ann,,,", RowError.MISSING_ACCOUNT),
        ("a" * 201 + ",,,,", RowError.TOO_LONG),
        ("ann," + "x" * 1001 + ",,,", RowError.TOO_LONG),
        ("ann,A\x00nn,,,", RowError.CONTROL_CHARACTER),
        ("ann,,not-an-email,,", RowError.INVALID_EMAIL),
        ("ann,,a b@example.org,,", RowError.INVALID_EMAIL),
        ("ann,,,,12", RowError.INVALID_PHONE),
        ("ann,,,", RowError.COLUMN_COUNT),
    ],
)
def test_a_wrong_row_is_named_by_line_and_reason(plane: Identity, row: str, reason: RowError) -> None:
    """The good rows around it are taken; lines = accepted + rejected; no value shows."""
    result = plane.accounts.import_csv(TENANT, [HEADER, "ok1,,,,\n", row + "\n", "ok2,,,,\n"])
    assert (result.lines, result.accepted) == (3, 2)
    assert result.rejected == {reason.value: 1}
    assert result.errors == [(3, reason.value)]
    assert "ann" not in repr(result)


@pytest.mark.parametrize("header", ["", "name,email\n", "account,shoe_size\n", "account,account\n"])
def test_a_file_of_something_else_is_refused(plane: Identity, header: str) -> None:
    """The sentence names the columns that are known."""
    with pytest.raises(UnusableFile, match="postal_address"):
        plane.accounts.import_csv(TENANT, [header, "x,y\n"])


def test_an_unclosed_quote_is_refused_by_line(plane: Identity) -> None:
    """Everything after it would be read as one value."""
    with pytest.raises(UnusableFile, match="Line 3"):
        plane.accounts.import_csv(TENANT, [HEADER, 'ann,"A,,,\n', "bob,,,,\n"])


def test_a_time_needs_its_zone() -> None:
    """Without one nobody can tell which word is newer."""
    rows = ["account,updated_at\n", "ann,2026-01-01T10:00:00+01:00\n", "bob,2026-01-01T10:00:00\n", "eve,yesterday\n"]
    outcomes = [outcome for _, outcome in read_csv(TENANT, rows, NOON)]
    assert isinstance(outcomes[0], AccountChange)
    assert outcomes[0].at == datetime(2026, 1, 1, 9, tzinfo=UTC)
    assert outcomes[1:] == [RowError.INVALID_TIME] * 2


def test_a_put_is_durable_and_checked(plane: Identity) -> None:
    """A wrong one writes nothing."""
    assert plane.accounts.put(TENANT, Profile("ann", email="nonsense")) is RowError.INVALID_EMAIL
    assert plane.accounts.put(TENANT, Profile("ann/with/slashes", "Ann")) is None
    apply_accounts(plane)
    assert count(plane, records.subjects) == 1
    plane.accounts.withdraw(TENANT, "ann/with/slashes")
    apply_accounts(plane)
    (subject,) = plane.directory.find(TENANT, "account", "ann/with/slashes")
    assert plane.directory.profile(subject) == Profile("ann/with/slashes")


def test_check_account_accepts_what_people_are_called() -> None:
    """No rule about names but their length and that they print."""
    assert check_account(Profile("1", "Ng", "o'neil+x@sub.example", "Line 1\nLine 2", "+44 (0)20 7946 0000")) is None


def test_an_unreadable_account_is_dead_lettered_and_the_rest_goes_on(plane: Identity) -> None:
    """By its reason, with none of its bytes."""
    bad = avro.encode_record({"tenant": TENANT, "account": "", "updated_at": NOON}, "account")
    for value in (b"ann@example.org", bad):
        plane.log.send([Message(TOPICS["account"].name, b"k", value)])
    plane.accounts.put(TENANT, Profile("bob"))
    apply_accounts(plane)
    assert len(plane.directory.find(TENANT, "account", "bob")) == 1
    follower = plane.log.follower([TOPICS["dead-letter"].name])
    letters = follower.poll()
    follower.close()
    reasons = [avro.decode_record(record.value or b"", "dead_letter")["reason"] for record in letters]
    assert reasons == ["undecodable_record", "invalid_account"]
    assert all(b"ann@" not in (record.value or b"") for record in letters)


def test_a_word_from_before_an_erasure_brings_nobody_back(plane: Identity) -> None:
    """Neither its own time nor the log's may lie after the cut-off, whatever the tenant's clock says."""
    plane.accounts.put(TENANT, Profile("ann", "Ann"))
    AccountBook(plane.log, FixedClock(NOON + timedelta(days=1))).put(TENANT, Profile("ann", "Ann"))
    _erase_then_say_again(plane)
    assert count(plane, records.subjects) == 0


def test_without_that_check_it_would(plane: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch."""
    monkeypatch.setattr(account_feed, "_is_erased", lambda *_: False)
    _erase_then_say_again(plane)
    assert count(plane, records.subjects) == 1


def _erase_then_say_again(plane: Identity) -> None:
    """A tenant's export that began before the erasure is sent after it."""
    plane.rights.erase(TENANT, "ann", "C-1")
    AccountBook(plane.log, FixedClock(NOON - timedelta(minutes=5))).put(TENANT, Profile("ann", "Ann"))
    apply_accounts(plane)


def test_a_database_that_is_away_delays_and_loses_nothing(plane: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same records are applied by the next turn."""

    def away(*_: object) -> int:
        raise Transient("away")

    plane.accounts.put(TENANT, Profile("ann"))
    feed = plane.account_feed(MEMBER)
    with monkeypatch.context() as patch:
        patch.setattr(type(plane.directory), "put", away)
        with pytest.raises(Transient):
            feed.step(0)
    assert feed.step(0)
    assert not feed.step(0)
    feed.close()
    assert len(plane.directory.find(TENANT, "account", "ann")) == 1
