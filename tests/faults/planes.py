"""Runs one plane with the moments around a write made long, so that a kill often falls into one of them.

python -m tests.faults.planes PLANE [--planless | --forgetful]

A batch with a deadly line ends the statistics worker, as a defect of a native library would.
`--planless` takes the plan step out: none is written. `--forgetful` takes the ledger out as well: a restart learns
nothing from it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from services.cli.supervisor import run_plane
from services.runtime import consumer, recovery
from services.runtime.batches import Coverage
from services.runtime.consumer import PlannedConsumer
from services.runtime.log.interface import Record
from services.runtime.plans import Plan
from services.runtime.settings import load_settings
from services.stats.counting import writer
from services.stats.counting.writer import EventWriter

PLANNED_S = 0.5  # between the plan and the write: a kill here leaves a plan to do again
DEADLY = "/deadly"  # a line with such a path ends the statistics worker
UNCONFIRMED_S = 0.3  # between the write and the commit: a kill here leaves a batch that must not be written again


def mark_of(data: Path, plane: str, moment: str) -> Path:
    """Exists while the plane is at that moment (`planned` or `unconfirmed`), so that a killer can aim."""
    return data / f"{plane}.{moment}"


def linger(data: Path, plane: str) -> None:
    """A batch stays planned, then stored and unconfirmed, for a while."""
    confirm, commit_plan = PlannedConsumer._confirm, PlannedConsumer._commit_plan

    def planned(self: PlannedConsumer, plan: Plan) -> None:
        commit_plan(self, plan)
        _stay(mark_of(data, plane, "planned"), PLANNED_S)

    def slowly(self: PlannedConsumer, plan: Plan) -> None:
        _stay(mark_of(data, plane, "unconfirmed"), UNCONFIRMED_S)
        confirm(self, plan)

    PlannedConsumer._confirm = slowly  # type: ignore[method-assign]  # the test's replaced step
    PlannedConsumer._commit_plan = planned  # type: ignore[method-assign]


def _stay(mark: Path, seconds: float) -> None:
    mark.touch()
    time.sleep(seconds)
    mark.unlink(missing_ok=True)


def die_of(path: str) -> None:
    """No exception and no clean-up: only what the plan says tells the next process that this one has tried."""
    prepare = EventWriter._prepare

    def prepared(self: EventWriter, plan: Plan, records: Sequence[Record]) -> writer._Prepared:
        if any(batch.frame["path"].str.starts_with(path).any() for batch in self._decoded(records)):
            os.kill(os.getpid(), signal.SIGKILL)
        return prepare(self, plan, records)

    EventWriter._prepare = prepared  # type: ignore[method-assign]  # the test's replaced step


def plan_nothing() -> None:
    """Plans are not committed."""

    def no_plan(_self: PlannedConsumer, _plan: Plan) -> None: ...

    PlannedConsumer._commit_plan = no_plan  # type: ignore[method-assign,assignment]


def forget() -> None:
    """The ledger is neither read at the start nor before a write."""

    def no_memory(self: EventWriter, topic_id: str, partition: Any) -> Sequence[tuple[int, int]]:
        self._stored[topic_id, partition] = writer._Stored(Coverage(), -1)
        return []

    def from_the_commit(note: Any, committed: Any, _ledger: Any, bounds: tuple[int, int]) -> recovery.Recovery:
        start = committed.offset if committed else bounds[0]
        return recovery.Recovery(None, [], [], start, start)

    EventWriter.ranges = no_memory  # type: ignore[method-assign]
    EventWriter._is_final = lambda _self, _plan: False  # type: ignore[method-assign,assignment]
    consumer.recover = from_the_commit  # type: ignore[attr-defined,assignment]


def main() -> None:
    plane, settings = sys.argv[1], load_settings()
    for moment in ("planned", "unconfirmed"):
        mark_of(settings.data, plane, moment).unlink(missing_ok=True)  # of the one that was killed
    linger(settings.data, plane)
    die_of(DEADLY)
    if {"--planless", "--forgetful"} & set(sys.argv):
        plan_nothing()
    if "--forgetful" in sys.argv:
        forget()
    run_plane(plane, settings)


if __name__ == "__main__":
    main()
