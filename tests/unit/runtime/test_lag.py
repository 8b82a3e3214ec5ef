"""Lag is what a group has not committed of what the log still has, seen from outside the group."""

from __future__ import annotations

from pathlib import Path

from services.runtime.lag import lag
from services.runtime.log import open_log
from services.runtime.log.interface import Consumer, Message, Record
from services.runtime.settings import Kafka
from services.runtime.topics import TOPICS

TOPIC = TOPICS["access-log"]


def test_lag_counts_what_is_not_committed(tmp_path: Path) -> None:
    """From the first record on, for a group that never read; 0 after the last commit."""
    log = open_log(f"sqlite:///{tmp_path}/events.db", Kafka())
    log.ensure_topics([TOPIC])
    assert lag(log, "stats", TOPIC.name) == 0
    log.send([Message(TOPIC.name, key=b"web", value=b"x") for _ in range(5)])
    assert lag(log, "stats", TOPIC.name) == 5
    consumer = log.consumer("stats", [TOPIC.name], "one")
    records = _all(consumer, 5)
    assert len(records) == 5
    consumer.commit(records[2].partition, records[2].offset + 1)
    assert lag(log, "stats", TOPIC.name) == 2
    assert lag(log, "enricher", TOPIC.name) == 5, "another group has its own"
    consumer.commit(records[4].partition, records[4].offset + 1)
    assert lag(log, "stats", TOPIC.name) == 0
    consumer.close()
    log.close()


def _all(consumer: Consumer, count: int) -> list[Record]:
    records: list[Record] = []
    while len(records) < count:
        for partition in consumer.take_assigned():
            consumer.resume(partition, 0)
        records += consumer.poll(100, 0.01)
    return records
