"""What only the embedded log promises: leases by the clock, privacy of its file, errors of a disk."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.runtime.clock import FixedClock
from services.runtime.errors import Fatal, Transient
from services.runtime.log.embedded import EmbeddedLog
from services.runtime.log.embedded_group import LEASE_S
from services.runtime.log.interface import Fenced, Message, Partition
from services.runtime.topics import TOPICS

RAW = TOPICS["access-log"]
TENANTS = TOPICS["tenant"]
RAW_PARTITION = Partition(RAW.name, 0)
HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2026, 11, 23, 12, tzinfo=UTC))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "events.db"


@pytest.fixture
def log(path: Path, clock: FixedClock) -> Iterator[EmbeddedLog]:
    with contextlib.closing(EmbeddedLog(path, clock, busy_s=0.5)) as log:
        log.ensure_topics(list(TOPICS.values()))
        yield log


def _send(log: EmbeddedLog, *values: bytes) -> None:
    log.send([Message(RAW.name, b"source", value) for value in values])


# --- leases ---


def test_another_member_waits_for_the_term(log: EmbeddedLog, clock: FixedClock) -> None:
    """A member that said nothing for 15 seconds has lost its group to whoever asks."""
    first, second = log.consumer("stats", [RAW.name], "m1"), log.consumer("stats", [RAW.name], "m2")
    assert first.take_assigned() == {RAW_PARTITION}
    clock.advance(timedelta(seconds=LEASE_S - 1))
    assert second.take_assigned() == frozenset()
    clock.advance(timedelta(seconds=2))
    assert second.take_assigned() == {RAW_PARTITION}
    with pytest.raises(Fenced):
        first.commit(RAW_PARTITION, 1)


@pytest.mark.parametrize("sign_of_life", ["poll", "commit", "take_assigned"])
def test_a_living_member_keeps_its_group(log: EmbeddedLog, clock: FixedClock, sign_of_life: str) -> None:
    """Every call renews the lease when a third of it is over."""
    first, second = log.consumer("stats", [RAW.name], "m1"), log.consumer("stats", [RAW.name], "m2")
    first.take_assigned()
    for _ in range(10):
        clock.advance(timedelta(seconds=LEASE_S / 2))
        {
            "poll": lambda: first.poll(1, 0),
            "commit": lambda: first.commit(RAW_PARTITION, 1),
            "take_assigned": first.take_assigned,
        }[sign_of_life]()
        assert second.take_assigned() == frozenset()


def test_a_term_that_ran_out_takes_nothing_while_nobody_came(log: EmbeddedLog, clock: FixedClock) -> None:
    """A long insert on a single machine is no reason to lose the batch."""
    consumer = log.consumer("stats", [RAW.name], "m1")
    consumer.take_assigned()
    clock.advance(timedelta(hours=1))
    consumer.commit(RAW_PARTITION, 1)
    assert consumer.owns(RAW_PARTITION)


def test_a_member_that_leaves_in_order_lets_others_in(log: EmbeddedLog) -> None:
    """Closing gives the lease back."""
    first, second = log.consumer("stats", [RAW.name], "m1"), log.consumer("stats", [RAW.name], "m2")
    first.take_assigned()
    first.close()
    assert second.take_assigned() == {RAW_PARTITION}


def test_a_fenced_member_does_not_take_the_group_back(log: EmbeddedLog, clock: FixedClock) -> None:
    """Two processes with one member id would take it from each other for ever; the older one waits."""
    older, newer = log.consumer("stats", [RAW.name], "m1"), log.consumer("stats", [RAW.name], "m1")
    older.take_assigned()
    newer.take_assigned()
    with pytest.raises(Fenced):
        older.commit(RAW_PARTITION, 1)
    assert older.take_assigned() == frozenset()
    newer.commit(RAW_PARTITION, 1)
    clock.advance(timedelta(seconds=LEASE_S + 1))
    assert older.take_assigned() == {RAW_PARTITION}


def test_a_lease_lost_between_polls_shows_in_owns(log: EmbeddedLog, clock: FixedClock) -> None:
    """Without a commit too: the next renewal notices, and what was resumed is no longer delivered."""
    _send(log, b"x")
    older, newer = log.consumer("stats", [RAW.name], "m1"), log.consumer("stats", [RAW.name], "m1")
    older.take_assigned()
    older.resume(RAW_PARTITION, 0)
    newer.take_assigned()
    clock.advance(timedelta(seconds=LEASE_S / 2))
    assert older.poll(10, 0) == []
    assert not older.owns(RAW_PARTITION)


# --- the file ---


def test_nobody_else_can_read_the_file(log: EmbeddedLog, path: Path) -> None:
    """Raw accesses lie in it: 0600, its companions too, in a folder of 0700."""
    _send(log, b"x")
    files = list(path.parent.iterdir())
    assert len(files) >= 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_expired_bytes_are_nowhere_and_the_file_shrinks(log: EmbeddedLog, path: Path, clock: FixedClock) -> None:
    """After 72 hours a visitor's address is in no page, no free page and no write-ahead log."""
    marked = b"canary-203.0.113.77-" * 10  # below the size that is packed, so the bytes can be searched for
    _send(log, *[marked] * 3000)
    assert any(marked in file.read_bytes() for file in path.parent.iterdir())
    size = sum(file.stat().st_size for file in path.parent.iterdir())
    clock.advance(73 * HOUR)
    log.apply_retention([RAW])
    assert log.offsets(RAW_PARTITION) == (3000, 3000)
    assert not any(marked[:20] in file.read_bytes() for file in path.parent.iterdir())
    assert sum(file.stat().st_size for file in path.parent.iterdir()) < size / 5


