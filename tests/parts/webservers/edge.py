"""Ingest as `voile up` starts it, with sources that get their lines by syslog or from files."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from services.runtime.log import open_log
from services.runtime.settings import Kafka
from tests.e2e.installation import Installation
from tests.parts.edge import absorbed
from tests.parts.processes import free_ports

__all__ = ["TENANT", "Edge", "running_edge"]

TENANT = "chess-club"
TAKEN_S_MAX = 60
_LOOK_S = 0.2


class Edge:
    """`ports`: where the sources listen that get syslog."""

    def __init__(self, made: Installation, ports: Mapping[str, int]) -> None:
        self.made, self.ports = made, ports

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
def running_edge(folder: Path, syslog: Sequence[str], sources: Sequence[Sequence[str]]) -> Iterator[Edge]:
    """`syslog`: sources that listen; `sources`: the arguments of `voile source add`, without the tenant."""
    ports = dict(zip(syslog, free_ports(len(syslog)), strict=True))
    listening = ", ".join(f"{source}@127.0.0.1:{port}" for source, port in ports.items())
    made = Installation(folder, {"VOILE_INGEST__SYSLOG": f"[{listening}]"})
    made.each(
        [
            ["db", "upgrade"],
            ["tenant", "add", TENANT, "--name", "Chess Club", "--host", "www.chess.example"],
            *(["source", "add", *words, "--tenant", TENANT] for words in sources),
        ]
    )
    with made.running("ingest"):
        yield Edge(made, ports)
