"""Which tenants may send, also while the log is away."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from services.ingest.tenants import Tenants
from services.runtime.clock import SystemClock
from services.runtime.errors import Transient
from services.runtime.log import open_log
from services.runtime.log.interface import EventLog, Follower, Record
from services.runtime.settings import Kafka
from services.runtime.stop import Stop
from services.runtime.topics import TOPICS
from tests.parts.edge import register


class _Away:
    """A log whose followers get no answer while it is away."""

    def __init__(self, log: EventLog) -> None:
        self._log, self.away = log, False

    def follower(self, topics: list[str]) -> Follower:
        real, place = self._log.follower(topics), self

        class Following:
            def poll(self) -> list[Record]:
                if place.away:
                    raise Transient("away")
                return list(real.poll())

            def close(self) -> None:
                real.close()

        return Following()


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    found = open_log(f"sqlite:///{tmp_path / 'events.db'}", Kafka())
    found.ensure_topics(list(TOPICS.values()))
    return found


def _followed(tenants: Tenants, memory: Path | None, seconds: float = 0.2) -> None:
    stop = Stop()
    thread = threading.Thread(target=tenants.follow, args=(stop, memory))
    thread.start()
    time.sleep(seconds)
    stop.set()
    thread.join()


def test_the_last_word_counts_while_the_log_is_away(log: EventLog, tmp_path: Path) -> None:
    """A process that runs goes on; one that starts then knows what its predecessor knew."""
    register(log, "acme", "active")
    register(log, "gone", "suspended")
    place, memory = _Away(log), tmp_path / "tenants.json"
    tenants = Tenants(place, SystemClock())  # type: ignore[arg-type]  # a switch on the real log
    _followed(tenants, memory)
    place.away = True
    _followed(tenants, memory)
    restarted = Tenants(place, SystemClock())  # type: ignore[arg-type]
    _followed(restarted, memory)
    for each in (tenants, restarted):
        assert (each.status("acme"), each.status("gone"), each.status("no")) == ("active", "suspended", None)


@pytest.mark.parametrize("text", [None, "", "[]", "{"])
def test_without_a_memory_nobody_is_known(log: EventLog, tmp_path: Path, text: str | None) -> None:
    """Never seen, or damaged: senders are asked to come back, and nobody waits for the log."""
    memory = tmp_path / "tenants.json"
    if text is not None:
        memory.write_text(text)
    place = _Away(log)
    place.away = True
    tenants = Tenants(place, SystemClock())  # type: ignore[arg-type]
    _followed(tenants, memory)
    assert not tenants.are_known
    with pytest.raises(Transient):
        tenants.status("acme")
