"""Runs the planes: each in a process of its own, so that none can reach another's keys or memory."""

from __future__ import annotations

import faulthandler
import importlib
import signal
import subprocess
import sys
import time
from collections.abc import Mapping

from services.runtime.alone import alone
from services.runtime.clock import SystemClock
from services.runtime.errors import Fatal
from services.runtime.logs import configure_logs, get_logger
from services.runtime.loops import patiently
from services.runtime.settings import Settings
from services.runtime.stop import DRAIN_S_MAX, Stop

__all__ = ["PLANES", "run_plane", "supervise"]

PLANES: Mapping[str, str] = {
    "ingest": "services.ingest.plane",
    "identity": "services.enricher.plane",
    "statistics": "services.stats.plane",
}
RESTARTS_MAX = 5  # within RESTART_WINDOW_S: more is no accident, and a loop would hide it
RESTART_WINDOW_S = 60.0
EXIT_FATAL = 2  # the plane said what to do next; starting it again cannot help


def run_plane(name: str, settings: Settings) -> None:
    """Blocks until SIGTERM or SIGINT."""
    configure_logs(name, settings.log_level)
    faulthandler.enable()  # a crash in native code says where it was: places in the code, no values
    faulthandler.register(signal.SIGUSR1)  # as does one that is asked while it runs
    stop = Stop().on_signals()
    plane = importlib.import_module(PLANES[name])
    patiently(lambda: plane.run(settings, SystemClock(), stop), stop)


def supervise(settings: Settings) -> None:
    """Start every plane and watch them until told to stop. Raises `Fatal` when one cannot run."""
    configure_logs("up", settings.log_level)
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    refusal = f"voile up already runs on {settings.data.absolute()}; stop it first, or set another `data`."
    with alone(settings.data / "up.lock", refusal):  # a second one would start what shares a folder, and then stop
        _watch(Stop().on_signals())


def _watch(stop: Stop) -> None:
    children = {name: _start(name) for name in PLANES}
    crashes: dict[str, list[float]] = {name: [] for name in PLANES}
    try:
        while not stop.wait(0.2):
            for name, child in children.items():
                if child.poll() is not None:
                    _refuse_hopeless(name, child.returncode, crashes[name])
                    get_logger().error("plane restarted", stage=name, status=child.returncode)
                    children[name] = _start(name)
    finally:
        _end(children)


def _start(name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "services.cli.main", "up", "--only", name])


def _refuse_hopeless(name: str, status: int, crashes: list[float]) -> None:
    now = time.monotonic()
    crashes[:] = [t for t in crashes if t > now - RESTART_WINDOW_S] + [now]
    if status == EXIT_FATAL:
        raise Fatal(f"The {name} plane cannot start; it said why above.")
    if len(crashes) > RESTARTS_MAX:
        raise Fatal(f"The {name} plane ended {len(crashes)} times within a minute; look at its log above.")


def _end(children: Mapping[str, subprocess.Popen[bytes]]) -> None:
    for child in children.values():
        child.terminate()
    deadline = time.monotonic() + DRAIN_S_MAX + 2
    for child in children.values():
        try:
            child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
