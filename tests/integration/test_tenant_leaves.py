"""A tenant leaves: everything of it goes in every plane, whatever happens in between; its twin keeps all."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from shutil import which

import pytest

from services.enricher.persons.directory import Profile
from services.ingest.plane import let_go
from services.runtime import departures
from services.runtime.clock import FixedClock
from services.runtime.departures import TenantStore
from services.runtime.errors import Transient
from services.runtime.topics import TOPICS
from tests.parts.identity import apply_accounts
from tests.parts.leaving import (
    LEAVER,
    NOW,
    OPERATOR,
    REASON,
    TWIN,
    Installation,
    fill,
    installation,
    rows_of,
)

# What stays on purpose, and the certificate says so.
KEPT = {"identity/cases", "identity/departures", "identity/spans", "identity/tenant_certificates"}
BOOKKEEPING = {"ingest/departures", "statistics/departures"}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path / "data") as opened:
        fill(opened, tmp_path)
        yield opened


def _stores(made: Installation) -> set[str]:
    return {f"{entry['plane']}/{entry['store']}" for entry in made.certificate()["stores"]}  # type: ignore[attr-defined]


def test_everything_of_a_tenant_that_leaves_goes_and_the_twins_stays(made: Installation) -> None:
    """In every table, every column store and every key folder of every plane, with the counts in the certificate."""
    before, twin = rows_of(made, LEAVER), rows_of(made, TWIN)
    assert set(before) == set(twin)
    made.terminate()
    made.come_round()

    assert made.status() == "terminated"
    assert set(rows_of(made, LEAVER)) - KEPT - BOOKKEEPING == set()
    assert rows_of(made, TWIN) == twin
    told = {(e["plane"], e["store"]): e for e in made.certificate()["stores"]}  # type: ignore[attr-defined]
    assert all(entry["after"] == 0 for entry in told.values())
    for plane, store in (("ingest", "sources"), ("identity", "person_keys"), ("identity", "activity")):
        assert told[plane, store]["before"] == before[f"{plane}/{store}"] > 0
    assert told["stats", "events"]["before"] == before["statistics/events"] > 0
    assert told["stats", "cells"]["before"] == before["statistics/cells"] > 0
    assert told["identity", "index key"]["before"] == 1
    assert told["identity", "privacy-signal.v1"]["before"] == 1


def test_nothing_of_it_comes_back(made: Installation, tmp_path: Path) -> None:
    """Not by a replay from the beginning of the log, nor by a word of its operator on an account."""
    made.terminate()
    made.come_round()
    made.identity.accounts.put(LEAVER, Profile("m-1", "Ann Martin"))
    apply_accounts(made.identity)
    with made.identity.engine.begin() as connection:
        for table in ("ledger", "spans"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    worker = made.identity.linker("again")
    while worker.step(0):
        pass
    worker.close()
    assert set(rows_of(made, LEAVER)) - KEPT - BOOKKEEPING == set()


def test_until_its_day_it_can_be_taken_back(made: Installation) -> None:
    """Nothing changes before the notice is over, and nothing after it was taken back."""
    before = rows_of(made, LEAVER)
    made.access.tenancy.terminate(OPERATOR, LEAVER, REASON)
    made.clock.sleep(timedelta(days=29).total_seconds())
    made.come_round()
    assert (made.status(), rows_of(made, LEAVER)) == ("active", before)
    made.access.tenancy.keep(OPERATOR, LEAVER, REASON)
    made.clock.sleep(timedelta(days=2).total_seconds())
    made.come_round()
    assert (made.status(), rows_of(made, LEAVER)) == ("active", before)


def test_a_plane_that_does_not_answer_is_waited_for(made: Installation) -> None:
    """No certificate without it; the page and the alert name it."""
    made.terminate()
    made.leaving.step()
    made.leaving.step()
    assert made.status() == "terminating"
    assert made.leaving.waiting_for(LEAVER) == ["ingest", "stats"]
    assert made.identity.certificates.newest(LEAVER) is None
    made.come_round()
    assert made.status() == "terminated"


def test_the_certificate_is_completed_when_what_ends_later_has(made: Installation) -> None:
    """By its dates, and by the oldest message that is still there."""
    made.terminate()
    made.come_round()
    told = made.certificate()
    assert told["status"] == "issued"
    assert {entry["store"] for entry in told["ends_later"]} >= {TOPICS["access-log"].name, TOPICS["account"].name}  # type: ignore[attr-defined]
    made.clock.sleep(timedelta(days=8).total_seconds())
    made.leaving.step()
    assert made.certificate()["status"] == "issued"  # the log still has its accesses
    made.identity.log.apply_retention([TOPICS["access-log"], TOPICS["account"]])
    made.leaving.step()
    assert (made.certificate()["status"], made.certificate()["ends_later"]) == ("completed", [])


@pytest.mark.skipif(which("minisign") is None, reason="minisign is not installed")
def test_stock_minisign_verifies_the_certificate(made: Installation, tmp_path: Path) -> None:
    """And refuses it when one count is changed."""
    made.terminate()
    made.come_round()
    found = made.identity.certificates.newest(LEAVER)
    assert found is not None
    file = tmp_path / found.file
    file.write_bytes(found.document)
    file.with_name(f"{found.file}.minisig").write_bytes(found.signature)
    verify = ["minisign", "-Vm", str(file), "-P", made.identity.certificates.public_key]
    assert subprocess.run(verify, check=False, capture_output=True).returncode == 0
    facts = json.loads(found.document)
    facts["stores"][0]["before"] += 1
    file.write_text(json.dumps(facts))
    assert subprocess.run(verify, check=False, capture_output=True).returncode != 0


class _Killed(BaseException):
    """Nothing of what follows happens."""


def _die(*_: object) -> None:
    raise _Killed


def test_killed_before_each_store_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each plane, before each of its stores and before it tells: the counts of the beginning are those of the
    beginning, and at the end nothing is left."""
    clock = FixedClock(NOW)
    with installation(tmp_path / "data", clock) as made:
        fill(made, tmp_path)
        before = rows_of(made, LEAVER)
        made.terminate()
        deaths = 0
        for name in _names(made):
            with monkeypatch.context() as patched:
                patched.setattr(departures, "delete_store", _dying(name))
                try:
                    made.come_round()
                except _Killed:
                    deaths += 1
        with monkeypatch.context() as patched:
            patched.setattr(departures.Departures, "_tell", _die)
            with pytest.raises(_Killed):
                made.come_round()
        made.come_round()
        assert deaths == len(_names(made))
        assert made.status() == "terminated"
        assert set(rows_of(made, LEAVER)) - KEPT - BOOKKEEPING == set()
        told = {(e["plane"], e["store"]): e["before"] for e in made.certificate()["stores"]}  # type: ignore[attr-defined]
        assert told["ingest", "sources"] == before["ingest/sources"]
        assert told["stats", "cells"] == before["statistics/cells"]


def _names(made: Installation) -> list[str]:
    """Some of each plane: the first, one in the middle, the last."""
    return ["person_keys", "subjects", "privacy-signal.v1", "source_counts", "sources", "day keys", "cells", "users"]


def _dying(name: str):  # type: ignore[no-untyped-def]  # what it returns is what it replaces
    done = departures.delete_store

    def delete(store: TenantStore, tenant: str) -> None:
        if store.name == name:
            raise _Killed
        done(store, tenant)

    return delete


def test_a_store_that_is_not_deleted_is_no_certificate(made: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch: with one deletion replaced by nothing the departure waits, and says where rows are left."""
    monkeypatch.setattr(departures, "delete_store", lambda *_: None)
    made.terminate()
    made.leaving.step()
    made.clock.sleep(2)
    let_go(made.ingest)
    made.count()
    with pytest.raises(Transient, match="cells"):
        made.statistics.leaving().step()
    made.leaving.step()
    assert made.status() == "terminating"
    assert made.identity.certificates.newest(LEAVER) is None
