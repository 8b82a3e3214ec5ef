"""What an event log promises, held against both: one SQLite file, and a real Kafka."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from services.runtime.errors import Fatal, Poison, Transient
from services.runtime.log.interface import (
    MESSAGE_BYTES_MAX,
    METADATA_BYTES_MAX,
    Committed,
    Consumer,
    EventLog,
    Fenced,
    Message,
    Partition,
    Record,
)
from services.runtime.topics import Topic
from tests.parts.kafka import Broker
from tests.parts.logs import EmbeddedPlace, KafkaPlace, Place, joined, own_topic

ROOT = Path(__file__).parents[2]
BOTH = ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)]


@pytest.fixture(params=BOTH)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "embedded":
        return EmbeddedPlace(tmp_path)
    return KafkaPlace(request.getfixturevalue("kafka_servers"))


@pytest.fixture
def log(place: Place) -> Iterator[EventLog]:
    with contextlib.closing(place.open()) as log:
        yield log


@pytest.fixture
def topic(log: EventLog) -> Topic:
    topic = own_topic()
    log.ensure_topics([topic])
    return topic


@pytest.fixture
def compacted(log: EventLog) -> Topic:
    topic = own_topic("tenant")
    log.ensure_topics([topic])
    return topic


@pytest.fixture
def group() -> str:
    return f"group-{uuid.uuid4().hex[:8]}"


def _send(log: EventLog, topic: Topic, *values: bytes) -> Sequence[tuple[Partition, int]]:
    return log.send([Message(topic.name, b"key", value) for value in values])


def _collect(consumer: Consumer, count: int, seconds: float = 10.0) -> list[Record]:
    found: list[Record] = []
    deadline = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        consumer.take_assigned()
        found += consumer.poll(100, 0.2)
    return found


def _values(records: Sequence[Record]) -> list[bytes | None]:
    return [record.value for record in records]


def test_messages_come_back_whole_and_in_order(log: EventLog, topic: Topic, group: str) -> None:
    """Keys, headers of any bytes, values that pack well, badly and not at all, and none."""
    values = [b"", b"a" * 100_000, os.urandom(100_000), b"last", None]
    headers = {"source": b"\x00\xff", "content-type": b"text/plain"}
    sent = [Message(topic.name, b"k%d" % n, value, headers) for n, value in enumerate(values)]
    places = log.send(sent)
    consumer, partition = joined(log, group, topic)
    consumer.resume(partition, 0)
    found = _collect(consumer, 5)
    assert [(r.key, r.value, dict(r.headers)) for r in found] == [(m.key, m.value, headers) for m in sent]
    assert [(r.partition, r.offset) for r in found] == list(places) == [(partition, n) for n in range(5)]
    assert log.offsets(partition) == (0, 5)
    consumer.close()


def test_the_append_time_is_the_logs(log: EventLog, topic: Topic, group: str) -> None:
    """Not the producer's word: now, and never running backwards."""
    before_ms = int(time.time() * 1000) - 1
    for _ in range(3):
        _send(log, topic, b"x")
    consumer, partition = joined(log, group, topic)
    times = [record.timestamp_ms for record in consumer.read(partition, 0, 2)]
    assert len(times) == 3
    assert times == sorted(times)
    assert before_ms <= times[0]
    assert times[-1] <= int(time.time() * 1000) + 1
    consumer.close()


def test_nothing_arrives_before_resume(log: EventLog, topic: Topic, group: str) -> None:
    """So that the loop can repair first; then from the offset it names."""
    _send(log, topic, b"0", b"1", b"2")
    consumer, partition = joined(log, group, topic)
    assert consumer.poll(10, 0.3) == []
    assert consumer.take_assigned() == {partition}
    consumer.resume(partition, 1)
    assert _values(_collect(consumer, 2)) == [b"1", b"2"]
    assert consumer.take_assigned() == frozenset()
    consumer.close()


def test_resuming_again_moves_the_position(log: EventLog, topic: Topic, group: str) -> None:
    """Back and forth; nothing of the old position comes through."""
    _send(log, topic, *(b"%d" % n for n in range(50)))
    consumer, partition = joined(log, group, topic)
    consumer.resume(partition, 0)
    assert _values(consumer.poll(1, 5.0)) == [b"0"]
    consumer.resume(partition, 40)
    assert _values(_collect(consumer, 10)) == [b"%d" % n for n in range(40, 50)]
    consumer.resume(partition, 48)
    assert _values(_collect(consumer, 2)) == [b"48", b"49"]
    consumer.close()


