"""The migrations make exactly the tables that the code names, and old accounting goes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from services.enricher import records
from services.enricher.access import records as access_records
from services.enricher.activity.ledger import KEPT
from services.enricher.records import MIGRATIONS, metadata
from services.runtime.clock import FixedClock
from services.runtime.database import open_records, upgrade
from services.runtime.topics import TOPICS
from tests.parts.identity import NOON, access, batch, count, link, linked, opened, send


def test_the_migrations_and_the_tables_agree(tmp_path: Path) -> None:
    """A table changed without a migration would work here and fail at an operator's."""
    assert access_records.grants.metadata is metadata, "all tables of the plane are in one place"
    engine = open_records(f"sqlite:///{tmp_path / 'identity.db'}")
    upgrade(engine, MIGRATIONS)
    with engine.connect() as connection:
        differences: Sequence[Any] = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()
    assert differences == []


def test_upgrading_twice_changes_nothing(tmp_path: Path) -> None:
    """Two processes that start at once both ask for it."""
    engine = open_records(f"sqlite:///{tmp_path / 'identity.db'}")
    upgrade(engine, MIGRATIONS)
    with engine.connect() as connection:
        before = connection.execute(sa.select(records.counters)).all()
    upgrade(engine, MIGRATIONS)
    with engine.connect() as connection:
        assert connection.execute(sa.select(records.counters)).all() == before != []
    engine.dispose()


def test_old_accounting_goes_once_the_log_has_forgotten_too(tmp_path: Path) -> None:
    """As long as a record could be read again it must be known to be done; the newest row always stays."""
    clock = FixedClock(NOON)
    with opened(tmp_path, clock) as plane:
        for number in range(3):
            send(plane, batch([access("ann", f"/{number}")], first=number))
            link(plane)
        plane.log.apply_retention([TOPICS["access-log"]])
        assert plane.ledger.forget(plane.log) == 0, "the term is not over"
        clock.advance(KEPT + timedelta(minutes=1))
        assert plane.ledger.forget(plane.log) == 0, "the log still has the records"
        plane.log.apply_retention([TOPICS["access-log"]])
        assert plane.ledger.forget(plane.log) == 3 + 2
        assert (count(plane, records.spans), count(plane, records.ledger)) == (0, 1)
        link(plane)
        assert len(linked(plane, "ann")) == 3
