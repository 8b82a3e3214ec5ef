"""Programs' keys: shown once, over in time, worth nothing when read from the records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.runtime.clock import FixedClock
from services.runtime.database import open_records, upgrade
from services.stats.access.api_keys import TERM, ApiKeys
from services.stats.access.records import api_keys
from services.stats.access.records import dashboard_sessions as people
from services.stats.records import MIGRATIONS

CLOCK_START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(CLOCK_START)


@pytest.fixture
def keys(tmp_path: Path, clock: FixedClock) -> ApiKeys:
    engine = open_records(f"sqlite:///{tmp_path / 'records.db'}")
    upgrade(engine, MIGRATIONS)
    return ApiKeys(engine, clock)


def test_a_key_opens_its_tenants(keys: ApiKeys) -> None:
    """And is listed without its secret."""
    text = keys.add("grafana", ["north"])
    found = keys.check(text)
    assert found is not None
    assert found.tenants == {"north"}
    assert [key.label for key in keys.all()] == ["grafana"]
    assert text.rpartition("_")[2] not in repr(keys.all())


@pytest.mark.parametrize(
    "wrong",
    ["", "voile_sta_", "x", "voile_sta_{id}_" + "0" * 64, "{key}0", "voile_acc_{id}_{secret}", "{key}\n", "{KEY}"],
)
def test_a_wrong_key_opens_nothing(keys: ApiKeys, wrong: str) -> None:
    """A changed digit, another plane's prefix, something appended."""
    text = keys.add("grafana", ["north"])
    _, _, key_id, secret = text.split("_")
    assert keys.check(wrong.format(id=key_id, secret=secret, key=text, KEY=text.upper())) is None


def test_a_key_ends_with_its_term(keys: ApiKeys, clock: FixedClock) -> None:
    """A forgotten key is harmless after a year."""
    text = keys.add("grafana", ["north"])
    clock.advance(TERM - timedelta(seconds=1))
    assert keys.check(text) is not None
    clock.advance(timedelta(seconds=1))
    assert keys.check(text) is None


def test_a_key_can_be_taken_back(keys: ApiKeys) -> None:
    """At once, and only once."""
    text = keys.add("grafana", ["north"])
    assert keys.revoke(keys.all()[0].id)
    assert not keys.revoke("000000000000")
    assert keys.check(text) is None


def test_the_records_open_nothing(keys: ApiKeys, tmp_path: Path) -> None:
    """The secret does not stand in the database."""
    secret = keys.add("grafana", ["north"]).rpartition("_")[2]
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"grafana" in stored
    assert secret.encode() not in stored
    assert bytes.fromhex(secret) not in stored


def test_the_migration_makes_the_declared_tables(tmp_path: Path) -> None:
    """Columns of the migrations and of the declarations agree, for everything about access."""
    engine = open_records(f"sqlite:///{tmp_path / 'other.db'}")
    upgrade(engine, MIGRATIONS)
    inspector = sa.inspect(engine)
    for table in (api_keys, people.users, people.login_links, people.sessions):
        made = {column["name"]: column["nullable"] for column in inspector.get_columns(table.name)}
        assert made == {column.name: bool(column.nullable) for column in table.columns}
