"""Kafka away, ingest killed, the disk full: each line that got a 200 is in the log exactly once.

What a consumer keeps is what `Coverage` keeps: a batch that was published twice around a crash is absorbed.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from services.runtime.log import open_log
from services.runtime.settings import Kafka
from tests.parts.edge import absorbed
from tests.parts.ingest_process import IngestProcess, Shipper, shipping
from tests.parts.kafka import Broker

FULL = "VOILE_TEST_FULL" in os.environ
AWAY_S = 60 if FULL else 20
KILLS = 50 if FULL else 10
MEMORY_MB_MAX = 300
DRAIN_S_MAX = 120
SEED = 20261123
SMALL_DISK = "3m"

pytestmark = pytest.mark.kafka


@pytest.fixture
def ingest(tmp_path: Path, kafka_broker: Broker) -> IngestProcess:
    return IngestProcess(tmp_path, {"VOILE_EVENTS": kafka_broker.url})


def _wait(met: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DRAIN_S_MAX
    while not met():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def _drained(ingest: IngestProcess) -> None:
    _wait(lambda: '"ready":true' in (ingest.get("/readyz") or "").replace(" ", ""), "not ready")
    _wait(lambda: ingest.metric("voile_spool_bytes") == 0, "the spool is not drained")


def _in_the_log(broker: Broker) -> Counter[str]:
    log = open_log(broker.url, Kafka())
    try:
        return Counter(absorbed(log)["path"].to_list())
    finally:
        log.close()


def _exactly_once(broker: Broker, shippers: Sequence[Shipper]) -> bool:
    wanted = Counter(path for shipper in shippers for path in shipper.paths)
    return _in_the_log(broker) == wanted


def _spooled(ingest: IngestProcess) -> None:
    _wait(lambda: ingest.metric("voile_spool_bytes") > 0, "nothing is spooled")


@pytest.mark.timeout(AWAY_S + 240)
def test_broker_away_under_load(ingest: IngestProcess, kafka_broker: Broker) -> None:
    """Lines are taken all the time, memory stays small, and afterwards the log has each once."""
    with ingest.running():
        with shipping(ingest) as shippers:
            _wait(lambda: all(shipper.taken for shipper in shippers), "nothing is taken")
            kafka_broker.kill()
            _spooled(ingest)
            before, memory, deepest, until = sum(s.taken for s in shippers), 0.0, 0.0, time.monotonic() + AWAY_S
            while time.monotonic() < until:
                memory = max(memory, ingest.memory_mb())
                deepest = max(deepest, ingest.metric("voile_spool_bytes"))
                time.sleep(0.5)
            taken = sum(s.taken for s in shippers) - before
            kafka_broker.start()
            while ingest.metric("voile_spool_bytes") > 0:
                memory = max(memory, ingest.memory_mb())
                time.sleep(0.2)
        _drained(ingest)
        told = sum(s.told_to_wait for s in shippers)
        slowest_s = max(s.slowest_s for s in shippers)
        print(
            f"away {AWAY_S} s: {taken} lines taken, {deepest / 1e6:.1f} MB, {memory:.0f} MB, {slowest_s:.1f} s, {told}"
        )
        assert taken > 100 * AWAY_S
        assert told <= len(shippers), "at most the one that was under way when the broker went is to come again"
        assert slowest_s < 10, "collectors give up an answer after 10 s"
        assert memory < MEMORY_MB_MAX
        assert ingest.stop() == 0
    assert _exactly_once(kafka_broker, shippers)


@pytest.mark.timeout(30 * KILLS + 120)
def test_kills_of_ingest_lose_and_double_nothing(ingest: IngestProcess, kafka_broker: Broker) -> None:
    """kill -9 again and again, with the broker there or not; what was spooled is sent by the successor."""
    rng = random.Random(SEED)
    left_behind = 0
    with ingest.running():
        with shipping(ingest) as shippers:
            for number in range(KILLS):
                time.sleep(rng.uniform(0.2, 1.0))
                away = number % 5 == 2
                if away:
                    kafka_broker.kill()
                    _spooled(ingest)
                    left_behind += 1
                ingest.kill()
                ingest.start()
                if away:
                    before = sum(shipper.taken for shipper in shippers)
                    _wait(lambda: sum(s.taken for s in shippers) > before, "a start without the log takes nothing")  # noqa: B023
                    kafka_broker.start()
        _drained(ingest)
    assert left_behind >= KILLS // 5
    assert sum(s.taken for s in shippers) > 200 * KILLS, "too little load to prove anything"
    assert _exactly_once(kafka_broker, shippers)


@pytest.mark.parametrize("flag", [pytest.param("--forgetful", marks=pytest.mark.full), "--hasty"])  # one in each run
def test_without_its_mechanism_a_kill_loses_lines(flag: str, ingest: IngestProcess, kafka_broker: Broker) -> None:
    """The switch: a spool that is not read back, or an answer before the write."""
    with ingest.running(flag):
        with shipping(ingest) as shippers:
            _wait(lambda: all(shipper.taken for shipper in shippers), "nothing is taken")
            kafka_broker.kill()
            before = sum(shipper.taken for shipper in shippers)
            _wait(lambda: sum(shipper.taken for shipper in shippers) > before + 2_000, "nothing is taken any more")
            ingest.kill()
            kafka_broker.start()
            ingest.start(flag)
            time.sleep(1)
        time.sleep(3)
        _drained(ingest)
    assert not _exactly_once(kafka_broker, shippers)


@pytest.fixture(params=["bound", "disk"])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A spool that is soon full: by its setting, or because its disk is."""
    if request.param == "bound":
        yield {"VOILE_INGEST__SPOOL_BYTES_MAX": "2000000"}
        return
    with_disk = _mounted(tmp_path / "small")
    yield {"VOILE_INGEST__SPOOL": f"file:///{with_disk}/spool"}
    subprocess.run(["umount", "-l", str(with_disk)], check=True)


