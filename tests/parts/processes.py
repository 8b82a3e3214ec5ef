"""Small helpers for parts that are processes."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket

__all__ = ["die_with_parent", "docker_is_there", "find_program", "free_ports"]

_PR_SET_PDEATHSIG = 1
_DOCKER_SOCKET = "/var/run/docker.sock"


def die_with_parent() -> None:
    """In the child, before it becomes the program: a test run that is killed leaves no server behind (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Held together while they are drawn, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def docker_is_there() -> bool:
    """An engine that this user may use; then shared servers run in containers."""
    return "DOCKER_HOST" in os.environ or os.access(_DOCKER_SOCKET, os.R_OK | os.W_OK)


def find_program(name: str) -> str | None:
    """Also where Debian puts servers, which is not on every PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin")
