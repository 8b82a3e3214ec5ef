"""Members of the statistics' group, on one store: `python -m tests.faults.sharing_process DATA EVENTS [--without-ledger]`.

The embedded store is held by one process, so the members are threads of it; each has all that a process of its own
has on a store of several (clients, log, keys, what it follows). Told by lines: a name joins under it, and the name is
said when that member has stored its first batch; `die` is a kill -9 between the next batch and its commit; `end` waits
until everything in the log is stored, and says which member stored how many batches.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from services.runtime.clock import SystemClock
from services.runtime.logs import configure_logs
from services.runtime.settings import Settings
from services.stats.ledgers import end_offsets, wait_for_ledgers
from services.stats.service import open_statistics
from tests.parts.worker_process import die_at, forget_ledger

TURN_S = 0.2


class Member:
    """A worker with everything of its own, in a thread."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.name, self.batches = name, 0
        self._stop, self.stored = threading.Event(), threading.Event()
        self.statistics = open_statistics(settings, SystemClock())
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            worker = self.statistics.worker(self.name)
            while not self._stop.is_set():
                self.batches += worker.step(TURN_S)
                if self.batches:
                    self.stored.set()
                time.sleep(worker.delay_s)
            worker.close()
        except BaseException:
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
            os._exit(1)

    def end(self) -> None:
        self._stop.set()
        self._thread.join()
        self.statistics.close()


def main(arguments: Sequence[str]) -> None:
    configure_logs("worker", "error")
    if "--without-ledger" in arguments:
        forget_ledger()
    settings = Settings(data=Path(arguments[0]), events=arguments[1])
    members: list[Member] = []
    for line in sys.stdin:
        match line.strip():
            case "die":
                die_at("after-look", batch=1)
            case "end":
                _wait_until_stored(members[0])
                break
            case name:
                members.append(Member(settings, name))
                members[-1].stored.wait()
                print(name, flush=True)
    for member in members:
        member.end()
    print(json.dumps([(member.name, member.batches) for member in members]), flush=True)


def _wait_until_stored(member: Member) -> None:
    statistics = member.statistics
    ends = end_offsets(statistics.log)
    wait_for_ledgers(statistics.reading, ends, statistics.clock, lambda: time.sleep(TURN_S))


if __name__ == "__main__":
    main(sys.argv[1:])
