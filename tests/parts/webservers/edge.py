"""Ingest as `voile up` starts it, with sources that get their lines by syslog or from files."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from services.runtime.log import open_log
from services.runtime.settings import Kafka
from tests.e2e.installation import Installation
from tests.parts.edge import absorbed

__all__ = ["TENANT", "Edge", "running_edge"]

TENANT = "chess-club"
TAKEN_S_MAX = 60
_LOOK_S = 0.2


class Edge:
    """Its sources are of the tenant `TENANT`."""

    def __init__(self, made: Installation) -> None:
        self.made = made

    def rows(self, source: str) -> pl.DataFrame:
        """What was accepted, each line once: columns of AccessLog."""
        with contextlib.closing(open_log(f"sqlite:///{self.made.data}/events.db", Kafka())) as log:
            return absorbed(log).filter(source=source)

    def until_taken(self, source: str, count: int) -> pl.DataFrame:
        """Its rows, when there are `count`; more are for the caller to find."""
        deadline = time.monotonic() + TAKEN_S_MAX
        while (rows := self.rows(source)).height < count:
            assert time.monotonic() < deadline, f"{source}: {rows.height} of {count} lines"
            time.sleep(_LOOK_S)
        return rows


@contextlib.contextmanager
def running_edge(folder: Path, config: str, declare: Sequence[Sequence[str]]) -> Iterator[Edge]:
    """`config`: a voile.toml; `declare`: commands that add the sources of the tenant."""
    file = folder / "voile.toml"
    file.write_text(config)
    made = Installation(folder, {"VOILE_CONFIG": str(file)})
    tenant = ["tenant", "add", TENANT, "--name", "Chess Club", "--host", "www.chess.example"]
    made.each([["db", "upgrade"], tenant, *declare], at_once=1)
    with made.running("ingest"):
        yield Edge(made)
