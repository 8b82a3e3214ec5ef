"""kill -9 of every process, again and again, under load: what got a 200 is counted and linked exactly once.

Each line sent has a visitor of its own, so in the statistics `count() = uniqExact(visitor) = lines` says both
that none is lost and that none is doubled; in the identity plane each has a path of its own.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.installation import Installation
from tests.faults.planes import planned_mark
from tests.parts.kafka import Broker

KILLS = 300 if "VOILE_TEST_FULL" in os.environ else 20
LINES_A_BODY = 40
LINES_MAX = 24_000  # `activity show` lists at most 2 000 events of one account
ACCOUNTS = 16
SEED = 20261123
TRY_S_MAX = 120
AIM_S_MAX = 5
PLANES = ("ingest", "identity", "statistics")
TICKET = ("--purpose", "support", "--ticket", "SUP-7", "--reason", "counting after the kills")


class Sender:
    """A shipper as the contract describes it: one body at a time, the same again until there is a 200."""

    def __init__(self, installation: Installation, key: str) -> None:
        self._installation, self._key = installation, key
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.lines = 0
        self.by_account: Counter[str] = Counter()
        self.error: BaseException | None = None

    def __enter__(self) -> Sender:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(TRY_S_MAX + 10)
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            while not self._stop.is_set() and self.lines < LINES_MAX:
                self._send(*self._body())
        except BaseException as error:
            self.error = error

    def _body(self) -> tuple[bytes, Counter[str]]:
        at = datetime.now(UTC) - timedelta(minutes=5)
        stamp = at.strftime("%d/%b/%Y:%H:%M:%S +0000")
        numbers = range(self.lines, self.lines + LINES_A_BODY)
        lines = [
            f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255} - m-{n % ACCOUNTS} [{stamp}] "
            f'"GET /number/{n} HTTP/1.1" 200 5 "-" "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Firefox/144.0"'
            for n in numbers
        ]
        return "\n".join(lines).encode(), Counter(f"m-{n % ACCOUNTS}" for n in numbers)

    def _send(self, body: bytes, accounts: Counter[str]) -> None:
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "text/plain",
            "Idempotency-Key": f"body-{self.lines}",
        }
        request = urllib.request.Request(self._installation.url("ingest", "/api/v1/ingest/web"), body, headers)
        deadline = time.monotonic() + TRY_S_MAX
        while True:
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    told = json.load(answer)
                assert told["accepted"] + told["duplicates"] == LINES_A_BODY, told
                break
            except urllib.error.HTTPError as error:
                if error.code != 503 or "Retry-After" not in error.headers:  # the one passing fault
                    raise
            except OSError:
                pass  # the process is being killed or started
            assert time.monotonic() < deadline, "no 200 for too long"
            time.sleep(0.1)
        self.lines += LINES_A_BODY
        self.by_account += accounts
        time.sleep(0.02)


def _install(folder: Path, settings: dict[str, str], *flags: str) -> tuple[Installation, str]:
    made = Installation(folder, settings)
    made.runner = (sys.executable, "-m", "tests.faults.planes"), flags
    made.voile("db", "upgrade")
    made.voile("tenant", "add", "riverside", "--host", "www.riverside.example")
    key = made.json("source", "add", "web", "--tenant", "riverside", "--format", "combined", "--authenticated")["key"]
    return made, key


def _kill_again_and_again(made: Installation, kills: int, victims: Sequence[str], broker: Broker | None) -> int:
    """How many open plans the restarted planes found and did again."""
    rng = random.Random(SEED)
    redone = 0
    for number in range(kills):
        time.sleep(rng.uniform(0.3, 1.2))
        victim = rng.choice(victims)
        if number % 3 == 0:
            _aim(made, victim)
        if victim == "broker":
            assert broker is not None
            broker.kill()
            broker.start()
        else:
            redone += _redone(made, victim)
            made.kill(victim)
            made.start(victim)
    return redone


def _aim(made: Installation, victim: str) -> None:
    """Wait, not long, for the moment when a plan of the victim is open; ingest and the broker have none."""
    mark = planned_mark(made.data, victim)
    until = time.monotonic() + AIM_S_MAX
    while victim in {"identity", "statistics"} and not mark.exists() and time.monotonic() < until:
        time.sleep(0.02)


def _redone(made: Installation, plane: str) -> int:
    with urllib.request.urlopen(made.url(plane, "/metrics"), timeout=10) as answer:
        text = answer.read().decode()
    return int(sum(float(value) for value in re.findall(r"^voile_plans_redone_total\{.*\} (\S+)$", text, re.M)))


def _stored_events(made: Installation) -> tuple[int, int]:
    """(rows, distinct visitors) in the events table, read by another process once the plane is down."""
    query = (
        "from services.runtime.clickhouse import open_analytics; import sys;"
        "print(*open_analytics('chdb://' + sys.argv[1]).client.query("
        "\"SELECT count(), uniqExact(visitor) FROM events WHERE kind = 'event'\").result_rows[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", query, str(made.data / "analytics")], capture_output=True, text=True, check=True
    )
    rows, visitors = done.stdout.split()
    return int(rows), int(visitors)


def _linked(made: Installation) -> dict[str, list[str]]:
    shown = {}
    for number in range(ACCOUNTS):
        answer = made.json("activity", "show", "--tenant", "riverside", "--account", f"m-{number}", *TICKET)
        shown[f"m-{number}"] = [event["path"] for event in answer["events"]]
    return shown


@pytest.fixture(params=["embedded", pytest.param("servers", marks=[pytest.mark.kafka, pytest.mark.postgres])])
def place(request: pytest.FixtureRequest) -> Iterator[tuple[dict[str, str], Broker | None]]:
    """Settings, and the broker when there is one to kill."""
    if request.param == "embedded":
        yield {}, None
        return
    broker: Broker = request.getfixturevalue("kafka_broker")
    server = request.getfixturevalue("postgres_server")
    databases = {plane: server.make_database() for plane in ("INGEST", "IDENTITY", "STATISTICS")}
    yield {"VOILE_EVENTS": broker.url, **{f"VOILE_{p}__RECORDS": url for p, url in databases.items()}}, broker
    for url in databases.values():
        server.drop_database(url)


@pytest.mark.timeout(30 * KILLS)
def test_twenty_kills_lose_and_double_nothing(tmp_path: Path, place: tuple[dict[str, str], Broker | None]) -> None:
    """Of ingest, the enricher, the statistics worker and the broker; both event logs."""
    settings, broker = place
    made, key = _install(tmp_path, settings)
    with made.running():
        with Sender(made, key) as sender:
            redone = _kill_again_and_again(made, KILLS, [*PLANES, *(["broker"] if broker else [])], broker)
        assert sender.lines > 20 * LINES_A_BODY, "too little load to prove anything"
        made.catch_up()
        redone += sum(_redone(made, plane) for plane in PLANES)
        linked = _linked(made)
        made.stop()
        assert _stored_events(made) == (sender.lines, sender.lines)
        assert {a: len(paths) for a, paths in linked.items()} == dict(sender.by_account)
        assert all(len(set(paths)) == len(paths) for paths in linked.values())
        assert redone >= KILLS // 10, "the kills were too gentle: no plan was open"


@pytest.mark.timeout(300)
def test_without_plan_and_ledger_the_same_kills_double_rows(tmp_path: Path) -> None:
    """The switch: with the mechanism taken out the count is wrong, so the test above can fail."""
    made, key = _install(tmp_path, {}, "--forgetful")
    with made.running():
        with Sender(made, key):
            _kill_again_and_again(made, 8, ["statistics"], None)
        made.catch_up()
        made.stop()
        rows, visitors = _stored_events(made)
        assert rows > visitors
