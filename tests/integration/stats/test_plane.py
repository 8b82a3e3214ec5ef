"""The statistics plane as it runs: loops, the commands' socket, a graceful stop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.stats import app
from services.runtime import control
from services.runtime.clickhouse import open_analytics
from services.runtime.clock import SystemClock
from services.runtime.errors import Fatal
from services.runtime.log import open_log
from services.runtime.log.interface import Message
from services.runtime.settings import Settings
from services.runtime.stop import Stop
from services.runtime.topics import TOPICS
from services.stats import SERVICE, plane
from tests.parts.counting import DAY, TENANT, access, encoded, rows_stored

UP_S_MAX = 60.0


def settings_of(data: Path) -> Settings:
    return Settings.model_validate({"data": data, "statistics": {"listen": "127.0.0.1:0"}})


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    stop = Stop()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            plane.run(settings, SystemClock(), stop)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(UP_S_MAX)
    assert not thread.is_alive()
    assert errors == []


def close_by_command(settings: Settings) -> list[dict[str, str]]:
    """As soon as the plane answers."""
    deadline = time.monotonic() + UP_S_MAX
    while time.monotonic() < deadline:
        answered, closed = control.call(settings.data, SERVICE, "close", {"through": DAY.isoformat()})
        if answered:
            return list(closed)
        time.sleep(0.1)
    raise AssertionError("the plane did not come up")


def rows_by_status(settings: Settings, wanted: str) -> tuple[int, int]:
    """`rows_open` and `rows_counted`, as soon as there are any of `wanted`."""
    deadline = time.monotonic() + UP_S_MAX
    while time.monotonic() < deadline:
        answered, found = control.call(settings.data, SERVICE, "status", {})
        if answered and found[wanted]:
            return found["rows_open"], found["rows_counted"]
        time.sleep(0.1)
    raise AssertionError(f"no {wanted}")


def test_it_counts_and_closes_when_told(tmp_path: Path) -> None:
    """What is in the log when the command is given is counted first; the events are gone afterwards."""
    settings = settings_of(tmp_path)
    log = open_log(settings.url(settings.events), settings.kafka, SystemClock())
    log.ensure_topics(list(TOPICS.values()))
    rows = [access(n, client_address=f"198.51.{n % 250}.7") for n in range(300)]
    log.send([Message(TOPICS["access-log"].name, b"web", encoded(rows))])
    with running(settings):
        assert rows_by_status(settings, "rows_open") == (300, 0)
        assert close_by_command(settings) == [{"tenant": TENANT, "day": DAY.isoformat()}]
        with pytest.raises(Fatal, match="does not know 'dance'"):
            control.call(settings.data, SERVICE, "dance", {})
        assert rows_by_status(settings, "rows_counted") == (0, 300)
    log.close()
    analytics = open_analytics(settings.url(settings.statistics.analytics))
    try:
        assert rows_stored(analytics)[0] == 0
        assert analytics.frame("SELECT sum(value) AS v FROM cells WHERE measure = 'requests'")["v"][0] > 0
    finally:
        analytics.close()
    assert list((tmp_path / "keys" / "statistics").glob("*.key")) == []


@pytest.mark.parametrize("command", ["run", "serve"])
def test_the_embedded_store_is_not_for_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """`voile stats run` and `serve` say what to do instead."""
    monkeypatch.setenv("VOILE_DATA", str(tmp_path))
    result = CliRunner().invoke(app, [command])
    assert isinstance(result.exception, Fatal)
    assert "voile up" in str(result.exception)
    assert not any(tmp_path.iterdir())


def test_a_command_that_the_plane_answers_loads_no_engine(tmp_path: Path) -> None:
    """It only carries the question: what the plane has loaded already (1.4 s of CPU) is not loaded again."""
    heavy = ("chdb", "polars", "sqlalchemy", "uvicorn")
    code = f"""
import sys
from services.cli.stats import app
app(["status", "--json"], standalone_mode=False)
sys.exit(", ".join(name for name in {heavy} if name in sys.modules))
"""
    with control.serve(tmp_path, SERVICE, {"status": lambda _: {"lag": 0}}):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "VOILE_DATA": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.stderr.strip(), json.loads(done.stdout)) == ("", {"lag": 0})


def test_commands_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Four threads of queries and two of closes, beside the timer: all are answered. (It does not
    tell whether they share a store client: on a quiet store a shared one gets through as well.)"""
    settings = settings_of(tmp_path)
    asked = {"query": {"site_id": TENANT, "metrics": ["visitors"], "date_range": "7d"}}
    failed: list[BaseException] = []

    def ask(operation: str, arguments: dict[str, object]) -> None:
        try:
            for _ in range(8):
                assert control.call(settings.data, SERVICE, operation, arguments)[0]
        except BaseException as error:
            failed.append(error)

    with running(settings):
        until = time.monotonic() + UP_S_MAX
        while not control.socket_path(settings.data, SERVICE).exists() and time.monotonic() < until:
            time.sleep(0.05)
        threads = [threading.Thread(target=ask, args=("query", asked)) for _ in range(4)]
        threads += [threading.Thread(target=ask, args=("close", {"through": DAY.isoformat()})) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(UP_S_MAX)
    assert failed == []
