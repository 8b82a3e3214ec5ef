"""kill -9 of every process, again and again, under load: what got a 200 is counted and linked exactly once.

Each line sent has a visitor of its own, so in the statistics `count() = uniqExact(visitor) = lines` says both
that none is lost and that none is doubled; in the identity plane each has a path of its own.

One body is deadly: the statistics worker ends at it as by a native crash, whenever it comes to it. Only the plan in
the commit tells the next process how often that was tried; it is given up alone, and everything else is counted.
"""

from __future__ import annotations

import contextlib
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

from tests.e2e.installation import CATCH_UP_S_MAX, Installation
from tests.faults.planes import DEADLY, mark_of
from tests.parts.kafka import Broker

KILLS = 300 if "VOILE_TEST_FULL" in os.environ else 20
KILLS_EMBEDDED = KILLS // 2  # a smaller place: no broker, one database a plane
LINES_A_BODY = 40
LINES_MAX = 24_000  # `activity show` lists at most 2 000 events of one account
ACCOUNTS = 16
SEED = 20261123
TRY_S_MAX = 120
AIM_S_MAX = 5
DEADLY_BODY = 5  # which one it is, of those that are sent
DEATHS_MAX = 15  # six attempts are made at a batch; more is a worker that does not know what it died of
PLANES = ("ingest", "identity", "statistics")
TICKET = ("--purpose", "support", "--ticket", "SUP-7", "--reason", "counting after the kills")


class Sender:
    """A shipper as the contract describes it: one body at a time, the same again until there is a 200."""

    def __init__(self, installation: Installation, key: str, *, deadly: bool = True) -> None:
        self._installation, self._key, self._deadly = installation, key, deadly
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
        path = DEADLY if self._deadly and self.lines == DEADLY_BODY * LINES_A_BODY else "/number"
        lines = [
            f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255} - m-{n % ACCOUNTS} [{stamp}] "
            f'"GET {path}/{n} HTTP/1.1" 200 5 "-" "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Firefox/144.0"'
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


class Killer:
    """Kills planes and the broker, starts them again, and starts what died of itself."""

    def __init__(
        self, made: Installation, broker: Broker | None = None, moments: Sequence[str] = ("planned", "unconfirmed")
    ) -> None:
        self._made, self._broker, self._moments = made, broker, moments
        self._rng = random.Random(SEED)
        self.redone = self.deaths = 0  # open plans that restarted planes found and did again; deaths of themselves

    def kill(self, kills: int, victims: Sequence[str]) -> None:
        for number in range(kills):
            time.sleep(self._rng.uniform(0.3, 1.2))
            victim = self._rng.choice(victims)
            if number % 3 == 0:
                self._aim(victim)
            if victim == "broker":
                assert self._broker is not None
                self._broker.kill()
                self._broker.start()
            else:
                self.redone += _redone(self._made, victim)
                self._made.kill(victim)
            self.revive(victim)

    def revive(self, *victims: str) -> None:
        """Start what is not running: the victims, and the statistics worker when it died of the deadly body."""
        processes = self._made.processes
        while missing := [p for p in PLANES if p not in processes or processes[p].poll() is not None]:
            self.deaths += sum(p not in victims for p in missing)
            assert self.deaths <= DEATHS_MAX, "the statistics worker dies again and again of one batch"
            victims = ()
            with contextlib.suppress(AssertionError):  # it may die before it is ready
                self._made.start(*missing)

    def catch_up(self) -> None:
        """As the installation's own; the worker may still be dying. Each start has the whole time: `DEATHS_MAX` ends it."""
        until, deaths, behind = 0.0, -1, [1]
        while any(behind):
            if self.deaths > deaths:
                until, deaths = time.monotonic() + CATCH_UP_S_MAX, self.deaths
            assert time.monotonic() < until, f"still behind: {behind}\n{self._made.where_they_are()}"
            self.revive()
            with contextlib.suppress(AssertionError):  # it died while it was asked
                behind = self._made.lags()

    def _aim(self, victim: str) -> None:
        """Wait, not long, for a moment of the victim's at which a kill is dangerous; ingest and the broker have none."""
        mark = mark_of(self._made.data, victim, self._rng.choice(self._moments))
        until = time.monotonic() + AIM_S_MAX
        while victim in {"identity", "statistics"} and not mark.exists() and time.monotonic() < until:
            time.sleep(0.02)


def _redone(made: Installation, plane: str) -> int:
    try:
        with urllib.request.urlopen(made.url(plane, "/metrics"), timeout=10) as answer:
            text = answer.read().decode()
    except OSError:
        return 0  # it died of itself just now
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


def _kills_lose_and_double_nothing(made: Installation, key: str, kills: int, broker: Broker | None) -> None:
    """The whole test: load, kills, and the two counts."""
    killer = Killer(made, broker)
    with made.running():
        with Sender(made, key) as sender:
            killer.kill(kills, [*PLANES, *(["broker"] if broker else [])])
        assert sender.lines > DEADLY_BODY * LINES_A_BODY, "too little load to prove anything"
        killer.catch_up()
        redone = killer.redone + sum(_redone(made, plane) for plane in PLANES)
        linked = _linked(made)
        made.stop()
        counted = sender.lines - LINES_A_BODY  # all but the deadly body, which is dead-lettered
        assert _stored_events(made) == (counted, counted)
        assert {a: len(paths) for a, paths in linked.items()} == dict(sender.by_account)
        assert all(len(set(paths)) == len(paths) for paths in linked.values())
        assert redone >= kills // 10, "the kills were too gentle: no plan was open"
        assert killer.deaths > 0, "the deadly body killed nobody"


@pytest.mark.timeout(60 * KILLS)
def test_kills_lose_and_double_nothing(tmp_path: Path, place: tuple[dict[str, str], Broker | None]) -> None:
    """Of ingest, the enricher, the statistics worker and the broker; both event logs."""
    settings, broker = place
    _kills_lose_and_double_nothing(*_install(tmp_path, settings), KILLS if broker else KILLS_EMBEDDED, broker)


@pytest.mark.timeout(900)
def test_without_the_plan_step_the_same_test_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first switch: nobody remembers that the deadly batch was tried, so nothing behind it is ever counted."""
    monkeypatch.setattr(sys.modules[__name__], "DEATHS_MAX", 7)
    with pytest.raises(AssertionError, match="again and again of one batch"):
        _kills_lose_and_double_nothing(*_install(tmp_path, {}, "--planless"), 1, None)


@pytest.mark.full  # the first switch is in every run
@pytest.mark.timeout(300)
def test_without_plan_and_ledger_the_same_kills_double_rows(tmp_path: Path) -> None:
    """The second switch: with the whole mechanism taken out the count is wrong."""
    made, key = _install(tmp_path, {}, "--forgetful")
    with made.running():
        with Sender(made, key, deadly=False):
            Killer(made, moments=["unconfirmed"]).kill(8, ["statistics"])
        made.catch_up()
        made.stop()
        rows, visitors = _stored_events(made)
        assert rows > visitors
