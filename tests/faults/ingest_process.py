"""Runs ingest alone, from settings in the environment, with a step of the spool replaced when asked to.

python -m tests.faults.ingest_process [--forgetful | --hasty | --trusting]

`--forgetful`: a start deletes what its predecessor spooled. `--hasty`: the answer comes before the write.
`--trusting`: an error of the disk is not looked at.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from services.cli.supervisor import run_plane
from services.ingest.spool import Spool
from services.runtime.log.interface import Message
from services.runtime.settings import load_settings

HASTE_S = 2.0


def forgetful() -> None:
    take_over = Spool._take_over

    def forget(self: Spool, path: Path) -> int:
        path.write_bytes(b"")
        return take_over(self, path)

    Spool._take_over = forget  # type: ignore[method-assign]  # the test's replaced step


def hasty() -> None:
    append = Spool.append

    def later(self: Spool, messages: Sequence[Message]) -> None:
        timer = threading.Timer(HASTE_S, append, (self, messages))
        timer.daemon = True
        timer.start()

    Spool.append = later  # type: ignore[method-assign]


def trusting() -> None:
    write = Spool._write

    def ignore(self: Spool, record: bytes) -> None:
        with contextlib.suppress(OSError):
            write(self, record)

    Spool._write = ignore  # type: ignore[method-assign]


def main() -> None:
    for flag in sys.argv[1:]:
        {"--forgetful": forgetful, "--hasty": hasty, "--trusting": trusting}[flag]()
    run_plane("ingest", load_settings())


if __name__ == "__main__":
    main()
