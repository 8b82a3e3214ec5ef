"""An embedded Voile in one folder, driven as its users drive it: by commands and HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from services.runtime.errors import Fatal, VoileError
from services.runtime.stop import DRAIN_S_MAX

__all__ = ["CommandFailed", "Installation"]

START_S_MAX = 60  # the ClickHouse engine alone takes a second or two
_PORTS: Mapping[str, int] = {"ingest": 8080, "statistics": 8081, "identity": 8082}
# The statistics and identity pages have two host names, so that a browser keeps their sessions apart.
_HOSTS: Mapping[str, str] = {"ingest": "127.0.0.1", "statistics": "localhost", "identity": "127.0.0.1"}
_KEPT_VARIABLES = ("VOILE_TRACEBACK", "VOILE_VENV")
_ERROR_TAIL = 2_000  # characters


class CommandFailed(VoileError):
    """A command of the demo ended with an error; the text is what it said."""


class Installation:
    """Made in `data` with a settings file of its own: neither ./voile.toml nor VOILE_* settings reach it."""

    def __init__(self, data: Path, any_ports: bool = False) -> None:
        self.data = data.absolute()
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.ports = {plane: _free_port(0 if any_ports else port) for plane, port in _PORTS.items()}
        self.config = self.data / "voile.toml"
        self.config.write_text(_settings(self.data, self.ports), encoding="utf-8")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("VOILE_") or k in _KEPT_VARIABLES}
        self._env = {**inherited, "VOILE_CONFIG": str(self.config)}

    def voile(self, *arguments: str) -> str:
        """One command's stdout. Raises `CommandFailed` with what it said."""
        done = subprocess.run(_command(arguments), env=self._env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = done.stderr.strip()[-_ERROR_TAIL:].removeprefix("voile: ")
            raise CommandFailed(f"voile {' '.join(arguments[:2])}: {said}")
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.voile(*arguments, "--json"))

    def url(self, plane: str, path: str = "") -> str:
        return f"http://{_HOSTS[plane]}:{self.ports[plane]}{path}"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """`voile up` while the block runs. Raises `Fatal` when it does not become ready."""
        log = self.data / "services.log"
        with log.open("ab") as stream:
            services = subprocess.Popen(_command(["up"]), env=self._env, stdout=stream, stderr=stream)
        try:
            self._wait_ready(services, log)
            yield
        finally:
            services.terminate()
            try:
                services.wait(DRAIN_S_MAX + 5)
            except subprocess.TimeoutExpired:
                services.kill()
                services.wait()

    def _wait_ready(self, services: subprocess.Popen[bytes], log: Path) -> None:
        deadline = time.monotonic() + START_S_MAX
        waiting = list(_PORTS)
        while waiting:
            if services.poll() is not None or time.monotonic() > deadline:
                raise Fatal(
                    f"The services did not start; they said:\n{log.read_text('utf-8', 'replace')[-_ERROR_TAIL:]}"
                )
            waiting = [plane for plane in waiting if not self._is_ready(plane)]
            time.sleep(0.1)

    def _is_ready(self, plane: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[plane]}/readyz", timeout=2):
                return True
        except OSError:
            return False


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "services.cli.main", *arguments]


def _free_port(wanted: int) -> int:
    """`wanted` when nobody has it, else any."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Fatal("No port is free on 127.0.0.1; stop a service and try again.")


def _settings(data: Path, ports: Mapping[str, int]) -> str:
    planes = "".join(f'\n[{plane}]\nlisten = "127.0.0.1:{port}"\n' for plane, port in sorted(ports.items()))
    return f"# Written by voile demo; it is written again at each start.\ndata = {json.dumps(str(data))}\n{planes}"
