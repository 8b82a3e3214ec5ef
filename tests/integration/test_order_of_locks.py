"""Processes of the identity plane that do the same at once wait for each other, and never in a circle.

Each test stops all of them in the middle of their transactions, by holding one row that each needs, and lets go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pytest
import sqlalchemy as sa

from services.enricher import records
from services.enricher.rights.receipts import Receipts
from services.enricher.rights.records import worker_receipts, workers
from services.enricher.service import Identity
from services.runtime.database import transaction
from services.runtime.errors import Transient
from services.runtime.receipts import COMPLETED, PRESENT, Receipt, receipt_message
from tests.parts import identity
from tests.parts.identity import NOON
from tests.parts.postgres import Postgres

WAIT_S_MAX = 20
WORKERS = ("stats/a", "stats/b", "stats/c")
TENANTS = ("tenant-a", "tenant-b", "tenant-c")
_WAITING = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
_KEY_IN_USE = sa.select(records.counters).where(records.counters.c.name == records.CURRENT_KEK)


@pytest.fixture(scope="module")
def members(postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[Identity]]:
    """Two, with records in one database and a log each, in which the same words can stand in another order."""
    url = postgres_server.make_database()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "records_url", lambda: url)
        with (
            identity.opened(tmp_path_factory.mktemp("one")) as one,
            identity.opened(tmp_path_factory.mktemp("other")) as other,
        ):
            yield one, other
    postgres_server.drop_database(url)


def _all_at_once(plane: Identity, held: sa.Executable, acts: Sequence[Callable[[], object]]) -> None:
    """Every one of `acts` begins while the row of `held` is locked, and ends after. Raises what one of them raised."""
    with ThreadPoolExecutor(len(acts)) as pool:
        with plane.engine.connect() as holder:
            holder.execute(held)
            begun = [pool.submit(act) for act in acts]
            _wait_for_all(plane, begun)
            holder.rollback()
        for one in begun:
            one.result(WAIT_S_MAX)


def _wait_for_all(plane: Identity, begun: Sequence[Future[object]]) -> None:
    """Until each is through, or stands at a lock."""
    deadline = time.monotonic() + WAIT_S_MAX
    while sum(one.done() for one in begun) + _waiting(plane) < len(begun):
        assert time.monotonic() < deadline, "they neither end nor wait"
        time.sleep(0.02)


def _waiting(plane: Identity) -> int:
    with plane.engine.connect() as connection:
        return int(connection.execute(_WAITING).scalar_one())


def test_commands_that_start_at_once_do_not_wait_for_each_other(members: Sequence[Identity]) -> None:
    """Each makes sure of the key that wraps new keys; it is there, so none of them has to change anything."""
    plane, _ = members
    _all_at_once(plane, _KEY_IN_USE.with_for_update(read=True), [lambda: plane.vault.prepare(plane.engine)] * 4)


def test_a_start_that_read_first_and_wrote_then_would_end_in_a_deadlock(members: Sequence[Identity]) -> None:
    """The switch of the test before."""
    plane, _ = members

    def prepare() -> None:
        with transaction(plane.engine) as connection:
            number = plane.vault.current(connection)
            table = records.counters
            connection.execute(sa.update(table).where(table.c.name == records.CURRENT_KEK).values(value=number))

    with pytest.raises(Transient, match="DeadlockDetected"):
        _all_at_once(plane, _KEY_IN_USE.with_for_update(read=True), [prepare] * 2)


def test_two_rotations_close_one_after_the_other(members: Sequence[Identity]) -> None:
    """The command and the service's own."""
    plane, _ = members
    plane.rotation.begin()
    plane.rotation.rewrap()
    _all_at_once(plane, _KEY_IN_USE.with_for_update(read=True), [plane.rotation.close] * 2)
    assert plane.rotation.status().is_closed


@pytest.mark.parametrize("table", [workers, worker_receipts], ids=["presence", "answers"])
def test_answers_read_from_different_places_are_taken_in_in_one_order(
    members: Sequence[Identity], table: sa.Table
) -> None:
    """A command reads the topic from its beginning, the service what is new: first comes another worker."""
    held = sa.insert(table).values(_row(table, "stats/b"))
    said = PRESENT if table is workers else COMPLETED
    follow = []
    for plane, order in zip(members, (WORKERS, WORKERS[::-1]), strict=True):
        heard = [Receipt("" if said == PRESENT else "DSR-1", worker, said, NOON, "events") for worker in order]
        plane.log.send([receipt_message(receipt) for receipt in heard])
        follow.append(Receipts(plane.engine, plane.log).follow)
    _all_at_once(members[0], held, follow)
    with members[0].engine.connect() as connection:
        found = connection.execute(sa.select(table.c.worker).order_by(table.c.worker)).scalars().all()
    assert tuple(found) == WORKERS


def _row(table: sa.Table, worker: str) -> dict[str, object]:
    """Not yet committed, so that who would write the same waits."""
    if table is workers:
        return {"worker": worker, "seen_ms": 0}
    row = {"case": "DSR-1", "worker": worker, "store": "events", "state": COMPLETED}
    return row | {"deleted": 0, "remaining": 0, "at_ms": 0}


def test_persons_of_several_tenants_are_made_in_one_order(members: Sequence[Identity]) -> None:
    """Whatever order their accesses came in."""
    plane, _ = members
    digest = plane.directory.digest("tenant-b", "account", "ann")
    held = sa.insert(records.subjects).values(subject="held", tenant="tenant-b", account=digest)

    def make(tenants: Sequence[str]) -> None:
        with transaction(plane.engine) as connection:
            plane.directory.ensure(connection, [(tenant, "ann") for tenant in tenants])

    _all_at_once(plane, held, [partial(make, TENANTS), partial(make, TENANTS[::-1])])
    assert identity.count(plane, records.subjects) == len(TENANTS)
