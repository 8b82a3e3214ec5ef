"""The event log in one SQLite file, for one machine: several processes append, poll and commit at once.

Named decisions: one partition a topic (one machine has one reader a group; order is simplest to trust),
one exclusive lease a group in place of rebalancing, the append time is the log's, and a batch of
messages is one transaction, so one fsync.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from services.runtime.clock import Clock
from services.runtime.errors import Fatal, Transient, VoileError
from services.runtime.log.embedded_file import LogFile, TopicRow, pack
from services.runtime.log.embedded_group import EmbeddedConsumer, EmbeddedFollower
from services.runtime.log.interface import (
    Committed,
    Consumer,
    Follower,
    Message,
    Partition,
    refuse_too_large,
)
from services.runtime.log.sqlite_file import BUSY_S
from services.runtime.topics import Topic

__all__ = ["EmbeddedLog"]

TOMBSTONES_KEPT = timedelta(days=1)  # every follower has read a tombstone by then (Kafka's default too)
DELETE_ROWS = 200  # one turn of retention; at 0.9 MB a message still under a second, so ingest never waits long
PAUSE_S = 0.05  # between two turns; SQLite's waiters look again every 1 to 100 ms and must find a free moment
VACUUM_PAGES = 2_000  # 8 MB given back to the file system in one turn
FREE_BYTES_MIN = 64 * 1024 * 1024  # below this the next batches and their write-ahead log may not fit
READY_BUSY_S = 1.0  # an answer to /readyz must be quick


class EmbeddedLog:
    """`EventLog` on one file. Every consumer and follower has a connection of its own."""

    def __init__(self, path: Path, clock: Clock, *, busy_s: float = BUSY_S) -> None:
        self._path, self._clock, self._busy_s = path, clock, busy_s
        self._lock = threading.Lock()  # one writer a process; SQLite lets one write a file anyway
        self._file = LogFile(path, busy_s=busy_s)

    def ensure_topics(self, topics: Sequence[Topic]) -> None:
        with self._lock, self._file.transaction():
            for topic in topics:
                self._ensure(topic)

    def topic_id(self, topic: str) -> str:
        with self._lock:
            return self._file.topic(topic).uuid

    def partitions(self, topic: str) -> Sequence[Partition]:
        return (Partition(topic, 0),)

    def offsets(self, partition: Partition) -> tuple[int, int]:
        with self._lock:
            row = self._file.topic(partition.topic)
        return row.first_offset, row.next_offset

    def oldest(self, topic: str) -> datetime | None:
        with self._lock:
            found = self._file.rows("oldest", topic=self._file.topic(topic).number, count=1)
        return datetime.fromtimestamp(found[0][1] / 1000, UTC) if found else None

    def send(self, messages: Sequence[Message], timeout_s: float = 10.0) -> Sequence[tuple[Partition, int]]:
        refuse_too_large(messages)
        packed = [pack(message) for message in messages]  # outside the lock: this is the processor's work
        if not self._lock.acquire(timeout=timeout_s):
            raise Transient("The event log is busy; try again.")
        try:
            self._file.pragma(f"busy_timeout = {int(timeout_s * 1000)}")
            with self._file.transaction():
                return self._append(messages, packed)
        finally:
            self._lock.release()

    def consumer(self, group: str, topics: Sequence[str], member: str) -> Consumer:
        return EmbeddedConsumer(LogFile(self._path, busy_s=self._busy_s), group, topics, member, self._clock)

    def follower(self, topics: Sequence[str]) -> Follower:
        return EmbeddedFollower(LogFile(self._path, busy_s=self._busy_s), topics)

    def apply_retention(self, topics: Sequence[Topic]) -> None:
        """In turns of `DELETE_ROWS`, so that writers wait for a turn and never for the whole work."""
        deleted = sum(self._compact(t) if t.compacted else self._expire(t) for t in topics)
        if deleted:
            self._give_back()

    def group_offset(self, group: str, partition: Partition) -> Committed | None:
        with self._lock:
            return self._file.committed(group, partition.topic)

    def ready(self) -> bool:
        """Writes and syncs one row: a full, read-only or locked disk shows here before it hurts."""
        try:
            if not self._path.exists() or _free_bytes(self._path) < FREE_BYTES_MIN:
                return False
            probe = LogFile(self._path, busy_s=READY_BUSY_S)
            try:
                with probe.transaction():
                    probe.change("probe", at_ms=self._now_ms())
            finally:
                probe.close()
        except (VoileError, OSError):
            return False
        return True

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def _ensure(self, topic: Topic) -> None:
        found = self._file.row("topic", name=topic.name)
        if found is None:
            self._file.change("add_topic", name=topic.name, uuid=str(uuid.uuid4()), compacted=topic.compacted)
        elif bool(TopicRow(*found).compacted) != topic.compacted:
            raise Fatal(
                f"The topic {topic.name} was made with another clean-up policy (compacted: {not topic.compacted}); "
                "finish reading it, then move the event log's file away and start again."
            )

    def _append(self, messages: Sequence[Message], packed: Sequence[Mapping[str, Any]]) -> list[tuple[Partition, int]]:
        now_ms = self._now_ms()
        topics = {name: self._file.topic(name) for name in dict.fromkeys(m.topic for m in messages)}
        following = {name: topic.next_offset for name, topic in topics.items()}
        rows, places = [], []
        for message, columns in zip(messages, packed, strict=True):
            topic, offset = topics[message.topic], following[message.topic]
            append_ms = max(now_ms, topic.last_append_ms)
            rows.append({**columns, "topic": topic.number, "log_offset": offset, "append_ms": append_ms})
            places.append((Partition(message.topic, 0), offset))
            following[message.topic] = offset + 1
        self._file.change_many("append", rows)
        for name, topic in topics.items():
            append_ms = max(now_ms, topic.last_append_ms)
            self._file.change("advance_topic", topic=topic.number, next_offset=following[name], append_ms=append_ms)
        return places

    def _expire(self, topic: Topic) -> int:
        """Delete the oldest messages up to the first that is still within its term."""
        cutoff_ms = self._now_ms() - (topic.kept_hours or 0) * 3_600_000
        deleted = 0
        while turn := self._expire_turn(topic.name, cutoff_ms):
            deleted += turn
            time.sleep(PAUSE_S)
        return deleted

    def _expire_turn(self, name: str, cutoff_ms: int) -> int:
        with self._lock, self._file.transaction():
            number = self._file.topic(name).number
            oldest = self._file.rows("oldest", topic=number, count=DELETE_ROWS)
            over = [offset for offset, append_ms in oldest if append_ms < cutoff_ms]
            if over:
                self._file.change("delete_below", topic=number, log_offset=over[-1] + 1)
                self._file.change("raise_first_offset", topic=number, log_offset=over[-1] + 1)
            return len(over)

    def _compact(self, topic: Topic) -> int:
        """Keep the newest message a key; a tombstone goes when its day is over."""
        before_ms = self._now_ms() - int(TOMBSTONES_KEPT.total_seconds() * 1000)
        with self._lock:
            number = self._file.topic(topic.name).number
            found = self._file.rows("superseded", topic=number, tombstones_before_ms=before_ms)
        for start in range(0, len(found), DELETE_ROWS):
            turn = ({"topic": number, "log_offset": o} for (o,) in found[start : start + DELETE_ROWS])
            with self._lock, self._file.transaction():
                self._file.change_many("delete_one", turn)
            time.sleep(PAUSE_S)
        return len(found)

    def _give_back(self) -> None:
        """Free pages go to the file system, and the write-ahead log, which still has the old bytes, is emptied."""
        while True:
            with self._lock:
                before = self._file.pragma("freelist_count")
                self._file.give_back(VACUUM_PAGES)
                after = self._file.pragma("freelist_count")
            if after == 0 or after >= before:
                break
            time.sleep(PAUSE_S)
        with self._lock:
            self._file.pragma("wal_checkpoint(TRUNCATE)")

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


def _free_bytes(path: Path) -> int:
    disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize
