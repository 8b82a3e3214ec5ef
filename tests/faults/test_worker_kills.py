"""kill -9 of the statistics worker: nothing lost, nothing counted twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from itertools import cycle
from pathlib import Path

import pytest

from services.runtime.clickhouse import open_analytics
from services.runtime.clock import SystemClock
from services.runtime.log import open_log
from services.runtime.log.interface import Message
from services.runtime.settings import Settings
from services.runtime.topics import TOPICS
from tests.parts.counting import access, encoded
from tests.parts.worker_process import POINTS

__all__ = ["Feed", "counted", "exact"]

ROUNDS = 20 if "VOILE_TEST_FULL" in os.environ else 4  # the kill loop of all planes adds its own to each run
BATCHES, ROWS = 200, 25  # a round's: several plans in a row, so that most kills hit one
KILL_S_MAX = 0.8
SOURCES = 24  # several for each partition, where there are some
WORKER_S_MAX = 60
SEED = 20260310  # of the moments of the kills; the engine's own timing is random enough


class Feed:
    """Writes batches whose rows are numbered by their response bytes: 0, 1, 2, ..."""

    def __init__(self, data: Path, events: str = "") -> None:
        settings = Settings(data=data, events=events) if events else Settings(data=data)
        data.mkdir(exist_ok=True)
        self._log = open_log(settings.url(settings.events), settings.kafka, SystemClock())
        self._log.ensure_topics(list(TOPICS.values()))
        self.sent = 0

    def send(self, batches: int = BATCHES) -> None:
        topic, sources = TOPICS["access-log"].name, cycle(b"web-%d" % n for n in range(SOURCES))
        self._log.send([Message(topic, next(sources), self._next()) for _ in range(batches)])

    def _next(self) -> bytes:
        numbers = range(self.sent, self.sent + ROWS)
        self.sent += ROWS
        return encoded([access(n, response_bytes=n) for n in numbers])

    def close(self) -> None:
        self._log.close()


def start(data: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.parts.worker_process", str(data), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def finish(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=WORKER_S_MAX)
    assert (process.returncode, output) == (0, "done\n")


def counted(data: Path) -> tuple[int, int, int, int]:
    """(event rows, distinct ones, sum of their numbers, rows by the ledger)."""
    analytics = open_analytics(Settings(data=data).url("chdb:///analytics"))
    try:
        query = (
            "SELECT countIf(kind = 'event'), uniqExactIf(response_bytes, kind = 'event'), "
            "sumIf(response_bytes, kind = 'event'), sum(rows) FROM events"
        )
        a, b, c, d = analytics.frame(query).row(0)
        return int(a), int(b), int(c), int(d)
    finally:
        analytics.close()


def exact(rows: int) -> tuple[int, int, int, int]:
    return rows, rows, rows * (rows - 1) // 2, rows


@pytest.mark.timeout(300)
def test_random_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    """Twenty times killed at a random moment while it counts; then it counts the rest."""
    moments = random.Random(SEED)
    feed = Feed(tmp_path / "data")
    for _ in range(ROUNDS):
        feed.send()
        worker = start(tmp_path / "data")
        time.sleep(moments.uniform(0, KILL_S_MAX))
        worker.kill()
        worker.communicate()
    finish(start(tmp_path / "data"))
    feed.close()
    assert counted(tmp_path / "data") == exact(feed.sent)


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_each_point_of_a_batch_is_repaired(tmp_path: Path, point: str) -> None:
    """Before the insert, between insert and look, between look and commit."""
    assert counted_after_death(tmp_path / "data", point) == exact(BATCHES * ROWS)


def test_without_the_ledger_the_same_kill_counts_twice(tmp_path: Path) -> None:
    """The switch: a batch that was stored and not committed is written again."""
    rows, distinct, _, _ = counted_after_death(tmp_path / "data", "after-look", "--without-ledger")
    assert distinct == BATCHES * ROWS
    assert rows > distinct


def counted_after_death(data: Path, *arguments: str) -> tuple[int, int, int, int]:
    feed = Feed(data)
    feed.send()
    worker = start(data, *arguments)
    worker.communicate(timeout=WORKER_S_MAX)
    assert worker.returncode < 0
    finish(start(data, *arguments[1:]))
    feed.close()
    return counted(data)
