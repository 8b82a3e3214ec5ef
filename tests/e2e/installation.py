"""One whole installation of Voile in a temporary folder, driven by its command line alone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.parts.processes import free_ports

__all__ = ["Installation"]

COMMAND_S_MAX = 120
COMMANDS_AT_ONCE = 4  # most of a command's time on servers is waiting for their answers
CATCH_UP_S_MAX = 120  # a suite shares the machine


class Installation:
    """`settings` are VOILE_* variables over the embedded defaults (stores of another profile, for example)."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.ports = dict(zip(("ingest", "identity", "statistics"), free_ports(3), strict=True))
        self.logs = folder / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        listens = {f"VOILE_{p.upper()}__LISTEN": f"127.0.0.1:{port}" for p, port in self.ports.items()}
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("VOILE_")}
        self.env = {**inherited, "VOILE_DATA": str(self.data), "NO_COLOR": "1", **listens, **(settings or {})}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        # How a plane is started: words before its name, and after it. A fault test puts its own in.
        self.runner: tuple[tuple[str, ...], tuple[str, ...]] = (
            (sys.executable, "-m", "services.cli.main", "up", "--only"),
            (),
        )

    def voile(self, *arguments: str, expect: int = 0, stdin: bytes | None = None) -> str:
        """Run one command; its stdout. Fails the test when the exit code is not `expect`."""
        try:
            done = subprocess.run(
                [sys.executable, "-m", "services.cli.main", *arguments],
                env=self.env,
                input=stdin,
                capture_output=True,
                check=False,
                timeout=COMMAND_S_MAX,
            )
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"voile {arguments} does not end\n{self.where_they_are()}") from error
        with (self.logs / "commands.log").open("ab") as log:
            log.write(done.stdout + done.stderr)
        assert done.returncode == expect, f"voile {arguments} ended with {done.returncode}: {done.stderr.decode()}"
        return done.stdout.decode()

    def each(self, commands: Sequence[Sequence[str]], expect: int = 0, *, at_once: int = COMMANDS_AT_ONCE) -> None:
        """As `voile`, for many commands, some `at_once` (1: one after the other): see `tests.e2e.commands`."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.e2e.commands", str(at_once)],
            env=self.env,
            input=json.dumps(commands).encode(),
            capture_output=True,
            check=True,
            timeout=COMMAND_S_MAX + 2 * len(commands),
        )
        with (self.logs / "commands.log").open("ab") as log:
            log.write(done.stdout + done.stderr)
        codes = json.loads(done.stdout.splitlines()[-1])
        wrong = [(*command, code) for command, code in zip(commands, codes, strict=True) if code != expect]
        assert not wrong, f"{wrong[:3]}: {done.stderr.decode()[-2000:]}"

    def json(self, *arguments: str) -> Any:
        return json.loads(self.voile(*arguments, "--json"))

    def start(self, *planes: str) -> None:
        """Start the named planes (default: all three), each as the process `voile up` would start."""
        for plane in planes or tuple(self.ports):
            log = (self.logs / f"{plane}.log").open("ab")
            before, after = self.runner
            command = [*before, plane, *after]
            self.processes[plane] = subprocess.Popen(command, env=self.env, stdout=log, stderr=log)
            log.close()
        for plane in planes or tuple(self.ports):
            self._wait_ready(plane)

    def kill(self, plane: str) -> None:
        """kill -9, and nothing else."""
        process = self.processes.pop(plane)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for plane, process in self.processes.items():
            assert process.wait(20) == 0, f"{plane} did not stop cleanly: {self.log_of(plane)[-2000:]}"
        self.processes.clear()

    @contextlib.contextmanager
    def running(self, *planes: str) -> Iterator[Installation]:
        """The named planes (default: all three)."""
        try:
            self.start(*planes)
            yield self
        finally:
            for process in self.processes.values():
                process.terminate()
            for process in self.processes.values():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(20)
                process.kill()
                process.wait()
            self.processes.clear()

    def log_of(self, plane: str) -> str:
        return (self.logs / f"{plane}.log").read_text(errors="replace")

    def where_they_are(self) -> str:
        """Each plane's threads, and what it logged last."""
        for process in self.processes.values():
            process.send_signal(signal.SIGUSR1)
        time.sleep(1)
        return "\n".join(f"{plane}: {self.log_of(plane)[-6000:]}" for plane in self.processes)

    def url(self, plane: str, path: str = "") -> str:
        return f"http://127.0.0.1:{self.ports[plane]}{path}"

    def catch_up(self) -> None:
        """Wait until the enricher and the statistics worker have read everything that was accepted."""
        deadline = time.monotonic() + CATCH_UP_S_MAX
        while time.monotonic() < deadline:
            if (lags := self.lags()) == [0, 0]:
                return
            time.sleep(0.3)
        raise AssertionError(f"still behind: enricher {lags[0]}, statistics {lags[1]} records")

    def lags(self) -> list[int]:
        """How many records the enricher and the statistics worker have not read."""
        return [self.json(plane, "status")["lag"] for plane in ("enricher", "stats")]

    def _wait_ready(self, plane: str) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.processes[plane].poll() is not None:
                raise AssertionError(f"{plane} ended at its start: {self.log_of(plane)[-2000:]}")
            with contextlib.suppress(OSError), urllib.request.urlopen(self.url(plane, "/readyz"), timeout=2):
                return
            time.sleep(0.1)
        raise AssertionError(f"{plane} is not ready after 30 s: {self.log_of(plane)[-2000:]}")
