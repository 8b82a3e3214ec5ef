"""`kill -9` while a tenant is deleted: it is gone on with from there, and the certificate counts what there was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.enricher import records
from services.enricher.persons.directory import Profile
from services.enricher.retention.records import departures
from services.enricher.service import Identity
from services.enricher.tenants.registry import Tenant
from tests.parts import identity as parts
from tests.parts.identity import NOON, TENANT, access, apply_accounts, batch, count, link, linked, opened, send
from tests.parts.processes import die_with_parent

TWIN = "rowing-club"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)  # its notice is over by any clock
# Where it dies -> what is replaced by dying there: in the transaction of the first store, before a later store, when
# all is deleted and not yet counted.
DEATHS = {
    "in a transaction": "services.enricher.tenants.departure.count_destroyed",
    "before a store": "services.enricher.tenants.departure.without_tenant",
    "before the counts": "services.runtime.departures.Departures._note_after",
}
_CODE = """
import os, pkgutil, sys
from services.cli import common
from services.enricher.service import open_identity
owner, _, name = sys.argv[1].rpartition(".")
setattr(pkgutil.resolve_name(owner), name, lambda *_: os.kill(os.getpid(), 9))
open_identity(common.settings(), common.clock()).leaving().step()
"""


@pytest.fixture(
    params=[pytest.param("postgres", marks=pytest.mark.postgres), pytest.param("sqlite", marks=pytest.mark.full)]
)
def url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    found = parts.records_url() if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))
    monkeypatch.setattr(parts, "records_url", lambda: found)
    return found


@pytest.fixture
def plane(url: str, tmp_path: Path) -> Iterator[Identity]:
    """Two tenants alike; the one's notice is over."""
    with opened(tmp_path) as identity:
        identity.registry.add(Tenant(TWIN, "Rowing Club", NOON))
        for tenant in (TENANT, TWIN):
            identity.accounts.put(tenant, Profile("ann", "Ann Martin", "ann@example.org"))
        send(identity, batch([access("ann", "/here"), access("ann", "/there", tenant=TWIN)]))
        link(identity)
        apply_accounts(identity)
        known = identity.registry.get(TENANT)
        assert known is not None
        identity.registry.add(replace(known, terminates_at=LONG_AGO))
        yield identity


def _finish(plane: Identity) -> Mapping[str, int]:
    """What the records say there was, by store."""
    leaving = plane.leaving()
    leaving.step()
    leaving.close()
    with plane.engine.connect() as connection:
        rows = connection.execute(sa.select(departures).where(departures.c.tenant == TENANT)).all()
    assert {row.after for row in rows} == {0}
    return {row.store: row.before for row in rows}


def test_killed_at_its_steps_it_goes_on(plane: Identity, url: str) -> None:
    """In the same records, by other processes: nothing is left, nothing is counted short, the twin keeps all."""
    for place in DEATHS.values():
        assert _die_at(place, plane.settings.data, url) == -signal.SIGKILL
    before = _finish(plane)
    assert {name: before[name] for name in ("person_keys", "profiles", "activity", "look_ups")} == {
        "person_keys": 1, "profiles": 1, "activity": 1, "look_ups": 1
    }  # fmt: skip
    assert (linked(plane, "ann"), linked(plane, "ann", TWIN)) == ([], ["/there"])
    assert [count(plane, table) for table in (records.person_keys, records.activity, records.subjects)] == [1, 1, 1]


def test_without_the_first_counts_it_would_be_counted_short(plane: Identity, url: str) -> None:
    """The switch: what was noted before it died is forgotten."""
    assert _die_at(DEATHS["before the counts"], plane.settings.data, url) == -signal.SIGKILL
    with plane.engine.begin() as connection:
        connection.execute(sa.delete(departures))
    assert _finish(plane)["person_keys"] == 0


def _die_at(place: str, data: Path, url: str) -> int:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VOILE_")}
    own = {"VOILE_DATA": str(data), "VOILE_IDENTITY__RECORDS": url, "VOILE_LOG_LEVEL": "error"}
    command = [sys.executable, "-c", _CODE, place]
    return subprocess.run(command, env=inherited | own, check=False, timeout=120, preexec_fn=die_with_parent).returncode
