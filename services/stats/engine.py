"""What the statistics store says when it fails stays inside: its texts may quote values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from clickhouse_connect.driver.exceptions import ClickHouseError

from services.runtime.errors import Transient

__all__ = ["engine_errors"]


@contextmanager
def engine_errors() -> Iterator[None]:
    """Any failure of the engine becomes `Transient`: everything done with it can be done again."""
    try:
        yield
    except ClickHouseError as error:
        raise Transient(f"The statistics store does not answer ({type(error).__name__}); look at its disk.") from None
