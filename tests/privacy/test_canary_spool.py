"""Canaries while Kafka is away: they lie in the spool, in clear by design (ADR 0095), and nowhere else; and not for long."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.ingest.spool import Spool
from services.runtime.clock import SystemClock
from services.runtime.topics import TOPICS
from tests.e2e.installation import Installation
from tests.parts.kafka import Broker
from tests.privacy import planting_lines
from tests.privacy.planting import PAGE, Planted, settings_of
from tests.privacy.scan import Hit, scan_files, scan_log, scan_text
from tests.privacy.searching import NEEDLES, search_records, search_topics, told
from tests.privacy.test_canary import expected_of_accesses

SPOOL_S_MAX = 60
SPOOL = "spool"  # below the data folder: the default
BYTES_MAX = 1024**3

pytestmark = pytest.mark.kafka


def _planted(folder: Path, broker: Broker) -> Planted:
    now = datetime.now(UTC).replace(microsecond=0)
    made = Planted(Installation(folder, {"VOILE_EVENTS": broker.url}), past=now - timedelta(days=2), now=now)
    made.set_up()
    return made


def _spool_bytes(planted: Planted) -> float:
    _, _, text = planted.ask("ingest", "GET", "/metrics")
    found = re.search(rb"^voile_spool_bytes(?:\{.*\})? (\S+)$", text, re.MULTILINE)
    assert found, "no metric of the spool"
    return float(found[1])


def _wait(met: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SPOOL_S_MAX
    while not met():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def _outside_the_spool(planted: Planted) -> list[Hit]:
    """Logs, metrics, answers, ingest's records, files, and the names of the spool's own."""
    settings = settings_of(planted.made)
    names = (str(path.relative_to(settings.data)) for path in (settings.data / SPOOL).rglob("*"))
    return [
        *search_records(settings),
        *scan_files(NEEDLES, settings.data, leave_out=[SPOOL]),
        *scan_files(NEEDLES, planted.made.logs),
        *(hit for place, answer in planted.answers for hit in scan_text(NEEDLES, place, answer)),
        *(hit for name in names for hit in scan_text(NEEDLES, "a file name of the spool", name)),
    ]


def _in_the_spool(planted: Planted, copy: Path) -> list[Hit]:
    """By topic, read as the process that drains it would."""
    shutil.copytree(settings_of(planted.made).data / SPOOL, copy)
    entries = Spool(copy, BYTES_MAX, SystemClock()).peek(BYTES_MAX)
    messages = [message for entry in entries for message in entry.messages]
    return scan_log(NEEDLES, [(m.topic, m.key, m.value, dict(m.headers)) for m in messages])


@pytest.mark.timeout(240)
def test_no_canary_leaves_the_spool_but_to_its_topic(tmp_path: Path, kafka_broker: Broker) -> None:
    """Every way that answers while Kafka is away: no log, metric, answer, record or file name has a canary, and of
    what waits only the accesses do. Once it is sent, nothing is left on the disk."""
    planted = _planted(tmp_path, kafka_broker)
    made = planted.made
    with made.running("ingest"):
        kafka_broker.kill()
        for by in (
            planting_lines.bodies,
            planting_lines.packed_bodies,
            planting_lines.open_telemetry,
            planting_lines.syslog,
            planting_lines.refused_bodies,
        ):
            by(planted)
        for path in ("/metrics", "/readyz", "/healthz", "/privacy"):
            planted.ask("ingest", "GET", path, headers=PAGE)
        assert _spool_bytes(planted) > 0
        made.kill("ingest")  # nothing is tidied up
        waiting = _in_the_spool(planted, tmp_path / "copy")
        away = _outside_the_spool(planted)
        assert not away, f"while Kafka is away:\n{told(away)}"
        clear = tuple(f"topic {topic.name} " for topic in TOPICS.values() if topic.clear)
        assert {hit for hit in waiting if not hit.place.startswith(clear)} == set()
        assert expected_of_accesses() <= {hit.canary for hit in waiting}, "the canaries did not go in"
        _assert_for_its_owner_alone(settings_of(made).data / SPOOL)

        kafka_broker.start()
        made.start("ingest")
        _wait(lambda: _spool_bytes(planted) == 0, "the spool is not drained")
        made.stop()
    settings = settings_of(made)
    left = [*_outside_the_spool(planted), *scan_files(NEEDLES, settings.data)]
    left += search_topics(settings, [topic for topic in TOPICS.values() if not topic.clear])
    assert not left, f"after it was sent:\n{told(left)}"
    assert expected_of_accesses() <= {hit.canary for hit in search_topics(settings, [TOPICS["access-log"]])}


def _assert_for_its_owner_alone(folder: Path) -> None:
    """Nobody else on the machine reads what waits."""
    segments = [path for path in folder.iterdir() if path.stem.isdigit()]
    assert segments
    for path in (folder, *segments):
        assert path.stat().st_mode & 0o077 == 0, f"{path.name} is open to others"


@pytest.mark.full  # that the same search finds what leaks is shown in every run by `test_canary.py`
@pytest.mark.timeout(240)
def test_a_spool_that_tells_what_it_keeps_is_noticed(tmp_path: Path, kafka_broker: Broker) -> None:
    """The switch: an ingest that logs what it spools, and names its files by it."""
    planted = _planted(tmp_path, kafka_broker)
    made = planted.made
    made.runner = (sys.executable, "-m", "tests.privacy.leaky_planes"), ()
    with made.running("ingest"):
        kafka_broker.kill()
        planting_lines.bodies(planted)
        made.kill("ingest")
    places = {hit.place for hit in _outside_the_spool(planted)}
    assert {"file ingest.log", "a file name of the spool"} <= places
