"""Members of the statistics' group, on one store: `python -m tests.faults.sharing_process DATA EVENTS [--without-ledger]`.

The embedded store is held by one process, so the members are threads of it; each has all that a process of its own
has on a store of several (clients, log, keys, what it follows). Told by lines: a name joins under it, and the name is
said when that member has stored its first batch; `die` is a kill -9 between the next batch and its commit; `all` waits
until everything in the log is stored, and says which member stored how many batches. It ends by being killed.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from services.runtime.clock import SystemClock
from services.runtime.logs import configure_logs
from services.runtime.settings import Settings
from services.stats.days.ledgers import end_offsets, wait_for_ledgers
from services.stats.service import open_statistics
from tests.parts.worker_process import die_at, forget_ledger

TURN_S = 0.2


class Member:
    """A worker with everything of its own, in a thread."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.name, self.batches = name, 0
        self.stored = threading.Event()
        self.statistics = open_statistics(settings, SystemClock())
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            worker = self.statistics.worker(self.name)
            while True:
                self.batches += worker.step(TURN_S)
                if self.batches:
                    self.stored.set()
                time.sleep(worker.delay_s)
        except BaseException:
            traceback.print_exc()
            os._exit(1)


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
            case "all":
                _wait_until_stored(members[0])
                print(json.dumps([(member.name, member.batches) for member in members]), flush=True)
            case name:
                members.append(Member(settings, name))
                members[-1].stored.wait()
                print(name, flush=True)


def _wait_until_stored(member: Member) -> None:
    statistics = member.statistics
    ends = end_offsets(statistics.log)
    wait_for_ledgers(statistics.reading, ends, statistics.clock, lambda: time.sleep(TURN_S))


if __name__ == "__main__":
    main(sys.argv[1:])
