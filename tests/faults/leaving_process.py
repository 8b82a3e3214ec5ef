"""Joins a group and leaves it again, at many moments: `python -m tests.faults.leaving_process KAFKA_URL TOPIC [--hasty]`.

Prints a line each time. `--hasty` takes out the step that ends the joining before the client is closed; then an
assignment that comes meanwhile blocks the process.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid

from services.runtime.clock import SystemClock
from services.runtime.log import kafka_group, open_log
from services.runtime.log.interface import Consumer, EventLog
from services.runtime.settings import Kafka

MOMENTS = 60  # around the one at which the assignment comes


def main(url: str, topic: str, *flags: str) -> None:
    if "--hasty" in flags:
        kafka_group._stop_joining = lambda client: None  # the replaced step
    log = open_log(url, Kafka(), SystemClock())
    join_s = min(_join_s(log, topic) for _ in range(3))
    for moment in range(MOMENTS):
        member = _member(log, topic)
        time.sleep(join_s * (0.6 + 0.8 * moment / MOMENTS))
        leaving = threading.Thread(target=member.close)  # as in a service, whose main thread waits
        leaving.start()
        leaving.join()
        print("left", flush=True)
    log.close()


def _member(log: EventLog, topic: str) -> Consumer:
    member = log.consumer(f"group-{uuid.uuid4().hex[:8]}", [topic], "m1")
    member.take_assigned()
    return member


def _join_s(log: EventLog, topic: str) -> float:
    member, begun = _member(log, topic), time.monotonic()
    while not member.take_assigned():
        time.sleep(0.002)
    taken_s = time.monotonic() - begun
    member.close()
    return taken_s


if __name__ == "__main__":
    main(*sys.argv[1:])
