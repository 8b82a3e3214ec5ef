"""Records in SQLite whose disk is full, and how a store that cannot be opened is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.runtime.database import Lease, current_revision, missing_records, open_records, transaction
from services.runtime.errors import Fatal, Transient


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """Not just a store that does not answer: room is what is missing. SQLite's own limit stands for the disk's."""
    engine = open_records(f"sqlite:///{tmp_path}/records.db")
    with transaction(engine) as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 2")
    with pytest.raises(Transient, match=r"SQLITE_FULL\); is the disk full\?"), transaction(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE filled AS SELECT zeroblob(100000)")
    engine.dispose()


def test_a_file_that_is_a_folder_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "records.db").mkdir()
    with pytest.raises(Fatal, match=r"records\.db cannot be opened \(SQLITE_CANTOPEN"):
        current_revision(open_records(f"sqlite:///{tmp_path}/records.db"))


def test_a_file_is_not_asked_whether_it_answers(tmp_path: Path) -> None:
    """Its writers take turns: a probe would stand in line behind them."""
    engine = open_records(f"sqlite:///{tmp_path}/records.db")
    with transaction(engine):
        assert missing_records(engine) == []
    engine.dispose()


def test_a_lease_that_cannot_be_given_back_ends_by_its_term(tmp_path: Path) -> None:
    """A service that stops while its store is away stops all the same."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/nowhere/records.db")
    Lease(engine, "housekeeping", "a").release()
    engine.dispose()


def test_a_lease_of_a_clock_that_was_astray_is_nobodys(tmp_path: Path) -> None:
    """A machine whose clock stood a year ahead for a minute would keep everybody else from the work for that year;
    clocks that differ by seconds are ordinary."""
    engine = open_records(f"sqlite:///{tmp_path}/records.db")
    with transaction(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT, expires_at TEXT)")
    noon = datetime(2026, 3, 10, 12, tzinfo=UTC)
    assert Lease(engine, "housekeeping", "a").acquire(noon + timedelta(seconds=30))
    assert not Lease(engine, "housekeeping", "b").acquire(noon)
    assert Lease(engine, "housekeeping", "a").acquire(noon + timedelta(days=365))
    assert Lease(engine, "housekeeping", "b").acquire(noon)
    assert not Lease(engine, "housekeeping", "a").acquire(noon)
    engine.dispose()