def test_retention_lets_writers_in_between(log: EmbeddedLog, path: Path, clock: FixedClock) -> None:
    """It works in turns: while thousands of messages expire, another process's send never waits long."""
    _send(log, *[b"x" * 400] * 4_000)
    clock.advance(73 * HOUR)
    worker = threading.Thread(target=log.apply_retention, args=([RAW],))
    sent = 0
    with contextlib.closing(EmbeddedLog(path, clock)) as other:
        worker.start()
        while worker.is_alive():
            other.send([Message(RAW.name, b"k", b"fresh")], timeout_s=1.0)
            sent += 1
            time.sleep(0.01)
        worker.join()
    first, end = log.offsets(RAW_PARTITION)
    assert sent > 3
    assert (first, end) == (4_000, 4_000 + sent)


def test_tombstones_go_after_a_day(log: EmbeddedLog, clock: FixedClock) -> None:
    """And the last value of a living key never."""
    log.send([Message(TENANTS.name, b"a", b"1"), Message(TENANTS.name, b"b", b"2"), Message(TENANTS.name, b"b", None)])
    clock.advance(23 * HOUR)
    log.apply_retention([TENANTS])
    assert [(r.key, r.value) for r in log.follower([TENANTS.name]).poll()] == [(b"a", b"1"), (b"b", None)]
    clock.advance(1000 * HOUR)
    log.apply_retention([TENANTS])
    assert [(r.key, r.value) for r in log.follower([TENANTS.name]).poll()] == [(b"a", b"1")]
    assert log.offsets(Partition(TENANTS.name, 0))[1] == 3


def test_values_that_pack_well_are_packed(log: EmbeddedLog, path: Path) -> None:
    """A batch of accesses takes a fraction of its size on disk."""
    _send(log, *[b"GET /agenda HTTP/1.1 200 " * 4000] * 20)
    log._file.pragma("wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size < 20 * 100_000 / 4


def test_append_times_never_run_backwards(log: EmbeddedLog, path: Path, clock: FixedClock) -> None:
    """A clock that was set back must not let the middle of a topic expire before its beginning."""
    _send(log, b"a")
    with contextlib.closing(EmbeddedLog(path, FixedClock(clock.now() - HOUR))) as other:
        other.send([Message(RAW.name, b"k", b"b")])
    consumer = log.consumer("stats", [RAW.name], "m1")
    times = [record.timestamp_ms for record in consumer.read(RAW_PARTITION, 0, 1)]
    assert times == sorted(times)


# --- what goes wrong ---


def test_a_disk_without_room_is_transient_and_not_ready(log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own limit of pages stands for the disk: the send fails whole, and works once there is room."""
    pages = log._file.pragma("page_count")
    log._file.pragma(f"max_page_count = {pages + 2}")
    with pytest.raises(Transient, match="SQLITE_FULL"):
        _send(log, *[bytes(range(256)) * 3] * 200)
    assert log.offsets(RAW_PARTITION) == (0, 0)
    log._file.pragma("max_page_count = 1000000")
    _send(log, b"x")
    assert log.offsets(RAW_PARTITION) == (0, 1)
    assert log.ready()
    monkeypatch.setattr("services.runtime.log.embedded.FREE_BYTES_MIN", 1 << 60)
    assert not log.ready()


def test_a_file_of_another_version_is_refused(log: EmbeddedLog, path: Path, clock: FixedClock) -> None:
    """With the command to run."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(Fatal, match="voile db upgrade"):
        EmbeddedLog(path, clock)


def test_a_file_that_is_no_database_is_refused(path: Path, clock: FixedClock) -> None:
    """Never overwritten."""
    path.parent.mkdir()
    path.write_bytes(b"something else entirely, " * 100)
    with pytest.raises(Fatal, match="damaged"):
        EmbeddedLog(path, clock)
    assert path.read_bytes().startswith(b"something else")


def test_an_unknown_topic_says_what_to_do(log: EmbeddedLog) -> None:
    """A sentence, not a key error."""
    with pytest.raises(Fatal, match="no topic nowhere"):
        log.send([Message("nowhere", b"k", b"v")])


def test_many_first_starts_at_once(path: Path, clock: FixedClock) -> None:
    """Three services of `voile up` make the same file in the same moment."""
    failures: list[BaseException] = []

    def start() -> None:
        try:
            with contextlib.closing(EmbeddedLog(path, clock)) as log:
                log.ensure_topics(list(TOPICS.values()))
                log.send([Message(RAW.name, b"k", b"v")])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with contextlib.closing(EmbeddedLog(path, clock)) as log:
        assert log.offsets(RAW_PARTITION) == (0, 6)
