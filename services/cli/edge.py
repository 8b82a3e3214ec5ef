"""What ingest's commands share: its resources, opened for one command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.ingest.service import Ingest

__all__ = ["opened"]


@contextlib.contextmanager
def opened() -> Iterator[Ingest]:
    from services.cli import common
    from services.ingest.service import open_ingest

    ingest = open_ingest(common.settings(), common.clock())
    try:
        yield ingest
    finally:
        ingest.close()
