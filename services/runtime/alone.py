"""One process a folder: a lock that ends with the process, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from services.runtime.errors import Fatal

__all__ = ["alone"]


@contextlib.contextmanager
def alone(file: Path, refusal: str) -> Iterator[None]:
    """Holds the lock on `file`, made when it is missing. Raises `Fatal` with `refusal` when another process has it.

    Processes that are started meanwhile do not inherit it.
    """
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(handle, refusal)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, refusal: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Fatal(refusal) from None