def test_poll_gives_at_most_what_was_asked(log: EventLog, topic: Topic, group: str) -> None:
    """And the rest afterwards, without a hole."""
    _send(log, topic, *(b"%d" % n for n in range(10)))
    consumer, partition = joined(log, group, topic)
    consumer.resume(partition, 0)
    found: list[Record] = []
    deadline = time.monotonic() + 10
    while len(found) < 10 and time.monotonic() < deadline:
        consumer.take_assigned()
        taken = consumer.poll(3, 0.2)
        assert len(taken) <= 3
        found += taken
    assert [record.offset for record in found] == list(range(10))
    consumer.close()


def test_groups_are_independent(log: EventLog, topic: Topic, group: str) -> None:
    """Each reads everything; one's commit is not the other's."""
    _send(log, topic, b"a", b"b")
    for name in (group, f"{group}-other"):
        consumer, partition = joined(log, name, topic)
        assert consumer.committed(partition) is None
        consumer.resume(partition, 0)
        assert _values(_collect(consumer, 2)) == [b"a", b"b"]
        consumer.commit(partition, 2, name)
        consumer.close()
    assert log.group_offset(group, partition) == Committed(2, group)
    assert log.group_offset(f"{group}-other", partition) == Committed(2, f"{group}-other")
    assert log.group_offset(f"{group}-unknown", partition) is None


