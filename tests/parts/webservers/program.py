"""A server as a process of a test's own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.parts.processes import die_with_parent, find_program

__all__ = ["FILES", "MODIFIED", "lay_out", "serving"]

START_S_MAX = 20
STOP_S_MAX = 15
MODIFIED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)  # of every file
FILES = {f"page-{n}.txt": n * 997 % 20_011 for n in range(40)} | {"index.html": 20, "café.txt": 321}  # bytes


def lay_out(root: Path) -> Path:
    """The document root, with files of many sizes."""
    root.mkdir(parents=True, exist_ok=True)
    for name, size in FILES.items():
        (root / name).write_bytes(b"x" * size)
        os.utime(root / name, (MODIFIED.timestamp(),) * 2)
    return root


@contextlib.contextmanager
def serving(
    command: Sequence[str | Path],
    port: int,
    *,
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
    out: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `command` (in `folder`) until it listens on `port`, and stops it, which lets it write its log to the end.
    `out`: where its standard output and errors go."""
    program = str(find_program(str(command[0])) or command[0])
    with out.open("ab") if out else contextlib.nullcontext() as stream:
        process = subprocess.Popen(
            [program, *map(str, command[1:])],
            env=env,
            cwd=folder,
            stdout=stream,
            stderr=stream,
            preexec_fn=die_with_parent,  # noqa: PLW1509  # no threads are running yet that could hold a lock
        )
    try:
        _wait_for(port, process, out)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], out: Path | None) -> None:
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!s} did not start: {out.read_text()[-2000:] if out else ''}")
