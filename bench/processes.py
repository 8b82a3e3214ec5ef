"""CPU seconds of processes that run on: from /proc, as `ps` reads it (Linux)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["cpu_s"]

_USER, _SYSTEM = 11, 12  # places in /proc/PID/stat after the name, see proc(5): utime and stime


def cpu_s(pids: Iterable[int]) -> float:
    """User + system of all their threads since each began."""
    return sum(_ticks(pid) for pid in pids) / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[_USER]) + int(fields[_SYSTEM])
