"""The end of each term in the identity plane: what goes, what stays, and that the report tells when it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.enricher import records
from services.enricher.access.grant_book import Grant, GrantBook
from services.enricher.access.records import grants
from services.enricher.access.service import open_access
from services.enricher.audit.log import Entry
from services.enricher.persons.directory import Profile
from services.enricher.retention import activity as expiry_activity
from services.enricher.retention.records import activity_counts, isolated_activity, last_heard
from services.enricher.rights.records import case_files
from services.enricher.service import Identity
from services.enricher.tenants.registry import Tenant
from services.runtime.clock import FixedClock
from services.runtime.database import transaction
from services.runtime.retention.keeping import SLACK
from services.runtime.retention.published import Line
from tests.parts.identity import NOON, TENANT, access, apply_accounts, batch, count, link, linked, opened, send

TWIN = "rowing-club"
ANN = Profile("ann", "Ann Martin", "ann@example.org", None, "+33612345678")


@contextmanager
def _plane(folder: Path, **said: Any) -> Iterator[Identity]:
    """A tenant with `said` in the registry, and its twin without; both have activity of today and of a month ago."""
    with opened(folder, FixedClock(NOON)) as plane:
        plane.registry.add(Tenant(TWIN, "Rowing Club", NOON))
        month_ago = NOON - timedelta(days=31)
        rows = [
            access("ann", path, at=at, tenant=tenant)
            for tenant in (TENANT, TWIN)
            for path, at in (("/old", month_ago), ("/new", NOON))
        ]
        send(plane, batch(rows))
        link(plane)
        plane.registry.add(Tenant(TENANT, "Chess Club", NOON, **said))
        yield plane


def _lines(lines: Any, kind: str) -> Mapping[str, Line]:
    return {line.tenant: line for line in lines if line.kind == kind}


def _later(plane: Identity, **term: float) -> None:
    plane.clock.sleep(timedelta(**term).total_seconds())


def test_activity_goes_when_its_tenants_term_is_over(tmp_path: Path) -> None:
    """A term that was shortened holds for what is there already; the twin's data is untouched."""
    with _plane(tmp_path) as plane:
        assert _lines(plane.retention.report(), "linked")[TENANT].over == 0
        plane.registry.add(Tenant(TENANT, "Chess Club", NOON, retention={"linked": 30}))
        assert _lines(plane.retention.report(), "linked")[TENANT].over == 1
        mine = _lines(plane.retention.run(), "linked")
        assert (mine[TENANT].removed, mine[TENANT].over, mine[TENANT].rows) == (1, 0, 1)
        assert (mine[TWIN].removed, mine[TWIN].rows) == (0, 2)
        assert linked(plane, "ann") == ["/new"]
        assert linked(plane, "ann", TWIN) == ["/old", "/new"]
        assert [count(plane, table) for table in (activity_counts, isolated_activity)] == [0, 0]


def test_the_ceiling_holds_for_who_set_nothing(tmp_path: Path) -> None:
    """90 days: on the 90th day it is there, on the 91st it is not."""
    with _plane(tmp_path) as plane:
        _later(plane, days=59)
        assert _lines(plane.retention.run(), "linked")[TWIN].rows == 2
        _later(plane, days=1)
        assert _lines(plane.retention.run(), "linked")[TWIN].rows == 1


def test_anonymising_leaves_counts_of_months(tmp_path: Path) -> None:
    """Nothing in them leads to a person: a tenant, a month, a number. A second round adds nothing."""
    with _plane(tmp_path, retention={"linked": 30}, ends={"linked": "anonymise"}) as plane:
        plane.retention.run()
        plane.retention.run()
        with plane.engine.connect() as connection:
            found = connection.execute(sa.select(activity_counts)).all()
        assert found == [(TENANT, date(2026, 2, 1), 1)]
        assert linked(plane, "ann") == ["/new"]
        _later(plane, days=31)
        plane.retention.run()
        with plane.engine.connect() as connection:
            assert dict(connection.execute(sa.select(activity_counts.c.month, activity_counts.c.rows)).all()) == {
                date(2026, 2, 1): 1,
                date(2026, 3, 1): 1,
            }


