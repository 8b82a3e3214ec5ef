"""Exactly once, whoever dies wherever: the loop on both event logs, into a small real store.

The store (`tests/parts/counting_sink.py`) promises what a ClickHouse part promises and no more. Every fault
test has its counterpart in which the mechanism is taken out and the counts go wrong.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from services.runtime.avro import decode_record
from services.runtime.clock import SystemClock
from services.runtime.consumer import BatchPolicy, PlannedConsumer
from services.runtime.errors import Fatal, Transient
from services.runtime.lag import lag
from services.runtime.log.interface import EventLog, Fenced, Message, Partition, Record
from services.runtime.metrics import GAPS_REPAIRED, PLANS_REDONE, RECORDS_LOST, RECORDS_POISON, Metrics
from services.runtime.plans import Plan
from services.runtime.recovery import holes
from services.runtime.topics import TOPICS, Topic
from tests.parts.counting_sink import POISON, CountingSink
from tests.parts.logs import EmbeddedPlace, KafkaPlace, Place, own_topic

BOTH = ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)]
SMALL = BatchPolicy(records_max=10, wait_s=0.0)
WAIT_S_MAX = 30.0


class Killed(BaseException):
    """A crash between two steps: nothing of the loop runs after it, not even a handler of errors."""


class Stage:
    """One test's topic, group, store, and the loops that work on them."""

    def __init__(self, place: Place, folder: Path, partitions: int = 1) -> None:
        self.place, self.folder = place, folder
        self.log = place.open()
        self.topic: Topic = own_topic(partitions=partitions)
        self.group = f"group-{uuid.uuid4().hex[:8]}"
        self.metrics = Metrics()
        self.log.ensure_topics([self.topic, TOPICS["dead-letter"]])
        self.sent = 0
        self._open: list[PlannedConsumer] = []
        self._logs: list[EventLog] = [self.log]

    def send(self, count: int) -> None:
        """`count` records whose values are the next numbers."""
        numbers = range(self.sent, self.sent + count)
        self.log.send([Message(self.topic.name, str(n).encode(), str(n).encode()) for n in numbers])
        self.sent += count

    def send_poison(self) -> None:
        self.log.send([Message(self.topic.name, b"p", POISON)])

    def sink(self, before_insert: Callable[[], None] = lambda: None) -> CountingSink:
        return CountingSink(self.folder / "store.db", before_insert)

    def loop(self, sink: CountingSink | None = None, member: str = "m1") -> PlannedConsumer:
        """A process of its own would open a log of its own, so each loop does."""
        log = self.place.open()
        loop = PlannedConsumer(
            log, sink or self.sink(), [self.topic.name], self.group, member,
            clock=SystemClock(), policy=SMALL, metrics=self.metrics,
        )  # fmt: skip
        self._open.append(loop)
        self._logs.append(log)
        return loop

    def drain(self, loop: PlannedConsumer, until: Callable[[], bool] | None = None) -> None:
        """Step until everything that was sent is in the ledger (or `until`)."""
        deadline = time.monotonic() + WAIT_S_MAX
        while not (until or self.is_stored)():
            assert time.monotonic() < deadline, f"not stored in time: {self.ledger()}"
            if not loop.step(0.1):
                time.sleep(min(loop.delay_s, 0.2))

    def is_stored(self) -> bool:
        with contextlib.closing(self.sink()) as sink:
            topic_id = self.log.topic_id(self.topic.name)
            partitions = self.log.partitions(self.topic.name)
            return not any(holes(sink.ranges(topic_id, p), 0, self.log.offsets(p)[1]) for p in partitions)

    def values(self) -> list[int]:
        with contextlib.closing(self.sink()) as sink:
            return sorted(int(value) for value in sink.values())

    def ledger(self, columns: str = "first, last, reason") -> list[tuple[object, ...]]:
        with contextlib.closing(self.sink()) as sink:
            return sink.ledger(columns)

    def exact(self) -> bool:
        """Every number that was sent, once."""
        return self.values() == list(range(self.sent))

    def count(self, metric: object) -> float:
        return self.metrics.value(metric, group=self.group, topic=self.topic.name)  # type: ignore[arg-type]

    def close(self) -> None:
        for loop in self._open:
            loop.close()
        for log in self._logs:
            log.close()


@pytest.fixture(params=BOTH)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "embedded":
        return EmbeddedPlace(tmp_path)
    return KafkaPlace(request.getfixturevalue("kafka_servers"))


