"""The consumer loop: plan, write as one part with its ledger row, verify, commit; repair on assignment.

Source of the method: eBay's Block Aggregator (the plan lies in the commit metadata), with a ledger in
the data that is the authority; `docs/adr/0010-plan-ledger-and-poison.md` has the decisions.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from services.runtime.clock import Clock
from services.runtime.consumer_report import Report
from services.runtime.dead_letters import dead_letter
from services.runtime.errors import Fatal, Transient
from services.runtime.log.interface import EventLog, Fenced, Partition, Record
from services.runtime.metrics import Metrics
from services.runtime.plans import Note, Plan, read_note, write_note
from services.runtime.recovery import Recovery, overlaps, recover
from services.runtime.stop import Stop
from services.runtime.work import ATTEMPTS_MAX, BatchPolicy, Work, cut, has_room, next_attempt

__all__ = ["BatchPolicy", "Plan", "PlannedConsumer", "Sink"]

POISON_IN_A_ROW_MAX = 10  # more is a bad release or store, not bad input: stop before the topic is emptied
BACKOFF_S_MIN, BACKOFF_S_MAX = 0.1, 10.0
POLL_S = 0.5  # how long a turn waits for input; a stop is noticed within it


class Sink(Protocol):
    """Where a loop writes. Implemented by the statistics worker (one ClickHouse part) and the enricher
    (one SQL transaction)."""

    @property
    def lookups(self) -> str:
        """Version of every look-up that a row depends on; at most 2 kB, it goes into the plan."""
        ...

    def ranges(self, topic_id: str, partition: Partition) -> Sequence[tuple[int, int]]:
        """The ledger's closed offset ranges, sorted; they must tile without gaps."""
        ...

    def write(self, plan: Plan, records: Sequence[Record]) -> None:
        """Store the rows of `records` and the ledger row of `plan` atomically, and verify.

        Final is final: when a ledger row with this exact range stands and is intact, nothing is done.
        When ledger rows overlap the range without being it, another member has cut it otherwise:
        raise `Fenced`. A record that cannot be decoded is dead-lettered by its reason and counted as
        rejected in the ledger row. Raises `Transient` (retry the same plan); anything else counts as
        a failed attempt.
        """
        ...

    def skip(self, plan: Plan, reason: str) -> None:
        """Write only a ledger row: the range expired in the log (`lost`) or its one record is `poison`.
        Final is final here too."""
        ...


