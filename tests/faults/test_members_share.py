"""Several members count one log on real Kafka, under load: partitions move, one is killed, every row counts once.

The store is embedded, and held by one process: so the members are threads with everything of their own, and the kill
takes all of them (`sharing_process.py`). Processes on a ClickHouse server differ in where they run alone; what makes
the count exact (plan, ledger, the group's fencing) is the same code and the same broker.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.test_worker_kills import Feed, counted, exact
from tests.parts.kafka import Broker
from tests.parts.processes import die_with_parent

BATCHES, PAUSE_S = 12, 0.25  # of the load: as many messages, so long apart
END_S_MAX = 120

pytestmark = pytest.mark.kafka


class Sharing:
    """The process of the members."""

    def __init__(self, data: Path, events: str, *flags: str) -> None:
        command = [sys.executable, "-m", "tests.faults.sharing_process", str(data), events, *flags]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509  # one system call, safe between fork and exec
        )  # fmt: skip

    def join(self, *names: str) -> None:
        """Each counts before the next one comes."""
        assert self._process.stdout is not None
        for name in names:
            self._tell(name)
            assert self._process.stdout.readline() == f"{name}\n"

    def die(self) -> None:
        self._tell("die")
        assert self._process.wait(END_S_MAX) == -signal.SIGKILL
        self._process.communicate()

    def stored(self) -> list[tuple[str, int]]:
        """How many batches each member stored, once everything is; then they are killed, too."""
        assert self._process.stdout is not None
        self._tell("all")
        told = [(name, batches) for name, batches in json.loads(self._process.stdout.readline())]
        self._process.kill()
        self._process.communicate()
        return told

    def _tell(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()


@contextlib.contextmanager
def _load(feed: Feed) -> Iterator[None]:
    stop = threading.Event()

    def send() -> None:
        while not stop.wait(PAUSE_S):
            feed.send(BATCHES)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _count(data: Path, events: str, *flags: str) -> tuple[int, list[tuple[str, int]]]:
    """Two members, the second under load; killed; both again, a third, and a second one under the name of a living
    one, which is fenced. Returns the rows sent, and who stored what after the kill."""
    feed = Feed(data, events)
    with contextlib.closing(feed):
        with _load(feed):
            first = Sharing(data, events, *flags)
            first.join("a", "b")
            first.die()
            second = Sharing(data, events, *flags)
            second.join("a", "b", "c", "b")
            time.sleep(1)
        stored = second.stored()
    return feed.sent, stored


@pytest.mark.timeout(300)
def test_members_share_hand_over_and_are_killed_and_every_row_counts_once(tmp_path: Path, kafka_broker: Broker) -> None:
    """Each of them has counted, and together they have counted each row once."""
    sent, stored = _count(tmp_path / "data", kafka_broker.url)
    assert counted(tmp_path / "data") == exact(sent)
    assert [name for name, batches in stored if batches > 0] == ["a", "b", "c", "b"]


@pytest.mark.full  # the same switch of one worker is in every run (`test_worker_kills.py`)
@pytest.mark.timeout(300)
def test_without_the_ledger_the_same_count_is_too_high(tmp_path: Path, kafka_broker: Broker) -> None:
    """The switch: what was stored and not committed is stored again, and partitions that move bring more of it."""
    sent, _ = _count(tmp_path / "data", kafka_broker.url, "--without-ledger")
    rows, distinct, _, _ = counted(tmp_path / "data")
    assert distinct == sent
    assert rows > sent
