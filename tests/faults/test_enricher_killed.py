"""`kill -9` of the enricher while it links, merges blocks and wraps keys anew: every access is there once, by an
independent count."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.enricher import records
from services.enricher.service import Identity
from services.runtime.clock import SystemClock
from services.runtime.stop import Stop
from tests.parts.identity import access, batch, count, linked, opened, send

KILLS = 8
BATCHES = 160
ROWS = 250  # of a batch
PERSONS = 40


@pytest.mark.timeout(240)
def test_killed_again_and_again_it_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Killed in the middle of its writes; what it committed stands, what it had not is done again. At each start it
    merges what was written before, and finishes a rotation of keys that was begun."""
    rng = random.Random(7)
    clock = SystemClock()
    with opened(tmp_path, clock) as outside:
        for number in range(BATCHES):
            rows = [
                access(f"member-{(number * 13 + row) % PERSONS}", f"/{number}/{row}", at=clock.now())
                for row in range(ROWS)
            ]
            send(outside, batch(rows, first=number * ROWS))
        killed_while_busy = 0
        for _ in range(KILLS):
            outside.rotation.begin()
            process = _start(tmp_path)
            _wait_until_it_writes(outside, process)
            time.sleep(rng.uniform(0, 0.2))
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed_while_busy += outside.status().lag > 0
        assert killed_while_busy >= KILLS // 2, "the kills came too late to prove anything; send more"
        process = _start(tmp_path)
        _wait_until_caught_up(outside, process)
        outside.rotation.rotate()  # together with the running service
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        days = _days(outside)
        paths = Counter(path for person in range(PERSONS) for path in linked(outside, f"member-{person}"))
        assert paths == Counter(f"/{number}/{row}" for number in range(BATCHES) for row in range(ROWS))
        assert outside.status().events_linked == BATCHES * ROWS
        assert outside.merging.run(Stop()).blocks > 0
        assert count(outside, records.activity) == PERSONS * len(days)
        assert outside.rotation.status().persons == {f"kek/{KILLS + 1}": PERSONS}
        assert outside.keys.names("kek/") == [f"kek/{KILLS + 1}"]


def _start(data: Path) -> subprocess.Popen[bytes]:
    """Small batches, so that there are many moments to die in."""
    code = (
        "from services.cli import common; from services.enricher import plane, service;"
        "from services.runtime.consumer import BatchPolicy; from services.runtime.stop import Stop;"
        "from services.enricher.activity import merging; from services.enricher.persons import rotation;"
        "merging.CHUNK_BLOCKS = 20; rotation.CHUNK_KEYS = 3;"
        "real = service.PlannedConsumer;"
        "service.PlannedConsumer = lambda *a, **k: real(*a, policy=BatchPolicy(records_max=2), **k);"
        "plane.run_loops(common.settings(), common.clock(), Stop().on_signals())"
    )
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VOILE_")}
    env = {**inherited, "VOILE_DATA": str(data), "VOILE_LOG_LEVEL": "error"}
    return subprocess.Popen([sys.executable, "-c", code], env=env)


def _wait_until_it_writes(outside: Identity, process: subprocess.Popen[bytes]) -> None:
    before = count(outside, records.ledger)
    deadline = time.monotonic() + 30
    while count(outside, records.ledger) == before and outside.status().lag > 0:
        assert process.poll() is None
        assert time.monotonic() < deadline, "it does not write"
        time.sleep(0.01)


def _wait_until_caught_up(outside: Identity, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while outside.status().lag > 0:
        assert process.poll() is None
        assert time.monotonic() < deadline, "it does not catch up"
        time.sleep(0.1)


def _days(outside: Identity) -> list[date]:
    """One, or two when midnight came."""
    with outside.engine.connect() as connection:
        return list(connection.execute(sa.select(records.activity.c.day).distinct()).scalars())
