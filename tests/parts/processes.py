"""Small helpers for parts that are processes."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import random
import shutil
import signal
import socket

__all__ = ["die_with_parent", "docker_is_there", "find_program", "free_ports"]

_PR_SET_PDEATHSIG = 1
_FIRST_PORT, _PORTS, _WORKERS = 20_000, 1_000, 12  # Linux gives out 32768 and above
_drawn = itertools.count(random.randrange(_PORTS))  # two runs at once rarely meet
_DOCKER_SOCKET = "/var/run/docker.sock"


def die_with_parent() -> None:
    """In the child, before it becomes the program: a test run that is killed leaves no server behind (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on. Below those the system gives to clients and servers that ask for any, and of
    this test process alone, so that nobody takes one between its drawing and its use."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    found: list[int] = []
    while len(found) < count:
        port = _FIRST_PORT + worker * _PORTS + next(_drawn) % _PORTS
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            found.append(port)
    return found


def docker_is_there() -> bool:
    """An engine that this user may use; then shared servers run in containers."""
    return "DOCKER_HOST" in os.environ or os.access(_DOCKER_SOCKET, os.R_OK | os.W_OK)


def find_program(name: str) -> str | None:
    """Also where Debian puts servers, which is not on every PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin")