def _mounted(folder: Path) -> Path:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("no small disk: mounting a tmpfs needs root")
    return folder


def _fill(ingest: IngestProcess, broker: Broker, *flags: str) -> list[Shipper]:
    """Sends until nothing more is taken, then a while longer; the broker comes back at the end."""
    with ingest.running(*flags):
        with shipping(ingest) as shippers:
            _wait(lambda: all(shipper.taken for shipper in shippers), "nothing is taken")
            broker.kill()
            begun = sum(shipper.taken for shipper in shippers)
            _wait(lambda: _is_refusing(shippers) or sum(s.taken for s in shippers) > begun + 60_000, "never full")
            time.sleep(2)
            broker.start()
        _drained(ingest)
    return shippers


def _is_refusing(shippers: Sequence[Shipper]) -> bool:
    return all(shipper.told_to_wait > 2 for shipper in shippers)


def test_a_full_spool_is_503_and_never_a_false_200(tmp_path: Path, kafka_broker: Broker, small: dict[str, str]) -> None:
    """With Retry-After; what got a 200 before, between and after is there once."""
    ingest = IngestProcess(tmp_path, {"VOILE_EVENTS": kafka_broker.url, **small})
    shippers = _fill(ingest, kafka_broker)
    assert _is_refusing(shippers)
    assert _exactly_once(kafka_broker, shippers)


@pytest.mark.full
@pytest.mark.parametrize("small", ["disk"], indirect=True)
def test_when_errors_of_the_disk_are_not_looked_at_lines_are_lost(
    tmp_path: Path, kafka_broker: Broker, small: dict[str, str]
) -> None:
    """The switch: a 200 for what did not fit."""
    ingest = IngestProcess(tmp_path, {"VOILE_EVENTS": kafka_broker.url, **small})
    shippers = _fill(ingest, kafka_broker, "--trusting")
    assert not _exactly_once(kafka_broker, shippers)
