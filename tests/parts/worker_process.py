"""A statistics worker in a process of its own, for tests that kill it.

`python -m tests.parts.worker_process DATA [POINT] [--without-ledger]`: counts until the log is empty, prints
`ready` before and `done` after. POINT: kill -9 itself there, in its second batch.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from services.runtime.batches import Coverage
from services.runtime.clock import SystemClock
from services.runtime.logs import configure_logs
from services.runtime.settings import Settings
from services.stats.counting import writer
from services.stats.service import open_statistics

POINTS = ("before-insert", "after-insert", "after-look")
_SECOND = 2


def main(arguments: Sequence[str]) -> None:
    configure_logs("worker", "error")
    if "--without-ledger" in arguments:
        forget_ledger()
    for point in set(arguments) & set(POINTS):
        die_at(point)
    statistics = open_statistics(Settings(data=Path(arguments[0])), SystemClock())
    worker = statistics.worker("member")
    print("ready", flush=True)
    while worker.step(1.0):
        pass
    print("done", flush=True)
    worker.close()
    statistics.close()


def die_at(point: str, batch: int = _SECOND) -> None:
    """kill -9 itself at `point` of the `batch`th from now on."""
    Writer = writer.EventWriter
    if point == "after-look":
        _wrap(Writer, "_insert_verified", after=_killer(batch))
    else:
        kill = _killer(batch)
        insert = Writer._insert

        def deadly(self: Any, plan: Any, part: Any, token: str) -> bool:
            if point == "before-insert":
                kill()
            self._analytics.insert("events", part, {**writer.ONE_PART, "insert_deduplication_token": token})
            kill()
            return insert(self, plan, part, token)

        Writer._insert = deadly  # type: ignore[method-assign]


def forget_ledger() -> None:
    """The switch: what stands in the store is not asked for, nor guarded by the token."""
    writer.EventWriter.ranges = _no_ranges  # type: ignore[method-assign]
    writer.ONE_PART = {**writer.ONE_PART, "deduplicate_insert": "disable"}  # type: ignore[dict-item]
    writer.EventWriter._insert_verified = _insert_blindly  # type: ignore[method-assign]


def _no_ranges(self: Any, topic_id: str, partition: Any) -> list[tuple[int, int]]:
    self._stored[topic_id, partition] = writer._Stored(Coverage(), -1)
    return []


def _insert_blindly(self: Any, plan: Any, part: Any) -> None:
    self._analytics.insert("events", part, {**writer.ONE_PART, "insert_deduplication_token": os.urandom(8).hex()})


def _killer(batch: int) -> Callable[[], None]:
    calls = 0

    def kill() -> None:
        nonlocal calls
        calls += 1
        if calls == batch:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill


def _wrap(owner: type, name: str, after: Callable[[], None]) -> None:
    inner = getattr(owner, name)

    def wrapped(*arguments: Any) -> Any:
        result = inner(*arguments)
        after()
        return result

    setattr(owner, name, wrapped)


if __name__ == "__main__":
    main(sys.argv[1:])
