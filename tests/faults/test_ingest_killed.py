"""`kill -9` of ingest: what its blocks count is what is in the log, once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import httpx
import sqlalchemy as sa

from tests.parts.edge import absorbed, opened
from tests.parts.processes import die_with_parent, free_ports

BODIES, ROWS = 40, 20
KILLS = 2  # a start takes seconds
UP_S_MAX = 60.0


def _start(data: Path, listen: str) -> subprocess.Popen[bytes]:
    env = os.environ | {"VOILE_DATA": str(data), "VOILE_INGEST__LISTEN": listen}
    command = [sys.executable, "-m", "services.cli.main", "ingest", "serve"]
    return subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)  # noqa: PLW1509  # one system call


def _kill_again_and_again(data: Path, client: httpx.Client) -> subprocess.Popen[bytes]:
    """Returns the last one that was started. From the main thread: a child dies with the thread that started it."""
    chance, listen = random.Random(11), client.base_url.netloc.decode()
    running = _start(data, listen)
    for _ in range(KILLS):
        _wait_until_up(client)
        time.sleep(chance.uniform(0.05, 0.4))
        running.kill()
        running.wait()
        running = _start(data, listen)
    return running


def _wait_until_up(client: httpx.Client) -> None:
    until = time.monotonic() + UP_S_MAX
    while time.monotonic() < until:
        try:
            client.get("/healthz")
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("ingest did not come up")


def _send(client: httpx.Client, number: int) -> int:
    """Sent again until it is answered, as shippers do; returns how often."""
    at = datetime.now(UTC).isoformat()
    rows = [
        {"timestamp": at, "client_address": "192.0.2.1", "method": "GET", "path": f"/{number}/{n}", "status": 200}
        for n in range(ROWS)
    ]
    for attempt in range(1, 1000):
        try:
            answer = client.post("/api/v1/ingest/web", json=rows, headers={"idempotency-key": f"b{number}"})
            if answer.status_code == 200:
                time.sleep(0.02)
                return attempt
            assert answer.status_code == 503, answer.text
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("never answered")


def test_the_blocks_count_what_is_in_the_log(tmp_path: Path) -> None:
    """However often ingest dies between publishing, marking and answering: each row is accepted once in the counts,
    as it is in the log; what was answered for and sent again is a duplicate."""
    with opened(tmp_path) as ingest:
        key = ingest.sources.add_key("web", ingest.clock.now()).key
    base, auth = f"http://127.0.0.1:{free_ports(1)[0]}", {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=base, headers=auth, timeout=5) as client, ThreadPoolExecutor(1) as sender:
        sending = sender.submit(lambda: sum(_send(client, number) for number in range(BODIES)))
        last = _kill_again_and_again(tmp_path, client)
        attempts = sending.result(UP_S_MAX)
    last.terminate()
    last.wait(UP_S_MAX)
    assert attempts > BODIES, "no kill came between"
    with opened(tmp_path) as ingest, ingest.engine.connect() as connection:
        query = sa.text("SELECT outcome, sum(count) FROM source_counts GROUP BY outcome")
        counted = {outcome: int(count) for outcome, count in connection.execute(query)}
        assert absorbed(ingest.log).height == BODIES * ROWS
        assert counted["accepted"] == BODIES * ROWS
        assert set(counted) <= {"accepted", "duplicates"}