@pytest.fixture
def stage(place: Place, tmp_path: Path) -> Iterator[Stage]:
    with contextlib.closing(Stage(place, tmp_path)) as stage:
        yield stage


def test_everything_is_stored_once_and_the_ledger_tiles(stage: Stage) -> None:
    """In batches of the policy's size, and the group's offset says so."""
    stage.send(25)
    stage.drain(stage.loop())
    assert stage.exact()
    ranges = stage.ledger("first, last")
    assert [a for a, _ in ranges] == [0, *(int(str(b)) + 1 for _, b in ranges[:-1])]
    assert all(int(str(b)) - int(str(a)) < 10 for a, b in ranges)
    committed = stage.log.group_offset(stage.group, Partition(stage.topic.name, 0))
    assert committed is not None
    assert committed.offset == 25


# --- D3: the zombie ---


def zombie_interleaving(stage: Stage) -> None:
    """A plans 0..5 and falls asleep between its look at the ledger and its insert; more arrives; B, the same
    member started again, takes over and stores all; A wakes up, inserts, and goes on."""
    stage.send(6)
    successor: list[PlannedConsumer] = []

    def sleep_through_a_takeover() -> None:
        if not successor:
            stage.send(5)
            successor.append(stage.loop())
            stage.drain(successor[0])

    zombie = stage.loop(stage.sink(sleep_through_a_takeover))
    stage.drain(zombie, until=lambda: bool(successor))
    assert zombie.step(0.1) is False
    stage.send(5)
    stage.drain(successor[0])


def test_a_zombie_changes_no_count(stage: Stage) -> None:
    """The successor finds the zombie's plan in the commit and cuts the same range, so one of both inserts is
    dropped; the zombie's confirmation is fenced."""
    zombie_interleaving(stage)
    assert stage.exact()
    assert stage.count(PLANS_REDONE) == 1
    assert stage.ledger()[0] == (0, 5, "")


