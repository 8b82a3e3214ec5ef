"""Runs one plane with the moments around a write made long, so that a kill often falls into one of them.

python -m tests.faults.planes PLANE [--forgetful]

`--forgetful` takes the mechanism out: no plan is written or read, and a restart learns nothing from the ledger.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from services.cli.supervisor import run_plane
from services.runtime import consumer, recovery
from services.runtime.batches import Coverage
from services.runtime.consumer import PlannedConsumer
from services.runtime.plans import Plan
from services.runtime.settings import load_settings
from services.stats import writer
from services.stats.writer import EventWriter

PLANNED_S = 0.5  # between the plan and the write: a kill here leaves a plan to do again
UNCONFIRMED_S = 0.3  # between the write and the commit: a kill here leaves a batch that must not be written again


def planned_mark(data: Path, plane: str) -> Path:
    """Exists while a plan of that plane is open, so that a killer can aim."""
    return data / f"{plane}.planned"


def linger(mark: Path) -> None:
    """A batch stays planned, then stored and unconfirmed, for a while."""
    confirm, commit_plan = PlannedConsumer._confirm, PlannedConsumer._commit_plan

    def planned(self: PlannedConsumer, plan: Plan) -> None:
        commit_plan(self, plan)
        mark.touch()
        time.sleep(PLANNED_S)
        mark.unlink(missing_ok=True)

    def slowly(self: PlannedConsumer, plan: Plan) -> None:
        time.sleep(UNCONFIRMED_S)
        confirm(self, plan)

    PlannedConsumer._confirm = slowly  # type: ignore[method-assign]  # the test's replaced step
    PlannedConsumer._commit_plan = planned  # type: ignore[method-assign]


def forget() -> None:
    """Plans are not committed; the ledger is neither read at the start nor before a write."""

    def no_plan(_self: PlannedConsumer, _plan: Plan) -> None: ...

    def no_memory(self: EventWriter, topic_id: str, partition: Any) -> Sequence[tuple[int, int]]:
        self._stored[topic_id, partition] = writer._Stored(Coverage(), -1)
        return []

    def from_the_commit(note: Any, committed: Any, _ledger: Any, bounds: tuple[int, int]) -> recovery.Recovery:
        start = committed.offset if committed else bounds[0]
        return recovery.Recovery(None, [], [], start, start)

    PlannedConsumer._commit_plan = no_plan  # type: ignore[method-assign,assignment]
    EventWriter.ranges = no_memory  # type: ignore[method-assign]
    EventWriter._is_final = lambda _self, _plan: False  # type: ignore[method-assign,assignment]
    consumer.recover = from_the_commit  # type: ignore[attr-defined,assignment]


def main() -> None:
    plane, settings = sys.argv[1], load_settings()
    mark = planned_mark(settings.data, plane)
    mark.unlink(missing_ok=True)  # of the one that was killed
    linger(mark)
    if "--forgetful" in sys.argv:
        forget()
    run_plane(plane, settings)


if __name__ == "__main__":
    main()
