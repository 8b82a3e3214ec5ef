"""The identity plane's own tests again, with its records in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from services.enricher import access_records, records
from services.runtime.database import current_revision, open_records
from tests.parts import identity
from tests.parts.postgres import Postgres
from tests.unit.enricher.conftest import plane  # noqa: F401  # a fixture
from tests.unit.enricher.rights.test_execution import *  # noqa: F403
from tests.unit.enricher.test_directory import *  # noqa: F403  # every test of the module, as it stands
from tests.unit.enricher.test_pipeline import *  # noqa: F403


@pytest.fixture(scope="module")
def database(postgres_server: Postgres) -> Iterator[str]:
    """One for all: making its tables anew takes longer than most tests."""
    url = postgres_server.make_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(autouse=True)
def _on_postgres(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(identity, "records_url", lambda: database)
    monkeypatch.setattr(identity, "forget_everything", lambda: _empty(database))
    yield
    _empty(database)


def _empty(url: str) -> None:
    """As the migrations left it."""
    assert access_records.grants.metadata is records.metadata
    engine = open_records(url)
    if current_revision(engine) is not None:
        with engine.begin() as connection:
            for table in records.metadata.tables.values():
                if table.name not in {"counters", "audit_head"}:
                    connection.execute(sa.delete(table))
            counters = records.counters
            connection.execute(sa.delete(counters).where(counters.c.name == records.EVENTS_LINKED))
            connection.execute(sa.update(counters).values(value=0))
    engine.dispose()
