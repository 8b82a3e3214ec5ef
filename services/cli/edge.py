"""What ingest's commands share: its resources, opened for one command."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.ingest.service import Ingest

__all__ = ["loading", "naming", "opened"]


@contextlib.contextmanager
def opened() -> Iterator[Ingest]:
    from services.cli import common

    with loading():
        from services.ingest.service import open_ingest

    ingest = open_ingest(common.settings(), common.clock())
    try:
        yield ingest
    finally:
        ingest.close()


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Loading makes many objects that all stay: looking through them again and again is a sixth of the start."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextlib.contextmanager
def naming(file: str) -> Iterator[None]:
    """What is wrong with a file is said with its name, ready to paste. Raises `Unreadable`."""
    from shlex import quote

    from services.ingest.receivers.packing import Unreadable

    try:
        yield
    except Unreadable as error:
        name, why = ("Standard input", str(error)) if file == "-" else (file, str(error).replace("FILE", quote(file)))
        raise Unreadable(f"{name}: {why}") from None
