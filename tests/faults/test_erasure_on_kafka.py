"""K2 on a real Kafka and a real PostgreSQL, every plane a process of its own: the production profile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.enricher.rights.desk import Cases
from services.enricher.rights.states import State
from services.enricher.service import Identity
from services.runtime.clock import SystemClock
from services.runtime.settings import Settings
from tests.e2e.installation import Installation
from tests.faults.test_erasure_under_load import (
    BATCHES_BEFORE,
    DONE_S_MAX,
    OTHERS,
    Feeder,
    checked_by_minisign,
    counted_in_statistics,
    files_with,
    forget_what_was_read,
    key_of,
    linked_now,
    until,
    workers,
)
from tests.parts import identity as parts
from tests.parts.cases import ANN, DORA, approved, open_desk
from tests.parts.identity import TENANT, opened
from tests.parts.kafka import Broker
from tests.parts.postgres import Postgres

PLANES = ("ingest", "identity", "statistics")
CATCH_UP_S_MAX = 180


@pytest.fixture
def site(
    tmp_path: Path, kafka_broker: Broker, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    """Its processes, and what is opened beside them, have the same stores."""
    events, records = f"kafka://{kafka_broker.servers}", {plane: postgres_server.make_database() for plane in PLANES}
    own = {"VOILE_EVENTS": events} | {f"VOILE_{plane.upper()}__RECORDS": url for plane, url in records.items()}
    said = {"events": events} | {plane: {"records": url} for plane, url in records.items()}
    monkeypatch.setattr(parts, "settings_of", lambda data: Settings.model_validate({"data": data, **said}))
    yield Installation(tmp_path / "site", own)
    for url in records.values():
        postgres_server.drop_database(url)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_an_erasure_under_load_is_done_in_time_and_for_good(site: Installation) -> None:
    """As on the embedded stores: certificate within a minute, the key in no file, and nothing of the person comes back
    when the topic is read from its beginning again; of the others everything does."""
    with opened(site.data, SystemClock()) as plane:
        feeder = Feeder(plane)
        with site.running(), feeder.feeding():
            key = _known_everywhere(plane, feeder)
            desk = open_desk(plane)
            case = approved(desk).case
            assert _seconds_to_carry_out(desk, case) <= DONE_S_MAX
            assert files_with(site.folder, key) == []
            until(lambda: feeder.sent >= 3 * BATCHES_BEFORE)
        assert "verified" in checked_by_minisign(plane, desk, case, site.data)
    forget_what_was_read(site.data)
    with opened(site.data, SystemClock()) as plane, site.running():
        _read_again(plane, feeder)
        assert linked_now(plane, "ann") == []
    assert counted_in_statistics(site.data, feeder) == (0, 0)


def _known_everywhere(plane: Identity, feeder: Feeder) -> bytes:
    """Ann's key, when she is in every plane and every worker has said that it is there."""
    plane.accounts.put(TENANT, ANN)
    until(lambda: feeder.sent >= BATCHES_BEFORE and bool(linked_now(plane, "ann")), CATCH_UP_S_MAX)
    until(lambda: {worker.partition("/")[0] for worker in workers(plane)} == {"stats", "ingest"}, CATCH_UP_S_MAX)
    key, _ = key_of(plane, "ann")
    return key


def _seconds_to_carry_out(desk: Cases, case: str) -> float:
    began = time.monotonic()
    desk.execute(DORA, case)
    until(lambda: desk.view(DORA, case).file.state is State.EXECUTED, DONE_S_MAX + 30)
    return time.monotonic() - began


def _read_again(plane: Identity, feeder: Feeder) -> None:
    until(lambda: all(len(linked_now(plane, who)) >= feeder.sent for who in OTHERS), CATCH_UP_S_MAX)
    until(lambda: plane.status().lag == 0, CATCH_UP_S_MAX)