class PlannedConsumer:
    """One member of a group and its sink. Use from one thread.

    `prepare` is called before each batch (follow signals, watch the disk) and may raise `Transient`.
    """

    def __init__(
        self,
        log: EventLog,
        sink: Sink,
        topics: Sequence[str],
        group: str,
        member: str,
        *,
        clock: Clock,
        policy: BatchPolicy | None = None,
        prepare: Callable[[], None] = lambda: None,
        metrics: Metrics | None = None,
    ) -> None:
        self._log, self._sink, self._clock, self._group = log, sink, clock, group
        self._policy, self._prepare = policy or BatchPolicy(), prepare
        self._report = Report(metrics or Metrics(), group)
        self._consumer = log.consumer(group, topics, member)
        self._queue: deque[Work] = deque()
        self._ledgers: dict[Partition, tuple[str, int]] = {}  # topic id, and the first offset of the ledger
        self._next: dict[Partition, int] = {}  # the offset that a poll must bring next
        self._failures = self._poison_in_a_row = 0

    def run(self, stop: Stop) -> None:
        """Until asked to stop; the batch in hand is finished. Raises `Fatal`."""
        try:
            while not stop.is_set:
                self.step(POLL_S)
                stop.wait(self.delay_s)
        finally:
            self.close()

    def step(self, timeout_s: float) -> bool:
        """One turn: at most one batch. True when one was stored. Raises `Fatal`; the rest is dealt with."""
        try:
            self._prepare()
            self._join()
            if not self._queue:
                self._gather(timeout_s)
            stored = self._store_next()
        except Fenced:
            self._start_over()
            return False
        except Transient as error:
            self._failures += 1
            self._report.waits(self.delay_s, str(error))
            return False
        self._failures = 0
        return stored

    @property
    def delay_s(self) -> float:
        """How long to wait before the next turn: 0, or more and more while a dependency is away."""
        return min(BACKOFF_S_MAX, BACKOFF_S_MIN * 2 ** min(self._failures, 10)) if self._failures else 0.0

    def close(self) -> None:
        self._consumer.close()

    # --- assignment: repair first ---

    def _join(self) -> None:
        """Serve the group; a partition that is new to us is repaired before anything else of it is read."""
        assigned = self._consumer.take_assigned()
        started_over = {p for p in self._ledgers if p not in self._next and self._consumer.owns(p)}
        gone = {p for p in self._next if not self._consumer.owns(p)}
        self._drop(assigned | gone)
        for partition in sorted(assigned | started_over):
            self._recover(partition)

    def _recover(self, partition: Partition) -> None:
        """Plans the repairs. Nothing is stored here, so a dependency that is away leaves no trace."""
        topic_id = self._log.topic_id(partition.topic)
        committed = self._consumer.committed(partition)
        note = read_note(committed, partition)
        if note is not None and note.topic_id != topic_id:
            note = committed = None  # the topic was made again: its offsets begin anew, and so does its ledger
        ledger = self._sink.ranges(topic_id, partition)
        bounds = self._log.offsets(partition)
        found = recover(note, committed, ledger, bounds)
        if found.resume > bounds[1]:
            raise Transient(f"The topic {partition.topic} ends before what is stored already; was it restored?")
        works = self._repairs(partition, topic_id, found)
        self._ledgers[partition] = (topic_id, found.base)
        if not works and found.resume > (committed.offset if committed else bounds[0]):
            self._commit(
                partition, found.resume, None
            )  # else what a predecessor stored looks like lag until more comes
        self._report.recovered(partition, found, overlaps(ledger))
        self._queue += works
        self._next[partition] = found.resume
        self._consumer.resume(partition, found.resume)

    def _repairs(self, partition: Partition, topic_id: str, found: Recovery) -> list[Work]:
        """The open plan first: the commit that tells of it is replaced by the next plan's."""
        lost = [Work(self._plan(partition, topic_id, *span), None, lost=True) for span in found.lost]
        gaps = [Work(self._plan(partition, topic_id, *span), None) for span in found.gaps]
        return [*(self._redo(found.redo) if found.redo else ()), *lost, *gaps]

    def _redo(self, plan: Plan) -> list[Work]:
        """The same range, day and look-ups as the predecessor planned; one attempt more."""
        records = self._consumer.read(plan.partition, plan.first, plan.last)
        return next_attempt(Work(plan, records))

    # --- reading ---

    def _gather(self, timeout_s: float) -> None:
        """Poll, wait a little for company, and cut what came into batches."""
        records = list(self._consumer.poll(self._policy.records_max, timeout_s))
        until = time.monotonic() + self._policy.wait_s  # waiting for input is the machine's time, not the clock's
        while records and has_room(records, self._policy) and (left := until - time.monotonic()) > 0:
            more = self._consumer.poll(self._policy.records_max - len(records), min(left, self._policy.quiet_s))
            if not more:
                break
            records += more
        by_partition: dict[Partition, list[Record]] = {}
        for record in records:
            by_partition.setdefault(record.partition, []).append(record)
        for partition, found in by_partition.items():
            self._enqueue(partition, found)

    def _enqueue(self, partition: Partition, records: Sequence[Record]) -> None:
        if not self._follows(partition, records[0].offset):
            return
        topic_id, _ = self._ledgers[partition]
        plan = self._plan(partition, topic_id, self._next[partition], records[-1].offset)
        self._queue += cut(plan, records, self._policy)
        self._next[partition] = records[-1].offset + 1

    def _follows(self, partition: Partition, first: int) -> bool:
        """Whether a record at `first` may be next. The log may have jumped: what expired is lost (and said so),
        what never was (compaction, markers) belongs to the next plan; anything else is polled again."""
        expected = self._next.get(partition)
        if expected is None or first < expected:
            return False  # revoked while we polled, or delivered twice
        start, _ = self._log.offsets(partition)
        if first > expected and expected < start:
            gone = min(first, start) - 1
            plan = self._plan(partition, self._ledgers[partition][0], expected, gone)
            self._queue.append(Work(plan, None, lost=True))
            self._next[partition] = expected = gone + 1
        if first > expected and self._consumer.read(partition, expected, first - 1):
            self._consumer.resume(partition, expected)
            return False
        return True

    def _plan(self, partition: Partition, topic_id: str, first: int, last: int) -> Plan:
        return Plan(partition, topic_id, first, last, self._clock.now().date(), self._sink.lookups)

    def _load(self, gap: Work) -> list[Work]:
        """The first batches of a gap with their records, and the rest of it still to be read."""
        plan = gap.plan
        here = replace(plan, last=min(plan.last, plan.first + self._policy.records_max - 1))
        rest = [replace(gap, plan=replace(plan, first=here.last + 1))] if here.last < plan.last else []
        return [*cut(here, self._consumer.read(plan.partition, here.first, here.last), self._policy), *rest]

    # --- writing ---

    def _store_next(self) -> bool:
        """Plan, write, confirm. The head of the queue stays until confirmed, so a retry is the same plan."""
        if not self._queue:
            return False
        self._load_head()
        work, started = self._queue[0], time.monotonic()
        if not work.stored:
            self._commit_plan(work.plan)
            if not self._written(work):
                return False
            self._queue[0] = replace(work, stored=True)
        self._confirm(work.plan)
        self._queue.popleft()
        self._report.stored(work, time.monotonic() - started, self._behind(work.plan))
        return True

    def _load_head(self) -> None:
        head = self._queue[0]
        if head.records is None and not head.lost:
            self._replace_head(self._load(head))

    def _written(self, work: Work) -> bool:
        """False when it failed for a reason of its own: then the queue's head is its next attempt."""
        if work.lost:
            self._sink.skip(work.plan, "lost")
            self._report.lost(work.plan)
        elif work.plan.attempt > ATTEMPTS_MAX:
            self._give_up(work)
        else:
            return self._tried(work)
        return True

    def _tried(self, work: Work) -> bool:
        try:
            self._sink.write(work.plan, work.records or ())
        except (Transient, Fenced, Fatal):
            raise
        except Exception as error:
            self._report.failed(work.plan, error)
            self._replace_head(next_attempt(work))
            return False
        self._poison_in_a_row = 0
        return True

    def _give_up(self, work: Work) -> None:
        """Dead-letter first: a crash in between repeats the message, which is better than none."""
        self._poison_in_a_row += 1
        if self._poison_in_a_row > POISON_IN_A_ROW_MAX:
            raise Fatal(
                f"More than {POISON_IN_A_ROW_MAX} records in a row of {work.plan.partition.topic} could not be stored; "
                "look at the service's log for their error, mend it and start again. Nothing is skipped until then."
            )
        self._log.send([dead_letter(record, "poison", self._group, self._clock.now()) for record in work.records or ()])
        self._sink.skip(work.plan, "poison")
        self._report.gave_up(work.plan)

    def _commit_plan(self, plan: Plan) -> None:
        self._commit(plan.partition, plan.first, plan)

    def _confirm(self, plan: Plan) -> None:
        """Up to the first offset of this partition that is not stored: what waits in the queue, or comes next."""
        waiting = [w.plan.first for w in self._queue if not w.stored and w.plan.partition == plan.partition]
        self._commit(plan.partition, min(waiting, default=self._next[plan.partition]), None)

    def _commit(self, partition: Partition, offset: int, plan: Plan | None) -> None:
        topic_id, base = self._ledgers[partition]
        self._consumer.commit(partition, offset, write_note(Note(topic_id, base, plan)))

    def _behind(self, plan: Plan) -> int | None:
        try:
            return self._log.offsets(plan.partition)[1] - plan.last - 1
        except Transient:
            return None  # the batch is stored; how far behind we are can wait

    # --- dropping ---

    def _replace_head(self, works: Sequence[Work]) -> None:
        self._queue.popleft()
        self._queue.extendleft(reversed(works))

    def _drop(self, partitions: set[Partition] | frozenset[Partition]) -> None:
        self._queue = deque(work for work in self._queue if work.plan.partition not in partitions)
        for partition in partitions:
            self._next.pop(partition, None)

    def _start_over(self) -> None:
        """Someone else may have done what we hold: what is still ours is recovered like a new partition."""
        self._report.fenced(len(self._queue))
        self._failures += 1
        self._drop(self._next.keys() | set())