def test_without_the_plan_the_zombie_counts_twice(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mechanism taken out: the successor cuts 0..9, the zombie's 0..5 comes on top."""
    monkeypatch.setattr(PlannedConsumer, "_commit_plan", lambda _self, _plan: None)
    zombie_interleaving(stage)
    assert not stage.exact()
    assert sorted(set(stage.values())) == list(range(stage.sent))
    assert len(stage.values()) == stage.sent + 6


# --- crashes between every two steps ---

_STEPS = ["take_assigned", "committed", "ranges", "resume", "poll", "plan", "planned", "write", "inserted", "confirm",
          "confirmed"]  # fmt: skip


class _KillAt:
    """Raises `Killed` when the loop reaches a step for the n-th time."""

    def __init__(self, step: str, turn: int) -> None:
        self._step, self._left = step, turn

    def __call__(self, step: str) -> None:
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                raise Killed(step)


def _wire(loop: PlannedConsumer, sink: CountingSink, kill: _KillAt, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every boundary between two steps of the loop, and inside the store, becomes a place to die."""
    consumer = loop._consumer

    def before(target: object, name: str, step: str, after: str | None = None) -> None:
        original = getattr(target, name)

        def wrapped(*arguments: object, **named: object) -> object:
            kill(step)
            result = original(*arguments, **named)
            if after:
                kill(after)
            return result

        monkeypatch.setattr(target, name, wrapped)

    before(consumer, "take_assigned", "take_assigned")
    before(consumer, "committed", "committed")
    before(consumer, "resume", "resume")
    before(consumer, "poll", "poll")
    before(loop, "_commit_plan", "plan", "planned")
    before(sink, "write", "write", "inserted")
    before(sink, "ranges", "ranges")
    before(loop, "_confirm", "confirm", "confirmed")


@pytest.mark.parametrize(
    ("place", "step", "turn"),
    [("embedded", step, turn) for step in _STEPS for turn in (1, 2)]
    + [pytest.param("kafka", step, 1, marks=pytest.mark.kafka) for step in _STEPS],
    indirect=["place"],
)
def test_killed_between_any_two_steps_and_restarted(
    stage: Stage, step: str, turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead at the first or second time of each step; the same member comes back and every count is exact."""
    stage.send(25)
    sink = stage.sink()
    victim = stage.loop(sink)
    _wire(victim, sink, _KillAt(step, turn), monkeypatch)
    if step in {"committed", "resume"} and turn == 2:
        stage.drain(victim)  # done once an assignment, so there is no second time: it must get through
    else:
        with pytest.raises(Killed):
            stage.drain(victim)
    stage.send(5)
    stage.drain(stage.loop())
    assert stage.exact()


def test_killed_before_it_confirmed_and_nothing_comes_after(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stored is no lag: the next member says so at once, and not with the next record."""
    stage.send(10)
    sink = stage.sink()
    victim = stage.loop(sink)
    _wire(victim, sink, _KillAt("confirm", 1), monkeypatch)
    with pytest.raises(Killed):
        stage.drain(victim)
    assert lag(stage.log, stage.group, stage.topic.name) == 10
    loop = stage.loop()
    stage.drain(loop, until=lambda: lag(stage.log, stage.group, stage.topic.name) == 0)
    assert stage.exact()


@pytest.mark.parametrize("place", ["embedded"], indirect=True)
def test_without_the_ledger_a_crash_counts_twice(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mechanism taken out: with a store that forgets what is final, the redone plan is counted again."""
    stage.send(10)
    sink = stage.sink()
    victim = stage.loop(sink)
    _wire(victim, sink, _KillAt("inserted", 1), monkeypatch)
    with pytest.raises(Killed):
        stage.drain(victim)
    with contextlib.closing(stage.sink()) as damaged:
        damaged._connection.execute("DELETE FROM ledger")
    stage.drain(stage.loop())
    assert len(stage.values()) == 20


def test_killed_again_and_again_it_still_gets_there(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five restarts in a row die in the same plan: from the fourth on it is a record alone; nothing is given up."""
    stage.send(10)
    for _ in range(5):
        sink = stage.sink()
        victim = stage.loop(sink)
        _wire(victim, sink, _KillAt("write", 1), monkeypatch)
        with pytest.raises(Killed):
            stage.drain(victim)
    stage.drain(stage.loop())
    assert stage.exact()
    assert stage.count(RECORDS_POISON) == 0
    assert stage.ledger("first, last, attempt")[0] == (0, 0, 6)


# --- gaps ---


def test_gaps_are_read_again_exactly(stage: Stage) -> None:
    """Parts lost in the beginning, in the middle and at the end."""
    for _ in range(5):
        stage.send(10)
        stage.drain(loop := stage.loop())
        loop.close()
    with contextlib.closing(stage.sink()) as damaged:
        starts = [int(str(first)) for (first,) in damaged.ledger("first")]
        for first in (starts[0], starts[2], starts[-1]):
            damaged.lose(first)
    assert not stage.exact()
    stage.drain(stage.loop())
    assert stage.exact()
    assert stage.count(GAPS_REPAIRED) == 3


def test_a_whole_store_is_filled_again(stage: Stage) -> None:
    """Every part lost: all that the log still has is read again, in batches."""
    stage.send(45)
    stage.drain(loop := stage.loop())
    loop.close()
    (stage.folder / "store.db").unlink()
    for left in stage.folder.glob("store.db-*"):
        left.unlink()
    stage.drain(stage.loop())
    assert stage.exact()
    assert len(stage.ledger()) >= 5


def test_what_expired_is_called_lost(stage: Stage) -> None:
    """Down for longer than the log's term: the range gets a ledger row and a count, the rest is stored."""
    stage.send(10)
    stage.drain(loop := stage.loop())
    loop.close()
    stage.send(5)
    stage.place.expire(stage.topic, 15)
    stage.send(5)
    stage.drain(stage.loop(), until=lambda: len(stage.values()) == 15)
    assert stage.values() == [*range(10), *range(15, 20)]
    assert (10, 14, "lost") in stage.ledger()
    assert stage.count(RECORDS_LOST) == 5


@pytest.mark.parametrize("place", ["embedded"], indirect=True)
def test_what_expires_under_a_running_loop_is_called_lost(stage: Stage) -> None:
    """The log jumps over the range between two polls (a Kafka client may have fetched it ahead)."""
    stage.send(10)
    loop = stage.loop()
    stage.drain(loop)
    stage.send(5)
    stage.place.expire(stage.topic, 15)
    stage.send(5)
    stage.drain(loop, until=lambda: len(stage.values()) == 15)
    assert stage.values() == [*range(10), *range(15, 20)]
    assert (10, 14, "lost") in stage.ledger()


def test_a_topic_made_again_starts_anew(stage: Stage) -> None:
    """Its offsets begin at 0 again; what was stored of the old one hides nothing of the new."""
    stage.send(20)
    stage.drain(loop := stage.loop())
    loop.close()
    stage.place.make_again(stage.topic)
    stage.log = stage.place.open()
    stage.send(8)
    stage.drain(stage.loop())
    assert stage.exact()
    assert len({topic_id for (topic_id,) in stage.ledger("topic_id")}) == 2
    stage.log.close()


# --- what cannot be stored ---


def test_poison_is_found_and_given_up_alone(stage: Stage) -> None:
    """Three attempts together, then record by record, three more for the one; the rest of its batch is stored."""
    stage.send(5)
    stage.send_poison()
    stage.send(4)
    before = _dead_letters(stage)
    stage.drain(stage.loop())
    assert stage.exact()
    assert [(a, b) for a, b, reason in stage.ledger() if reason == "poison"] == [(5, 5)]
    assert stage.count(RECORDS_POISON) == 1
    (letter,) = [x for x in _dead_letters(stage)[len(before) :] if x["topic"] == stage.topic.name]
    assert (letter["reason"], letter["offset"], letter["length"]) == ("poison", 5, len(POISON))
    assert POISON.decode() not in str({k: v for k, v in letter.items() if k != "reason"})


def _dead_letters(stage: Stage) -> list[dict[str, object]]:
    with contextlib.closing(stage.log.follower([TOPICS["dead-letter"].name])) as follower:
        return [decode_record(record.value or b"", "dead_letter") for record in follower.poll()]


@pytest.mark.parametrize("place", ["embedded"], indirect=True)
def test_poison_without_end_stops_the_loop(stage: Stage) -> None:
    """Eleven in a row are a bad release or store: stop before the topic is emptied into the dead letters."""
    for _ in range(15):
        stage.send_poison()
    loop = stage.loop()
    with pytest.raises(Fatal, match="look at the service's log"):
        stage.drain(loop)
    assert len(stage.ledger()) == 10


@pytest.mark.parametrize("place", ["embedded"], indirect=True)
def test_a_store_that_is_away_costs_no_attempt(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty failures of the disk, with growing waits: the same plan, attempt 1, and nothing is given up."""
    stage.send(10)
    sink = stage.sink()
    left = [20]
    waits: list[float] = []

    def fail_twenty_times() -> None:
        if left[0]:
            left[0] -= 1
            raise Transient("disk full")

    sink.before_insert = fail_twenty_times
    loop = stage.loop(sink)
    while left[0]:
        assert loop.step(0.1) is False
        waits.append(loop.delay_s)
    stage.drain(loop)
    assert stage.exact()
    assert stage.ledger("first, last, attempt") == [(0, 9, 1)]
    assert waits == sorted(waits)
    assert waits[0] < 1
    assert waits[-1] == 10.0
    assert loop.delay_s == 0


@pytest.mark.parametrize("place", ["embedded"], indirect=True)
def test_a_range_that_another_member_cut_otherwise_is_left_alone(stage: Stage) -> None:
    """The store says `Fenced`: the loop drops what it holds, looks at the ledger again and goes on."""
    stage.send(10)
    taken: list[bool] = []

    class Overtaken(CountingSink):
        def write(self, plan: Plan, records: Sequence[Record]) -> None:
            if not taken:
                taken.append(True)
                super().write(Plan(plan.partition, plan.topic_id, 0, 3, plan.ingest_day, "x"), records[:4])
                raise Fenced("the range was cut otherwise")
            super().write(plan, records)

    stage.drain(stage.loop(Overtaken(stage.folder / "store.db")))
    assert stage.exact()
    assert stage.ledger() == [(0, 3, ""), (4, 9, "")]


# --- several members, several partitions ---


def test_two_members_share_and_hand_over(place: Place, tmp_path: Path) -> None:
    """On Kafka partitions move between members as they come and go; on one machine the second waits. Either way
    every record counts once."""
    with contextlib.closing(Stage(place, tmp_path, partitions=1 if isinstance(place, EmbeddedPlace) else 4)) as stage:
        loops = [stage.loop(member="m1")]
        for turn in range(6):
            stage.send(40)
            if turn == 2:
                loops.append(stage.loop(member="m2"))
            for _ in range(10):
                for loop in loops:
                    loop.step(0.02)
        loops.append(stage.loop(member="m1"))  # m1 was started again; its former self says nothing more
        deadline = time.monotonic() + WAIT_S_MAX
        while not stage.is_stored():
            assert time.monotonic() < deadline, stage.ledger()
            for loop in loops[1:]:
                loop.step(0.05)
        assert stage.exact()
