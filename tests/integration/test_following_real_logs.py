"""`voile import --follow` as a process, on the log of a real nginx that a real logrotate rotates."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.parts.edge import absorbed, opened
from tests.parts.nginx import Nginx, running_nginx, visits

ROUNDS = 3
_LOGROTATE = """\
{log} {{
  su root root
  rotate 9
  missingok
  notifempty
  {mode}
}}
"""
# What Debian's nginx does after it renamed the log: a signal, upon which workers reopen it when they get to it.
_RENAME = 'create 0640\n  postrotate\n    kill -USR1 "$(cat {pid})"\n  endscript'
MODES = {
    "rename": _RENAME,
    "rename-and-pack": f"compress\n  {_RENAME}",
    "rename-with-dates": f"dateext\n  dateformat -%Y%m%d-%s\n  delaycompress\n  compress\n  {_RENAME}",
    "copytruncate": "copytruncate",
    "copytruncate-and-pack": "copytruncate\n  compress",
}


@contextlib.contextmanager
def _following(data: Path, log: Path) -> Iterator[Callable[[], dict[str, Any]]]:
    """A function that stops it as a service manager does and gives its summary."""
    command = [sys.executable, "-m", "services.cli.main", "import", "--follow", str(log), "--source", "web", "--json"]
    env = os.environ | {"VOILE_DATA": str(data)}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def stop() -> dict[str, Any]:
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=20)
        assert process.returncode == 0, errors.decode()
        return dict(json.loads(out))

    try:
        yield stop
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def _rotate(nginx: Nginx, mode: str) -> None:
    config = nginx.folder / "logrotate.conf"
    config.write_text(_LOGROTATE.format(log=nginx.combined_log, mode=mode.format(pid=nginx.folder / "nginx.pid")))
    config.chmod(0o644)
    program = shutil.which("logrotate") or "/usr/sbin/logrotate"
    subprocess.run([program, "-f", "-s", str(nginx.folder / "state"), str(config)], check=True, capture_output=True)


def _wait_for(data: Path, count: int) -> None:
    deadline = time.monotonic() + 20
    while (found := _taken(data)) < count and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found == count


def _taken(data: Path) -> int:
    with opened(data) as ingest:
        return absorbed(ingest.log).height


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.servers
@pytest.mark.logrotate
@pytest.mark.skipif(os.geteuid() != 0, reason="logrotate and nginx change users: root alone")
def test_each_line_is_taken_once_through_rotation(tmp_path: Path, mode: str) -> None:
    """Visits go on while it is rotated, three times; then importing every file there is changes nothing."""
    data = tmp_path / "data"
    with opened(data):
        pass
    with running_nginx(tmp_path / "nginx") as nginx, _following(data, nginx.combined_log) as stop:
        nginx.serve(visits(10, seed=9))  # what a log held before it was followed for the first time is not looked for
        _wait_for(data, wanted := 10)
        for n in range(ROUNDS):
            nginx.serve(visits(150, seed=n))
            _rotate(nginx, MODES[mode])
            nginx.serve(visits(50, seed=100 + n))
            wanted += 200
            time.sleep(1 if "dates" in mode else 0)  # two rotations in one second would have one name
            _wait_for(data, wanted)
        summary = stop()
        assert summary == {"lines": wanted, "accepted": wanted, "duplicates": 0, "rejected": {}}
        files = sorted(p for p in nginx.folder.glob("access.log*") if p.stat().st_size)
        assert len(files) >= ROUNDS  # nginx may write the last visits to the file that was just rotated
        with opened(data) as ingest:
            ingest.clock.sleep(365 * 86_400)  # the server's own clock is later than the tests'
            outcomes = [ingest.import_file(path, "web") for path in files]
            assert (sum(o.accepted for o in outcomes), sum(o.duplicates for o in outcomes)) == (0, wanted)


@pytest.mark.servers
@pytest.mark.logrotate
@pytest.mark.skipif(os.geteuid() != 0, reason="logrotate and nginx change users: root alone")
def test_killed_and_started_again_across_a_rotation(tmp_path: Path) -> None:
    """`kill -9`; while nobody follows, visits go on and the log is rotated; the next start takes what is missing."""
    data = tmp_path / "data"
    with opened(data):
        pass
    with running_nginx(tmp_path / "nginx") as nginx:
        nginx.serve(visits(100, seed=1))
        with _following(data, nginx.combined_log):
            _wait_for(data, 100)
        nginx.serve(visits(100, seed=2))
        _rotate(nginx, MODES["rename"])
        nginx.serve(visits(100, seed=3))
        with _following(data, nginx.combined_log) as stop:
            _wait_for(data, 300)
            told = stop()
            _wait_for(data, 300)
        # killed between publishing and marking, the first hundred are published again, and absorbed
        assert (told["lines"], told["duplicates"], told["rejected"]) == (told["accepted"], 0, {})
        assert told["accepted"] in {200, 300}


def test_a_log_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    """It says so once, takes the log when it comes, and ends by SIGINT with its summary."""
    data, log = tmp_path / "data", tmp_path / "later.log"
    with opened(data):
        pass
    with _following(data, log) as stop:
        time.sleep(1.5)
        log.write_bytes((Path(__file__).parent.parent / "fixtures" / "nginx-combined-1000.log").read_bytes())
        _wait_for(data, 1000)
        assert stop()["accepted"] == 1000