def test_isolating_keeps_the_blocks_apart_for_a_term_of_their_own(tmp_path: Path) -> None:
    """Readable as before by who may, and by nobody through the ordinary view; an erasure takes them too."""
    with _plane(tmp_path, retention={"linked": 30}, ends={"linked": "isolate"}) as plane:
        plane.retention.run()
        assert linked(plane, "ann") == ["/new"]
        (subject,) = plane.directory.find(TENANT, "account", "ann")
        apart = plane.activity.read_isolated(subject, NOON - timedelta(days=40), NOON)
        assert apart["path"].to_list() == ["/old"]
        assert _lines(plane.retention.report(), "isolated")[TENANT].rows == 1

        _later(plane, days=364)
        assert _lines(plane.retention.run(), "isolated")[TENANT].rows == 2
        _later(plane, days=2)
        assert _lines(plane.retention.run(), "isolated")[TENANT].rows == 1


def test_a_crash_between_keeping_and_deleting_counts_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end and the deletion are one transaction."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with _plane(tmp_path, retention={"linked": 30}, ends={"linked": "anonymise"}) as plane:
        with monkeypatch.context() as patched:
            patched.setattr(expiry_activity, "_delete_blocks", die)
            with pytest.raises(KeyboardInterrupt):
                plane.retention.run()
        assert count(plane, activity_counts) == 0
        plane.retention.run()
        with plane.engine.connect() as connection:
            assert connection.execute(sa.select(activity_counts.c.rows)).scalars().all() == [1]


def test_an_account_goes_when_nothing_was_heard_of_it_for_its_term(tmp_path: Path) -> None:
    """Neither an access nor a word of its tenant: with its key, its profile and what it is found by."""
    with _plane(tmp_path, retention={"accounts": 200}) as plane:
        plane.accounts.put(TENANT, ANN)
        plane.accounts.put(TENANT, Profile("bob", "Bob"))
        apply_accounts(plane)
        _later(plane, days=180)
        plane.accounts.put(TENANT, Profile("bob", "Bobby"))
        apply_accounts(plane)
        plane.retention.run()  # the activity's term is over
        assert _lines(plane.retention.report(), "accounts")[TENANT].rows == 2

        _later(plane, days=21)
        lines = _lines(plane.retention.run(), "accounts")
        assert (lines[TENANT].removed, lines[TENANT].rows) == (1, 1)
        assert plane.directory.find(TENANT, "account", "ann") == []
        assert plane.directory.find(TENANT, "email", "ann@example.org") == []
        assert plane.directory.find(TENANT, "account", "bob") != []
        assert plane.directory.find(TWIN, "account", "ann") != []
        assert count(plane, records.person_keys) == count(plane, records.profiles) == 2


def test_an_account_stays_while_its_activity_is_kept(tmp_path: Path) -> None:
    """However short its own term is."""
    with _plane(tmp_path, retention={"accounts": 1}) as plane:
        plane.retention.run()
        _later(plane, days=2)
        assert _lines(plane.retention.run(), "accounts")[TENANT].removed == 0
        assert linked(plane, "ann") == ["/old", "/new"]


def test_a_last_access_counts_after_it_is_gone(tmp_path: Path) -> None:
    """The account's term begins with the last that was heard, though the activity's own is shorter."""
    with _plane(tmp_path, retention={"linked": 30, "accounts": 40}) as plane:
        _later(plane, days=31)
        assert _lines(plane.retention.run(), "linked")[TENANT].removed == 2
        with plane.engine.connect() as connection:
            assert connection.execute(sa.select(last_heard.c.day)).scalars().all() == [NOON.date()]
        _later(plane, days=9)
        assert _lines(plane.retention.run(), "accounts")[TENANT].removed == 0
        _later(plane, days=1)
        assert _lines(plane.retention.run(), "accounts")[TENANT].removed == 1


def test_a_person_whose_first_block_is_on_its_way_is_left_alone(tmp_path: Path) -> None:
    """Persons are made before their blocks: the term of who nobody described begins when they are first seen."""
    with _plane(tmp_path, retention={"accounts": 2}) as plane:
        with transaction(plane.engine) as connection:
            plane.directory.ensure(connection, [(TENANT, "new")])
        assert _lines(plane.retention.run(), "accounts")[TENANT].removed == 0
        _later(plane, days=3)
        assert _lines(plane.retention.run(), "accounts")[TENANT].removed == 1


def test_reasons_can_no_longer_be_read_and_the_log_is_whole(tmp_path: Path) -> None:
    """The month's key goes; the entries, which prove who looked, stay."""
    with _plane(tmp_path) as plane:
        audit = open_access(plane).audit
        audit.append([Entry("ann", "support", "viewActivity", TENANT, reason="the invoice page does not open")])
        _later(plane, days=1825)
        plane.retention.run()
        assert audit.newest(1)[0].reason == "the invoice page does not open"
        _later(plane, days=31)
        assert _lines(plane.retention.run(), "audit")[""].removed == 1
        (entry,) = audit.newest(1)
        assert (entry.reason, entry.leaf["actor"]) == ("", "ann")


