"""`access-log.raw.v1`: lines that collectors write to Kafka themselves (rsyslog omkafka, Vector, Filebeat).

The source is named by the header `source`, else by the key: who may write the topic speaks for every source,
so the broker's ACLs decide who that is. A record's origin is its topic and partition and its position its
offset, so reading a range again after a crash changes nothing; therefore a plain consumer that commits once
the batch is durable is enough, without plans and a ledger (docs/adr/0097-the-raw-topic.md).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from services.ingest.accounting import NOTHING, Outcome
from services.ingest.batches import Part
from services.ingest.lines import Lines, split_lines
from services.ingest.meters import Meters
from services.ingest.preparing import LETTERS_MAX, Policy, Prepared, prepare
from services.ingest.publisher import Publisher
from services.ingest.senders import Sender, Senders
from services.ingest.source_counts import SourceCounts, Tally
from services.runtime.clock import Clock
from services.runtime.dead_letters import dead_letter
from services.runtime.errors import Fatal, Transient, VoileError
from services.runtime.log.interface import EventLog, Fenced, Message, Partition, Record
from services.runtime.logs import get_logger
from services.runtime.metrics import RAW_REFUSED, RECORDS_LOST
from services.runtime.stop import Stop
from services.runtime.topics import TOPICS

__all__ = ["GROUP", "RawTopic", "RawWork"]

GROUP = "ingest"
RECORDS_MAX = 5_000  # in one batch; of the usual lines about 1.5 MB
POLL_S = 0.5
GATHER_S_MAX, QUIET_S = 1.0, 0.05  # how long a first record waits for company: at most, and while none comes
BACKOFF_S = 1.0
REFUSED_S = 10.0  # a missing permission is the operator's to mend
_TOPIC = TOPICS["access-log-raw"].name
_LINES = frozenset({"", "text/plain", "application/json", "application/x-ndjson", "application/ndjson"})


class RawWork:
    """Records -> messages for `access-log.v1`, and what became of each source's lines. Nothing here is written."""

    def __init__(self, senders: Senders, publisher: Publisher, policy: Policy, meters: Meters, clock: Clock) -> None:
        self._senders, self._publisher, self._policy = senders, publisher, policy
        self._meters, self._clock = meters, clock

    def messages(self, records: Sequence[Record], topic_id: str) -> tuple[list[Message], list[Tally]]:
        """Of one partition. A record that nobody can process is found by halves, dead-lettered. Raises `Transient`."""
        try:
            return self._messages(records, topic_id)
        except (VoileError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # polars' PanicException is no Exception
            if len(records) == 1:
                return [self._refused(records[0], "poison")], []
        half = len(records) // 2
        first, before = self.messages(records[:half], topic_id)
        second, after = self.messages(records[half:], topic_id)
        return [*first, *second], [*before, *after]

    def _messages(self, records: Sequence[Record], topic_id: str) -> tuple[list[Message], list[Tally]]:
        admitted, messages = self._admitted(records)
        tallies: list[Tally] = []
        for sender, found in admitted:
            batches = [self._prepared(sender, lines, origin) for lines, origin in _lines(found, topic_id, sender)]
            parts = [Part(origin, each.accepted, each.runs) for each, origin in batches]
            letters = [letter for each, _ in batches for letter in each.letters][:LETTERS_MAX]
            messages += self._publisher.messages(sender.source.name, parts)
            messages += self._publisher.letters(sender.source.name, letters, self._clock.now())
            outcome = sum((_outcome(each) for each, _ in batches), NOTHING)
            tallies.append(Tally(sender.source.name, outcome, self._clock.now()))
        return messages, tallies

    def _admitted(self, records: Sequence[Record]) -> tuple[list[tuple[Sender, list[Record]]], list[Message]]:
        """By sender; and dead letters for those that have none."""
        admitted: dict[str, tuple[Sender, list[Record]]] = {}
        refused: list[Message] = []
        for record in records:
            sender = self._senders.named(_source(record))
            if sender is None or (reason := self._refusal(record, sender)):
                refused.append(self._refused(record, "unknown_source" if sender is None else reason))
            else:
                admitted.setdefault(sender.source.name, (sender, []))[1].append(record)
        return list(admitted.values()), refused[:LETTERS_MAX]

    def _refused(self, record: Record, reason: str) -> Message:
        self._meters.metrics.count(RAW_REFUSED, reason=reason)
        return dead_letter(record, reason, GROUP, self._clock.now())

    def _refusal(self, record: Record, sender: Sender) -> str:
        media = record.headers.get("content-type", b"").partition(b";")[0].strip().lower()
        if media.decode(errors="replace") not in _LINES:
            return "media_type"
        return "" if self._senders.is_active(sender) else "tenant_inactive"

    def _prepared(self, sender: Sender, lines: Lines, origin: str) -> tuple[Prepared, str]:
        self._meters.text("raw", int(lines.sizes.sum()))
        prepared = prepare(lines, sender.format, sender.source, self._policy, self._clock.now())
        self._meters.cut(prepared)
        return prepared, origin


@dataclass(slots=True)
class _Place:
    topic_id: str
    next: int


class RawTopic:
    """One member of the group `ingest`. Use from one thread.

    Lines are counted for the collection page once their records are committed: those under way when the process is
    killed are missing there, and none is there twice."""

    def __init__(
        self, log: EventLog, work: RawWork, publisher: Publisher, meters: Meters, counts: SourceCounts, *, member: str
    ) -> None:
        self._log, self._work, self._publisher, self._meters, self._counts = log, work, publisher, meters, counts
        self._uncounted: list[Tally] = []
        self._consumer = log.consumer(GROUP, [_TOPIC], member)
        self._places: dict[Partition, _Place] = {}

    def run(self, stop: Stop) -> None:
        """Until `stop`; the batch in hand is finished. Whatever keeps it from this topic, the other receivers go on."""
        try:
            while not stop.is_set:
                try:
                    self.step(POLL_S)
                except VoileError as error:
                    get_logger().warning("raw topic waits", topic=_TOPIC, reason=str(error))
                    stop.wait(BACKOFF_S if isinstance(error, Transient) else REFUSED_S)
        finally:
            self._consumer.close()

    def step(self, timeout_s: float) -> bool:
        """One turn: at most one batch, durable and then committed. True when there was one. Raises `Transient`, after
        which the same records come again."""
        try:
            self._count()
            self._join()
            records = self._gathered(timeout_s)
            for partition, found in _by_partition(records).items():
                self._take(partition, found)
        except Fenced:
            self._go_back()  # what is another's by now is not delivered any more
            return False
        except (Transient, Fatal):
            self._go_back()
            raise
        return bool(records)

    def _gathered(self, timeout_s: float) -> list[Record]:
        """A publish and a commit cost as much for one record as for thousands, and a poll may bring one."""
        records = list(self._consumer.poll(RECORDS_MAX, timeout_s))
        until = time.monotonic() + GATHER_S_MAX
        while records and len(records) < RECORDS_MAX and time.monotonic() < until:
            more = self._consumer.poll(RECORDS_MAX - len(records), QUIET_S)
            if not more:
                break
            records += more
        return records

    def _join(self) -> None:
        for partition in self._consumer.take_assigned():
            topic_id = self._log.topic_id(partition.topic)
            following = self._begin(partition, topic_id)
            self._consumer.resume(partition, following)
            self._places[partition] = _Place(topic_id, following)

    def _begin(self, partition: Partition, topic_id: str) -> int:
        """Where the group stands. What expired meanwhile is lost and counted."""
        first, end = self._log.offsets(partition)
        committed = self._consumer.committed(partition)
        if committed is None or committed.metadata != topic_id or committed.offset > end:
            return first  # never read, or made again: its offsets begin anew
        if committed.offset < first:
            self._meters.metrics.count(RECORDS_LOST, first - committed.offset, group=GROUP, topic=_TOPIC)
            get_logger().error("raw records expired unread", topic=_TOPIC, lost=first - committed.offset)
        return max(first, committed.offset)

    def _take(self, partition: Partition, records: Sequence[Record]) -> None:
        place = self._places[partition]
        messages, tallies = self._work.messages(records, place.topic_id)
        self._publisher.send(messages)
        following = records[-1].offset + 1
        self._consumer.commit(partition, following, place.topic_id)
        place.next = following
        self._meters.lines(sum((tally.outcome for tally in tallies), NOTHING))
        self._uncounted += tallies
        self._count()

    def _count(self) -> None:
        """What was not, because the records were away, is before anything else is read."""
        if self._uncounted:
            self._counts.add(*self._uncounted)
            self._uncounted.clear()

    def _go_back(self) -> None:
        """What was polled and is not committed is delivered again."""
        for partition, place in self._places.items():
            self._consumer.resume(partition, place.next)


def _by_partition(records: Sequence[Record]) -> Mapping[Partition, list[Record]]:
    found: dict[Partition, list[Record]] = defaultdict(list)
    for record in records:
        found[record.partition].append(record)
    return found


def _source(record: Record) -> str:
    return (record.headers.get("source") or record.key).decode(errors="replace")


def _lines(records: Sequence[Record], topic_id: str, sender: Sender) -> Iterator[tuple[Lines, str]]:
    """Records of one line together; one that has several is an origin of its own, its lines numbered in it."""
    partition = records[0].partition
    single: list[tuple[int, bytes]] = []
    for record in records:
        value = (record.value or b"").removesuffix(b"\n")
        if b"\n" in value:
            lines = split_lines(value)
            numbered = Lines(lines.text, pl.arange(0, len(lines), eager=True), lines.sizes)
            yield _unwrapped(numbered, sender), f"{topic_id}:{partition.number}:{record.offset}"
        else:
            single.append((record.offset, value))
    if single:
        lines = split_lines(b"".join(value + b"\n" for _, value in single))
        offsets = pl.Series([offset for offset, _ in single], dtype=pl.Int64)
        yield _unwrapped(Lines(lines.text, offsets, lines.sizes), sender), f"{topic_id}:{partition.number}"


def _unwrapped(lines: Lines, sender: Sender) -> Lines:
    """Collectors put the line into `message` of a JSON object. A format that is itself JSON is taken as it stands,
    unless its object is in there."""
    inner = lines.text.str.json_path_match("$.message")
    wanted = inner.is_not_null()
    if sender.format.is_json:
        wanted &= inner.str.starts_with("{").fill_null(False)
    text = inner.zip_with(wanted, lines.text).str.strip_chars(" \r\n")  # rsyslog's `msg` begins with a blank
    return Lines(text, lines.positions, text.str.len_bytes().cast(pl.Int64))


def _outcome(prepared: Prepared) -> Outcome:
    return Outcome(prepared.lines, prepared.accepted.height, 0, prepared.rejected)
