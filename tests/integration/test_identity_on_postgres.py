"""The identity plane's own tests again, with its records in a real PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from services.enricher import records
from services.enricher.access import records as access_records
from services.enricher.activity import merging
from services.enricher.service import Identity
from services.runtime.database import current_revision, open_records
from services.runtime.stop import Stop
from tests.parts import identity
from tests.parts.postgres import Postgres
from tests.unit.enricher.activity.test_merging import *  # noqa: F403
from tests.unit.enricher.activity.test_merging import _fill, erase_while_locked
from tests.unit.enricher.activity.test_pipeline import *  # noqa: F403
from tests.unit.enricher.conftest import plane  # noqa: F401  # a fixture
from tests.unit.enricher.persons.test_directory import *  # noqa: F403  # every test of the module, as it stands
from tests.unit.enricher.persons.test_joining import *  # noqa: F403
from tests.unit.enricher.persons.test_rotation import *  # noqa: F403
from tests.unit.enricher.retention.test_keepers import *  # noqa: F403
from tests.unit.enricher.rights.test_cases import (  # noqa: F401  # a few: what writes each of a case's tables
    desk,
    test_a_legal_hold_defers_an_erasure_until_it_is_lifted,
    test_a_person_of_two_accounts_is_one_case,
    test_a_request_carried_out_at_once_leaves_the_same_evidence,
    test_an_erasure_is_approved_executed_verified_and_certified,
)
from tests.unit.enricher.rights.test_execution import *  # noqa: F403
from tests.unit.enricher.tenants.test_tenancy import (  # noqa: F401
    access,
    test_a_legal_hold_keeps_a_tenant_until_it_is_lifted,
)

# Properties over made-up blocks, of seconds each: of PostgreSQL they try nothing that the tests beside them do not.
if "VOILE_TEST_FULL" not in os.environ:
    del test_any_blocks_give_the_same_answer_before_and_after  # noqa: F821
    del test_reading_equals_filtering_and_sorting_everything  # noqa: F821
    del test_a_batch_that_names_nobody_is_counted_as_if_it_were_read  # noqa: F821


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


def test_without_the_order_of_signals_an_erasure_would_miss_a_merged_block(
    plane: Identity,  # noqa: F811  # the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The switch of `test_an_erasure_waits_for_the_chunk_and_finds_its_rows`: SQLite has one writer at a time anyway."""
    _fill(plane, 3)
    monkeypatch.setattr(merging, "require_current", lambda *_: None)
    erasing = erase_while_locked(plane, monkeypatch)
    plane.merging.run(Stop())
    erasing[0].join(30)
    assert plane.rights.case("C-1").state != "done"
    assert identity.count(plane, records.activity) == 2, "ann's new block stands beside bob's"


def test_services_and_commands_may_start_at_once(plane: Identity) -> None:  # noqa: F811  # the fixture above
    """Each looks which key is the newest, and may have to write it down: none waits for another that waits for it."""
    with ThreadPoolExecutor(4) as pool:
        for started in [pool.submit(plane.vault.prepare, plane.engine) for _ in range(40)]:
            started.result()
