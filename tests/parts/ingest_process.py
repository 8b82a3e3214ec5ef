"""An ingest process that can be killed, and shippers that keep to the contract with senders."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.ingest.service import open_ingest
from services.ingest.sources import Source
from services.runtime.clock import SystemClock
from services.runtime.settings import load_settings
from tests.parts.edge import register
from tests.parts.processes import die_with_parent, free_ports

__all__ = ["IngestProcess", "Shipper", "shipping"]

START_S_MAX = 60
TRY_S_MAX = 120


class IngestProcess:
    """`settings` are VOILE_* variables. Made once with the tenant `acme` and its source `web` (combined)."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        (self.port,) = free_ports(1)
        self._folder = folder
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("VOILE_")}
        own = {"VOILE_DATA": str(folder / "data"), "VOILE_INGEST__LISTEN": f"127.0.0.1:{self.port}"}
        self.env = {**inherited, **own, **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self.key = self._declare()

    def start(self, *flags: str) -> None:
        """Returns when it answers at all; it may still be without its log."""
        with (self._folder / "ingest.log").open("ab") as log:
            command = [sys.executable, "-m", "tests.faults.ingest_process", *flags]
            self._process = subprocess.Popen(command, env=self.env, stdout=log, stderr=log, preexec_fn=die_with_parent)  # noqa: PLW1509
        deadline = time.monotonic() + START_S_MAX
        while self.get("/healthz") is None:
            assert self._process.poll() is None, (self._folder / "ingest.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "ingest does not start"
            time.sleep(0.05)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    @contextlib.contextmanager
    def running(self, *flags: str) -> Iterator[None]:
        self.start(*flags)
        try:
            yield
        except BaseException:
            print((self._folder / "ingest.log").read_text()[-3000:])
            raise
        finally:
            self.kill()

    def get(self, path: str) -> str | None:
        """None without a 200."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as answer:
                return str(answer.read().decode())
        except (OSError, http.client.HTTPException):
            return None

    def metric(self, name: str) -> float:
        """The sum over its labels; 0 while the process does not answer."""
        found = re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", self.get("/metrics") or "", re.MULTILINE)
        return sum(float(value) for value in found)

    def memory_mb(self) -> float:
        """Its proportional set size."""
        assert self._process is not None
        rollup = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Pss: +(\d+) kB$", rollup, re.MULTILINE)[1]) / 1024  # type: ignore[index]

    def _end(self, number: int) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(30)

    def _declare(self) -> str:
        settings = load_settings(env=self.env)
        ingest = open_ingest(settings, SystemClock())
        try:
            register(ingest.log, "acme", "active")
            return ingest.add_source(Source("web", "acme", "combined")).key
        finally:
            ingest.close()


class Shipper:
    """One body at a time, the same again until there is a 200; waits when it is told to, but not as long."""

    def __init__(self, ingest: IngestProcess, name: str, lines_a_body: int = 200, pause_s: float = 0.02) -> None:
        self._ingest, self._name, self._lines, self._pause_s = ingest, name, lines_a_body, pause_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.taken = 0  # lines that got a 200: /NAME/0 to /NAME/(taken - 1)
        self.told_to_wait = 0  # 503 with Retry-After
        self.slowest_s = 0.0  # to a 200, of one attempt
        self.error: BaseException | None = None

    @property
    def paths(self) -> list[str]:
        return [f"/{self._name}/{n}" for n in range(self.taken)]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """The body under way is sent until there is a 200."""
        self._stopping.set()

    def join(self) -> None:
        self._thread.join(TRY_S_MAX + 30)
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._ship(self._body())
                self.taken += self._lines
                time.sleep(self._pause_s)
        except BaseException as error:
            self.error = error

    def _body(self) -> bytes:
        stamp = (datetime.now(UTC) - timedelta(minutes=5)).strftime("%d/%b/%Y:%H:%M:%S +0000")
        line = f'192.0.2.1 - - [{stamp}] "GET /{self._name}/%d HTTP/1.1" 200 5 "-" "Mozilla/5.0 (X11; Linux x86_64)"\n'
        return "".join([line % n for n in range(self.taken, self.taken + self._lines)]).encode()

    def _ship(self, body: bytes) -> None:
        deadline = time.monotonic() + TRY_S_MAX
        while (status := self._post(body)) != 200:
            assert status in {0, 503}, f"no shipper expects a {status} here"
            assert time.monotonic() < deadline, "no 200 for too long"
            time.sleep(0.1)

    def _post(self, body: bytes) -> int:
        """0 when the process is being killed or started."""
        headers = {"Authorization": f"Bearer {self._ingest.key}", "Content-Type": "text/plain"}
        headers["Idempotency-Key"] = f"{self._name}-{self.taken}"
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self._ingest.port, timeout=15)
        try:
            connection.request("POST", "/api/v1/ingest/web", body, headers)
            answer = connection.getresponse()
            told = json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()
        if answer.status == 200:
            assert told["accepted"] + told["duplicates"] == self._lines, told
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        elif answer.status == 503:
            assert int(answer.headers["Retry-After"]) > 0
            self.told_to_wait += 1
        return answer.status


@contextlib.contextmanager
def shipping(ingest: IngestProcess, count: int = 2) -> Iterator[list[Shipper]]:
    """They are stopped at the end of the block, and then waited for."""
    shippers = [Shipper(ingest, name) for name in "abcdefgh"[:count]]
    for shipper in shippers:
        shipper.start()
    try:
        yield shippers
    finally:
        for shipper in shippers:
            shipper.stop()
        for shipper in shippers:
            shipper.join()