def test_grants_go_with_the_reasons(tmp_path: Path) -> None:
    """They name a person of the directory."""
    with _plane(tmp_path) as plane:
        over = Grant(*("g", "ann", TENANT, "s", "p", "support", "SUP-1"), NOON, NOON + timedelta(hours=1), NOON)
        GrantBook(plane.engine).add(over)
        _later(plane, days=1824)
        assert _lines(plane.retention.run(), "grants")[TENANT].rows == 1
        _later(plane, days=2)
        plane.retention.run()
        assert count(plane, grants) == 0


def _plant_activity(plane: Identity) -> None:
    with transaction(plane.engine) as connection:
        connection.execute(sa.update(records.activity).values(expires=NOON.date() - timedelta(days=2)))


def _plant_isolated(plane: Identity) -> None:
    old = date(2020, 1, 1)
    row = {"block": 9, "tenant": TENANT, "subject": "s", "day": old, "isolated": old, "rows": 1, "sealed": b""}
    with transaction(plane.engine) as connection:
        connection.execute(sa.insert(isolated_activity), row)


def _plant_account(plane: Identity) -> None:
    with transaction(plane.engine) as connection:
        plane.directory.ensure(connection, [(TENANT, "old")])
        connection.execute(sa.update(records.profiles).values(updated_ms=1))


def _plant_grant(plane: Identity) -> None:
    at = datetime(2015, 1, 1, tzinfo=UTC)
    GrantBook(plane.engine).add(Grant("g", "ann", TENANT, "s", "p", "support", "SUP-1", at, at, at))


def _plant_reason(plane: Identity) -> None:
    plane.keys.get_or_create("audit/reason/2015-01")


def _plant_word(plane: Identity) -> None:
    plane.accounts.put(TENANT, ANN)
    _later(plane, hours=80)


def _plant_case(plane: Identity) -> None:
    table = case_files
    row = {c.name: _empty(c) for c in table.c if not c.nullable}
    with transaction(plane.engine) as connection:
        connection.execute(sa.insert(table).values({**row, "case": "DSR-1", "tenant": TENANT, "closed_ms": 1}))


def _empty(column: Any) -> Any:
    empty = {sa.LargeBinary: b"", sa.Boolean: False, sa.Date: NOON.date(), sa.BigInteger: 0}
    return next((value for kind, value in empty.items() if isinstance(column.type, kind)), "")


PLANTS: Mapping[str, Callable[[Identity], None]] = {
    "linked": _plant_activity,
    "isolated": _plant_isolated,
    "accounts": _plant_account,
    "grants": _plant_grant,
    "audit": _plant_reason,
    "account-words": _plant_word,
    "cases": _plant_case,
}


@pytest.mark.parametrize("kind", PLANTS)
@pytest.mark.parametrize("works", [True, False], ids=["removed", "switch"])
def test_what_is_too_old_fails_the_report_until_it_is_removed(
    tmp_path: Path, kind: str, works: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a run none is too old; with the removal replaced by nothing the report goes on failing."""
    with opened(tmp_path, FixedClock(NOON)) as plane:
        send(plane, batch([access("ann", tenant=TENANT)]))
        link(plane)
        PLANTS[kind](plane)
        assert _too_old(plane.retention.report()) == {kind}
        keepers = plane.retention.keepers
        (keeper,) = (keeper for keeper in keepers if keeper.kind == kind)
        if not works:
            monkeypatch.setattr(type(keeper), "remove", lambda *_: {})
        plane.retention.run()
        assert _too_old(plane.retention.report()) == (set() if works else {kind})


def _too_old(lines: Any) -> set[str]:
    return {line.kind for line in lines if not line.kept}


def test_a_report_of_an_hour_late_is_none(tmp_path: Path) -> None:
    """Midnight passes before the round comes."""
    with _plane(tmp_path) as plane:
        midnight = timedelta(days=59, hours=12)
        _later(plane, seconds=midnight.total_seconds())
        assert _too_old(plane.retention.report()) == set()
        _later(plane, seconds=(SLACK + timedelta(minutes=1)).total_seconds())
        assert _too_old(plane.retention.report()) == {"linked"}