def test_a_commit_keeps_its_metadata_over_a_restart(log: EventLog, place: Place, topic: Topic, group: str) -> None:
    """Up to 4096 bytes; longer is refused before it can be cut; committing back is allowed."""
    consumer, partition = joined(log, group, topic)
    consumer.commit(partition, 7, "ä" * (METADATA_BYTES_MAX // 2))
    with pytest.raises(ValueError, match="4096"):
        consumer.commit(partition, 8, "x" * (METADATA_BYTES_MAX + 1))
    consumer.close()
    with contextlib.closing(place.open()) as again:
        consumer, _ = joined(again, group, topic)
        assert consumer.committed(partition) == Committed(7, "ä" * (METADATA_BYTES_MAX // 2))
        consumer.commit(partition, 3)
        assert consumer.committed(partition) == Committed(3, "")
        consumer.close()


def test_a_restarted_member_takes_over_at_once(place: Place, log: EventLog, topic: Topic, group: str) -> None:
    """A member that died without a word comes back under its name and need not wait for its own term."""
    zombie, partition = joined(log, group, topic, "member-1")
    zombie.commit(partition, 1, "before")
    with contextlib.closing(place.open()) as other:
        started = time.monotonic()
        consumer, _ = joined(other, group, topic, "member-1")
        assert time.monotonic() - started < 5
        assert consumer.committed(partition) == Committed(1, "before")
        consumer.commit(partition, 2, "after")
        consumer.close()
    zombie.close()


def test_a_zombie_cannot_commit(place: Place, log: EventLog, topic: Topic, group: str) -> None:
    """Its commit is refused, it owns nothing from then on, and the successor's commit stands."""
    zombie, partition = joined(log, group, topic, "member-1")
    zombie.resume(partition, 0)
    with contextlib.closing(place.open()) as other:
        consumer, _ = joined(other, group, topic, "member-1")
        consumer.commit(partition, 5, "successor")
        with pytest.raises(Fenced):
            zombie.commit(partition, 1, "zombie")
        assert not zombie.owns(partition)
        with pytest.raises(Fenced):
            zombie.commit(partition, 1, "zombie again")
        assert consumer.committed(partition) == Committed(5, "successor")
        consumer.commit(partition, 6, "and stays")
        _send(other, topic, b"x")
        assert zombie.poll(10, 0.5) == []
        consumer.close()
    zombie.close()


def test_a_range_is_read_exactly(log: EventLog, topic: Topic, group: str) -> None:
    """Both ends included; beyond the end there is nothing; the position does not move."""
    _send(log, topic, *(b"%d" % n for n in range(30)))
    consumer, partition = joined(log, group, topic)
    consumer.resume(partition, 0)
    assert _values(consumer.poll(1, 5.0)) == [b"0"]
    assert _values(consumer.read(partition, 10, 12)) == [b"10", b"11", b"12"]
    assert _values(consumer.read(partition, 28, 99)) == [b"28", b"29"]
    assert consumer.read(partition, 30, 40) == []
    assert _values(_collect(consumer, 29))[0] == b"1"
    consumer.close()


def test_the_oldest_message_that_is_kept_is_told(log: EventLog, place: Place, topic: Topic, group: str) -> None:
    """By the log's own time; nothing of an empty topic, also of one that everything expired from."""
    assert log.oldest(topic.name) is None
    _send(log, topic, b"0", b"1")
    place.expire(topic, 2)
    assert log.oldest(topic.name) is None
    _send(log, topic, b"2", b"3")
    consumer, partition = joined(log, group, topic)
    (first,) = consumer.read(partition, 2, 2)
    consumer.close()
    oldest = log.oldest(topic.name)
    assert oldest is not None
    assert int(oldest.timestamp() * 1000) == first.timestamp_ms


def test_what_expired_is_gone_and_the_rest_keeps_its_offsets(
    log: EventLog, place: Place, topic: Topic, group: str
) -> None:
    """A reader that comes too late is moved to the oldest record kept, and sees the jump."""
    _send(log, topic, *(b"%d" % n for n in range(250)))
    place.expire(topic, 250)
    _send(log, topic, b"250", b"251")
    consumer, partition = joined(log, group, topic)
    assert log.offsets(partition) == (250, 252)
    assert _values(consumer.read(partition, 240, 260)) == [b"250", b"251"]
    consumer.resume(partition, 3)
    assert [(r.offset, r.value) for r in _collect(consumer, 2)] == [(250, b"250"), (251, b"251")]
    consumer.close()


def test_what_is_within_its_term_stays(log: EventLog, topic: Topic) -> None:
    """Retention by time alone."""
    _send(log, topic, b"fresh")
    log.apply_retention([topic])
    assert log.offsets(Partition(topic.name, 0)) == (0, 1)


def test_compaction_keeps_the_newest_of_each_key(log: EventLog, place: Place, compacted: Topic) -> None:
    """With its offset; tombstones stay for a day, so every follower sees them."""
    for version in range(4):
        log.send([Message(compacted.name, key, b"%d" % version) for key in (b"a", b"b")])
    log.send([Message(compacted.name, b"b", None)])
    place.compact(compacted)
    with contextlib.closing(log.follower([compacted.name])) as follower:
        found = [(r.offset, r.key, r.value) for r in follower.poll() if r.key in {b"a", b"b"}]
    assert found == [(6, b"a", b"3"), (8, b"b", None)]


def test_a_follower_reads_all_and_then_what_is_new(log: EventLog, place: Place, compacted: Topic) -> None:
    """From the beginning, over holes, without a group; another process's messages too."""
    log.send([Message(compacted.name, b"a", b"1"), Message(compacted.name, b"a", b"2")])
    place.compact(compacted)
    follower = log.follower([compacted.name])
    assert [r.value for r in follower.poll() if r.key == b"a"] == [b"2"]
    assert follower.poll() == []
    with contextlib.closing(place.open()) as other:
        other.send([Message(compacted.name, b"b", b"3"), Message(compacted.name, b"a", None)])
    assert [(r.key, r.value) for r in follower.poll()] == [(b"b", b"3"), (b"a", None)]
    assert follower.poll() == []
    follower.close()


def test_a_follower_of_nothing_gets_nothing(log: EventLog, compacted: Topic) -> None:
    """An empty topic is no reason to wait."""
    with contextlib.closing(log.follower([compacted.name])) as follower:
        started = time.monotonic()
        assert follower.poll() == []
        assert time.monotonic() - started < 5


def test_a_topic_made_again_has_another_id(place: Place, topic: Topic, log: EventLog) -> None:
    """Offsets begin anew, and the id says so; a restart alone does not change it."""
    _send(log, topic, b"old")
    with contextlib.closing(place.open()) as again:
        before = again.topic_id(topic.name)
        assert before == log.topic_id(topic.name)
    place.make_again(topic)
    with contextlib.closing(place.open()) as again:
        assert again.topic_id(topic.name) != before
        assert again.offsets(Partition(topic.name, 0)) == (0, 0)


def test_topics_are_made_once(log: EventLog, place: Place, topic: Topic) -> None:
    """Making them again changes nothing; a topic of another kind under the same name is refused."""
    before = log.topic_id(topic.name)
    with contextlib.closing(place.open()) as other:
        other.ensure_topics([topic])
        assert other.topic_id(topic.name) == before
        assert [p.number for p in other.partitions(topic.name)] == [0]
        with pytest.raises(Fatal, match=topic.name):
            other.ensure_topics([replace(topic, kept_hours=None)])


def test_a_message_that_is_too_large_is_poison(log: EventLog, topic: Topic) -> None:
    """No retry will ever help; nothing of the send is written."""
    with pytest.raises(Poison, match="smaller"):
        _send(log, topic, b"fits", b"x" * (MESSAGE_BYTES_MAX + 1))
    _send(log, topic, os.urandom(MESSAGE_BYTES_MAX - len(b"key")))
    assert log.offsets(Partition(topic.name, 0)) == (0, 1)


def test_a_log_that_answers_is_ready(log: EventLog, topic: Topic) -> None:
    """With a topic in it."""
    assert log.ready()


_WRITER = """
import sys
from services.runtime.log import open_log
from services.runtime.log.interface import Message
from services.runtime.settings import Kafka
url, topic, name = sys.argv[1:]
log = open_log(url, Kafka())
number = 0
while True:
    places = log.send([Message(topic, name.encode(), f"{name}-{number + i}".encode()) for i in range(3)])
    for (partition, offset), i in zip(places, range(3)):
        print(offset, f"{name}-{number + i}", flush=True)
    number += 3
"""


def _writer(place: Place, topic: Topic, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _WRITER, place.url, topic.name, name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def _killed(process: subprocess.Popen[str], after_lines: int) -> list[tuple[int, str]]:
    """What it says was durable before kill -9."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(after_lines)]
    process.send_signal(signal.SIGKILL)
    lines += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    return [(int(line.split()[0]), line.split()[1]) for line in lines if line.endswith("\n")]


def test_two_processes_write_at_once_and_die_and_nothing_acknowledged_is_lost(
    place: Place, log: EventLog, topic: Topic, group: str
) -> None:
    """kill -9 of both writers: every acknowledged message is there, at its offset, each offset once."""
    writers = [_writer(place, topic, name) for name in ("one", "two")]
    acknowledged = [line for writer in writers for line in _killed(writer, 60)]
    consumer, partition = joined(log, group, topic)
    _, end = log.offsets(partition)
    kept = {r.offset: (r.value or b"").decode() for r in consumer.read(partition, 0, end - 1)}
    assert len(acknowledged) >= 120
    assert len({offset for offset, _ in acknowledged}) == len(acknowledged)
    assert all(kept[offset] == value for offset, value in acknowledged)
    assert sorted(kept) == list(range(end))
    for name in ("one", "two"):
        numbers = [int(v.split("-")[1]) for _, v in sorted(kept.items()) if v.startswith(name)]
        assert numbers == list(range(len(numbers)))
    consumer.close()


@pytest.fixture(params=BOTH)
def place_of_its_own(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """One that may be taken away."""
    if request.param == "embedded":
        return EmbeddedPlace(tmp_path)
    broker: Broker = request.getfixturevalue("kafka_broker")
    return KafkaPlace(broker.servers, broker)


def test_a_log_that_is_away_is_transient_and_comes_back(
    place_of_its_own: Place, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broker killed, or file locked: sending and committing say so in bounded time, and work again afterwards,
    also when the broker was away for longer than a session; what was acknowledged before is still there."""
    monkeypatch.setattr("services.runtime.log.kafka_group.SESSION_S", 3.0)
    topic = own_topic()
    with contextlib.closing(place_of_its_own.open()) as log:
        log.ensure_topics([topic])
        _send(log, topic, b"before")
        consumer, partition = joined(log, group, topic)
        consumer.commit(partition, 0, "before")
        with place_of_its_own.away():
            with pytest.raises(Transient):
                log.send([Message(topic.name, b"key", b"during")], timeout_s=0.5)
            with pytest.raises(Transient):
                consumer.commit(partition, 1, "during")
            assert not log.ready()
        _again(lambda: _send(log, topic, b"after"))
        assert log.ready()
        _again(lambda: _commit_anew(consumer, partition))
        values = _values(consumer.read(partition, 0, 9))
        assert values[0] == b"before"
        assert values[-1] == b"after"
        consumer.close()


def _commit_anew(consumer: Consumer, partition: Partition) -> None:
    consumer.take_assigned()
    try:
        consumer.commit(partition, 1, "after")
    except Fenced as error:  # the broker was away for longer than the session: join again
        raise Transient("not yet") from error


def _again(action: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            action()
            return
        except Transient:
            assert time.monotonic() < deadline
            time.sleep(0.1)
