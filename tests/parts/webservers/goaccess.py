"""What GoAccess counts in a log file: requests and bytes by status."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

from tests.parts.processes import find_program

__all__ = ["Count", "Report", "goaccess"]

RUN_S_MAX = 60


class Count(NamedTuple):
    requests: int
    bytes: int


class Report(NamedTuple):
    """`failed`: lines that GoAccess could not read. `visitors`: by day, an address with a user agent each."""

    by_status: Mapping[int, Count]
    requests: int
    bytes: int
    failed: int
    visitors: Mapping[date, int]


def goaccess(log: Path, *arguments: str) -> Report:
    """`arguments` say how the lines look. Nothing of this machine's own configuration counts, nor is anything
    left out: it ignores no crawler, file or address unless told to."""
    done = subprocess.run(
        [str(find_program("goaccess")), str(log), "--no-global-config", "--output=json", "--no-progress", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=RUN_S_MAX,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return _report(json.loads(done.stdout))


def _report(said: Mapping[str, Mapping[str, int]]) -> Report:
    general = said["general"]
    return Report(
        _by_status(said["status_codes"]["data"]),  # type: ignore[arg-type]  # a list, as no other part is
        general["valid_requests"],
        general["bandwidth"],
        general["failed_requests"],
        {_date(row["data"]): _count(row["visitors"]) for row in said["visitors"]["data"]},  # type: ignore[attr-defined]
    )


def _by_status(classes: Sequence[Mapping[str, Sequence[Mapping[str, object]]]]) -> Mapping[int, Count]:
    """The panel has a row for each class, "2xx Success", and below it one for each status, "204 - No Content"."""
    rows = [row for group in classes for row in group["items"]]
    return {int(str(row["data"])[:3]): Count(_count(row["hits"]), _count(row["bytes"])) for row in rows}


def _date(text: object) -> date:
    return datetime.strptime(str(text), "%Y%m%d").replace(tzinfo=UTC).date()


def _count(cell: object) -> int:
    assert isinstance(cell, Mapping)
    return int(cell["count"])
