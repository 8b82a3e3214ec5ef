"""Ingest's word on an erasure: from now on nothing that was taken before waits here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.ingest.acknowledging import BACK, Acknowledging
from services.runtime import avro
from services.runtime.clock import FixedClock
from services.runtime.log import open_log
from services.runtime.log.interface import EventLog, Message
from services.runtime.receipts import COMPLETED, PRESENT, Receipt, receipts_of
from services.runtime.settings import Kafka
from services.runtime.stop import Stop
from services.runtime.topics import TOPICS

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture
def log(tmp_path: Path, clock: FixedClock) -> Iterator[EventLog]:
    log = open_log(f"sqlite:///{tmp_path}/events.db", Kafka(), clock)
    log.ensure_topics([TOPICS["privacy-signal"], TOPICS["privacy-receipt"]])
    yield log
    log.close()


class Spool:
    """When the oldest record that waits was taken."""

    def __init__(self) -> None:
        self.since: datetime | None = None

    def __call__(self) -> datetime | None:
        return self.since


def test_an_erasure_is_answered_when_nothing_older_waits(log: EventLog, clock: FixedClock) -> None:
    """Not while the spool holds what was taken before; what came after does not matter."""
    spool = Spool()
    acknowledging = Acknowledging(log, clock, spool, member="edge")
    spool.since = NOON - timedelta(minutes=5)
    _signal(log, "C-1", "erasure")
    acknowledging.step()
    assert _said(log) == []
    clock.advance(timedelta(minutes=10))
    spool.since = NOON + timedelta(minutes=1)
    acknowledging.step()
    acknowledging.step()
    assert _said(log) == [Receipt("C-1", "ingest/edge", COMPLETED, clock.now(), "spool")]


def test_other_signals_are_none_of_its_business(log: EventLog, clock: FixedClock) -> None:
    """It keeps nothing of a person that an objection would be about."""
    _signal(log, "C-1", "objection")
    _signal(log, "C-2", "restriction")
    Acknowledging(log, clock, Spool(), member="edge").step()
    assert _said(log) == []


def test_erasures_of_long_ago_are_not_answered_again(log: EventLog, clock: FixedClock) -> None:
    """A start reads the topic from its beginning."""
    _signal(log, "C-1", "erasure")
    clock.advance(BACK + timedelta(days=1))
    _signal(log, "C-2", "erasure")
    Acknowledging(log, clock, Spool(), member="edge").step()
    assert [receipt.case for receipt in _said(log)] == ["C-2"]


def test_it_says_that_it_runs(log: EventLog, clock: FixedClock) -> None:
    """At its start, then every five minutes and not with every look."""
    acknowledging = Acknowledging(log, clock, Spool(), member="edge")
    for _ in range(7):
        acknowledging.step()
        clock.advance(timedelta(minutes=1))
    assert [r.at for r in _receipts(log) if r.state == PRESENT] == [NOON, NOON + timedelta(minutes=5)]


def test_a_log_that_came_after_the_service_has_its_topics_a_moment_later(tmp_path: Path, clock: FixedClock) -> None:
    """Ingest starts without Kafka and makes its topics when it is there: until then there is nothing to read."""
    log, stop = open_log(f"sqlite:///{tmp_path}/late.db", Kafka(), clock), _StopsSoon()
    Acknowledging(log, clock, Spool(), member="edge").run(stop)
    log.close()
    assert stop.looked == 2


class _StopsSoon(Stop):
    """At the second wait."""

    looked = 0

    def wait(self, seconds: float) -> bool:  # nobody sleeps in a test
        self.looked += 1
        if self.looked == 2:
            self.set()
        return self.is_set


def test_a_damaged_signal_says_nothing_here(log: EventLog, clock: FixedClock) -> None:
    """The planes that have to honour it stop; the edge goes on taking what comes."""
    log.send([Message(TOPICS["privacy-signal"].name, b"k", b"damaged")])
    _signal(log, "C-1", "erasure")
    Acknowledging(log, clock, Spool(), member="edge").step()
    assert [receipt.case for receipt in _said(log)] == ["C-1"]


def _signal(log: EventLog, case: str, kind: str) -> None:
    row = {"case": case, "tenant": "t", "account": "a", "kind": kind, "active": True, "cutoff": NOON}
    log.send([Message(TOPICS["privacy-signal"].name, case.encode(), avro.encode_record(row, "privacy_signal"))])


def _receipts(log: EventLog) -> list[Receipt]:
    follower = log.follower([TOPICS["privacy-receipt"].name])
    found = receipts_of(follower.poll())
    follower.close()
    return found


def _said(log: EventLog) -> list[Receipt]:
    return [receipt for receipt in _receipts(log) if receipt.state != PRESENT]
