"""The log away and back: nothing lost, in order, and bounded in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.ingest import spooling as module
from services.ingest.spool import Spool
from services.ingest.spooling import TERM, Spooling, spooling
from services.runtime.clock import FixedClock
from services.runtime.errors import Fatal, Poison, Transient
from services.runtime.log.interface import MESSAGE_BYTES_MAX, Message
from services.runtime.metrics import SPOOL_BYTES, SPOOL_LOST, SPOOL_OLDEST, Metrics
from tests.parts.edge import NOW, AwayLog, opened, records

WAIT_S_MAX = 10


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.02)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AwayLog]:
    with opened(tmp_path) as ingest:
        yield AwayLog(ingest.log)


def _message(text: str) -> Message:
    return Message("access-log.dead-letter.v1", b"web", text.encode())


@contextmanager
def _spooling(
    folder: Path, log: Any, metrics: Metrics | None = None, clock: FixedClock | None = None, bytes_max: int = 10**6
) -> Iterator[Spooling]:
    with spooling(
        folder / "spool",
        bytes_max,
        log,
        clock or FixedClock(NOW),
        metrics or Metrics(),
    ) as opened_:
        yield opened_


def _texts(log: AwayLog) -> list[str]:
    return [(r.value or b"").decode() for r in records(log, "dead-letter")]  # type: ignore[arg-type]


def _until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_while_the_log_answers_nothing_is_spooled(tmp_path: Path, log: AwayLog) -> None:
    """The way is straight."""
    with _spooling(tmp_path, log) as durable:
        durable.send([_message("1")])
        assert _texts(log) == ["1"]
        assert list((tmp_path / "spool").glob("*.spool")) == []


def test_what_came_meanwhile_is_there_in_order_when_it_is_back(tmp_path: Path, log: AwayLog) -> None:
    """And what comes while it drains queues behind."""
    metrics = Metrics()
    with _spooling(tmp_path, log, metrics) as durable:
        log.away = True
        for number in range(50):
            durable.send([_message(str(number))])
        _until(lambda: metrics.value(SPOOL_BYTES) > 0)
        log.away = False
        for number in range(50, 100):
            durable.send([_message(str(number))])
        _until(lambda: metrics.value(SPOOL_BYTES) == 0 and len(_texts(log)) == 100)
        assert _texts(log) == [str(n) for n in range(100)]


def test_a_log_that_refuses_the_service_is_away_too(tmp_path: Path, log: AwayLog) -> None:
    """A wrong password is the operator's to mend; senders lose nothing meanwhile."""

    class Refusing(AwayLog):
        def send(self, messages: Sequence[Message], timeout_s: float = 10.0) -> object:  # type: ignore[override]
            if self.away:
                raise Fatal("refused")
            return log.send(messages, timeout_s)

    refusing = Refusing(log)  # type: ignore[arg-type]
    with _spooling(tmp_path, refusing) as durable:
        refusing.away = True
        durable.send([_message("1")])
        refusing.away = False
        _until(lambda: _texts(log) == ["1"])


def test_a_restart_drains_what_its_predecessor_left(tmp_path: Path, log: AwayLog) -> None:
    """Before anything new."""
    log.away = True
    with _spooling(tmp_path, log) as durable:
        durable.send([_message("1")])
    log.away = False
    with _spooling(tmp_path, log) as durable:
        durable.send([_message("2")])
        _until(lambda: len(_texts(log)) == 2)
    assert _texts(log) == ["1", "2"]


def test_full_is_told_with_a_time(tmp_path: Path, log: AwayLog) -> None:
    """And taken again once it is drained."""
    with _spooling(tmp_path, log, bytes_max=200) as durable:
        log.away = True
        durable.send([_message("x" * 50)])
        with pytest.raises(Transient) as refused:
            durable.send([_message("x" * 50)])
        assert refused.value.retry_after_s > 0
        log.away = False
        _until(lambda: durable.has_room and bool(_texts(log)))
        durable.send([_message("y")])
        _until(lambda: "y" in _texts(log))


def test_a_message_that_is_too_large_is_never_spooled(tmp_path: Path, log: AwayLog) -> None:
    """It would stand before all others for ever."""
    with _spooling(tmp_path, log) as durable:
        log.away = True
        with pytest.raises(Poison):
            durable.send([_message("x" * (MESSAGE_BYTES_MAX + 1))])


def test_one_that_the_log_never_takes_does_not_hold_up_the_rest(tmp_path: Path, log: AwayLog) -> None:
    """A broker may have a smaller limit than ours; the loss is counted."""

    class Picky(AwayLog):
        def send(self, messages: Sequence[Message], timeout_s: float = 10.0) -> object:  # type: ignore[override]
            if self.away:
                raise Transient("away")
            if any(m.value == b"bad" for m in messages):
                raise Poison("message_too_large")
            return log.send(messages, timeout_s)

    picky, metrics = Picky(log), Metrics()  # type: ignore[arg-type]
    with _spooling(tmp_path, picky, metrics) as durable:
        picky.away = True
        durable.send([_message("1"), _message("bad"), _message("2")])
        picky.away = False
        _until(lambda: _texts(log) == ["1", "2"])
    assert metrics.value(SPOOL_LOST, reason="refused") == 1


def test_nothing_waits_longer_than_the_topic_would_keep_it(tmp_path: Path, log: AwayLog) -> None:
    """Clear data has a term, also where it waits; the loss is counted and the age can be watched."""
    clock, metrics = FixedClock(NOW), Metrics()
    log.away = True
    with _spooling(tmp_path, log, metrics, clock) as durable:
        durable.send([_message("old")])
        clock.advance(TERM - timedelta(hours=1))
        durable.send([_message("young")])
        _until(lambda: metrics.value(SPOOL_OLDEST) == (TERM - timedelta(hours=1)).total_seconds())
        assert metrics.value(SPOOL_LOST, reason="expired") == 0
        clock.advance(timedelta(hours=2))
        _until(lambda: metrics.value(SPOOL_LOST, reason="expired") == 1)
        log.away = False
        _until(lambda: _texts(log) == ["young"])


def test_two_processes_do_not_share_a_spool(tmp_path: Path, log: AwayLog) -> None:
    """Each would send what the other accepted."""
    with _spooling(tmp_path, log), pytest.raises(Fatal, match=r"ingest\.spool"), _spooling(tmp_path, log):
        pass


def test_many_senders_while_it_comes_and_goes(tmp_path: Path, log: AwayLog) -> None:
    """Each sender's messages are there once, in its order."""
    with _spooling(tmp_path, log) as durable:

        def send(name: str) -> None:
            for number in range(40):
                durable.send([_message(f"{name}-{number}")])

        threads = [threading.Thread(target=send, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for _ in range(10):
            log.away = not log.away
            time.sleep(0.02)
        log.away = False
        for thread in threads:
            thread.join()
        _until(lambda: len(_texts(log)) == 160)
    for name in "abcd":
        assert [t for t in _texts(log) if t.startswith(name)] == [f"{name}-{n}" for n in range(40)]


def test_the_order_is_lost_without_the_queue(tmp_path: Path, log: AwayLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch: when what is new may overtake the spool, the test of order fails."""
    monkeypatch.setattr(Spool, "is_empty", property(lambda _self: True))
    monkeypatch.setattr(module, "AGAIN_S", 0.5)
    with _spooling(tmp_path, log) as durable:
        log.away = True
        durable.send([_message("1")])
        log.away = False
        durable.send([_message("2")])
        _until(lambda: len(_texts(log)) == 2)
    assert _texts(log) == ["2", "1"]
