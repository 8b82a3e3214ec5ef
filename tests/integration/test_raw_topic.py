"""`access-log.raw.v1`: what collectors write there becomes accesses of the source they name, each line once."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from services.ingest.committer import Committer
from services.ingest.plane import housekeep, open_raw_topic, open_receiver
from services.ingest.receivers import raw_topic
from services.ingest.receivers.raw_topic import GROUP, RawTopic, RawWork
from services.ingest.service import Ingest
from services.ingest.source_counts import Tally
from services.runtime import avro
from services.runtime.errors import Fatal, Transient
from services.runtime.log.interface import Fenced, Message, Partition
from services.runtime.metrics import INGEST_LINES, RAW_REFUSED
from services.runtime.stop import Stop
from services.runtime.topics import TOPICS
from tests.parts.edge import SOURCE, absorbed, combined, opened, published, records, register
from tests.parts.kafka import Broker
from tests.parts.processes import die_with_parent, find_program

TOPIC = TOPICS["access-log-raw"].name
LINES = [combined(n) for n in range(100)]
WAIT_S_MAX = 30


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    with opened(tmp_path) as found:
        yield found


def _send(
    ingest: Ingest, *values: str | bytes | None, key: str = "web", headers: Mapping[str, str] | None = None
) -> None:
    sent = {name: text.encode() for name, text in (headers or {}).items()}
    encoded = [value.encode() if isinstance(value, str) else value for value in values]
    ingest.log.send([Message(TOPIC, key.encode(), value, sent) for value in encoded])


@contextmanager
def _reading(ingest: Ingest, topic: Callable[[Ingest], RawTopic] = open_raw_topic) -> Iterator[RawTopic]:
    raw = topic(ingest)
    try:
        yield raw
    finally:
        raw._consumer.close()


def _read(ingest: Ingest, topic: Callable[[Ingest], RawTopic] = open_raw_topic) -> None:
    with _reading(ingest, topic) as raw:
        while raw.step(0.2):
            pass


def _paths(ingest: Ingest) -> list[str]:
    return absorbed(ingest.log)["path"].to_list()


def test_plain_lines_one_a_record(ingest: Ingest) -> None:
    """rsyslog's usual way; the origin is topic and partition, the position the offset."""
    _send(ingest, *LINES)
    _read(ingest)
    rows = published(ingest.log)
    assert rows["path"].to_list() == [f"/pages/{n}" for n in range(100)]
    assert rows["position"].to_list() == list(range(100))
    assert set(rows["origin"]) == {f"{ingest.log.topic_id(TOPIC)}:0"}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda line: json.dumps({"message": line, "timestamp": "2026-11-22T08:00:00Z", "source_type": "file"}),  # Vector
        lambda line: json.dumps(
            {"@timestamp": "2026-11-22T08:00:00.000Z", "@metadata": {"beat": "filebeat"}, "message": line, "log": {"offset": 7}}
        ),  # Filebeat
        lambda line: json.dumps({"message": " " + line, "host": "vm"}),  # rsyslog, a JSON template of %msg%
        lambda line: line + "\n",
    ],
    ids=["vector", "filebeat", "rsyslog", "line"],
)  # fmt: skip
def test_the_shapes_of_collectors(ingest: Ingest, wrap: Callable[[str], str]) -> None:
    """The line is in `message` of a JSON object, or is the value."""
    _send(ingest, *(wrap(line) for line in LINES[:5]))
    _read(ingest)
    assert _paths(ingest) == [f"/pages/{n}" for n in range(5)]


def test_a_source_whose_lines_are_json(ingest: Ingest) -> None:
    """Its objects are events as they stand, or in `message`."""
    ingest.add_source(replace(SOURCE, name="app", format="json"))
    ingest.clock.sleep(2)
    event = {"client_address": "192.0.2.1", "method": "GET", "path": "/a", "status": 200}
    _send(ingest, json.dumps(event), json.dumps({"message": json.dumps(event | {"path": "/b"})}), key="app")
    _read(ingest)
    assert _paths(ingest) == ["/a", "/b"]


def test_the_header_names_the_source_before_the_key(ingest: Ingest) -> None:
    """A key may be there for other reasons, such as spreading."""
    ingest.add_source(replace(SOURCE, name="shop"))
    ingest.clock.sleep(2)
    _send(ingest, LINES[0], key="7", headers={"source": "shop"})
    _send(ingest, LINES[1], key="shop")
    _read(ingest)
    assert published(ingest.log)["source"].to_list() == ["shop", "shop"]


def test_a_record_of_several_lines(ingest: Ingest) -> None:
    """Is an origin of its own: its lines are numbered, and read twice they are absorbed."""
    _send(ingest, LINES[0], "\n".join(LINES[1:4]), LINES[4], headers={"content-type": "text/plain; charset=utf-8"})
    _read(ingest)
    rows = published(ingest.log)
    assert sorted(rows["path"].to_list()) == [f"/pages/{n}" for n in range(5)]
    assert rows["origin"].n_unique() == 2


def test_what_has_no_source_is_a_dead_letter(ingest: Ingest) -> None:
    """And counted; without the key or a word of it. So are other media types and suspended tenants."""
    _send(ingest, LINES[0], key="bob@x.example")
    _send(ingest, b"\x0a\x01", headers={"content-type": "application/x-protobuf"})
    _send(ingest, LINES[1])
    _read(ingest)
    register(ingest.log, "acme", "suspended")
    ingest.clock.sleep(2)
    _send(ingest, LINES[2], LINES[3])
    _read(ingest)
    letters = [r.value or b"" for r in records(ingest.log, "dead-letter")]
    found = [avro.decode_record(letter, "dead_letter") for letter in letters]
    assert [letter["reason"] for letter in found] == ["unknown_source", "media_type", *["tenant_inactive"] * 2]
    assert [letter["offset"] for letter in found] == [0, 1, 3, 4]
    assert not any(b"bob" in letter or b"pages" in letter for letter in letters)
    assert ingest.meters.metrics.value(RAW_REFUSED, reason="tenant_inactive") == 2
    assert _paths(ingest) == ["/pages/1"]


def test_bad_lines_are_counted_and_the_rest_goes_on(ingest: Ingest) -> None:
    """Also an empty value, a tombstone and bytes that are no text."""
    _send(ingest, LINES[0], "", None, b"\xff\xfe", "{", LINES[1])
    _read(ingest)
    assert _paths(ingest) == ["/pages/0", "/pages/1"]
    counted = {name: ingest.meters.metrics.value(INGEST_LINES, outcome=name) for name in ("accepted", "empty_line")}
    assert counted == {"accepted": 2, "empty_line": 2}


def test_a_restart_goes_on_where_the_group_stood(ingest: Ingest) -> None:
    """Nothing is read twice when nothing went wrong."""
    _send(ingest, *LINES[:3])
    _read(ingest)
    _send(ingest, *LINES[3:5])
    _read(ingest)
    assert published(ingest.log)["position"].to_list() == [0, 1, 2, 3, 4]


def _dying(found: Ingest) -> RawTopic:
    """Killed right before its first commit."""

    def commit(partition: Partition, offset: int, metadata: str = "") -> None:
        raise KeyboardInterrupt

    raw = open_raw_topic(found)
    raw._consumer.commit = commit  # type: ignore[method-assign]
    return raw


def test_a_crash_before_the_commit_publishes_again_and_is_absorbed(ingest: Ingest) -> None:
    """The same origin and positions."""
    _send(ingest, *LINES[:3])
    with pytest.raises(KeyboardInterrupt):
        _read(ingest, _dying)
    ingest.clock.sleep(60)
    _read(ingest)
    assert published(ingest.log).height == 6
    assert _paths(ingest) == [f"/pages/{n}" for n in range(3)]


def test_while_nothing_is_durable_nothing_is_committed(ingest: Ingest) -> None:
    """The same records come again; with the commit first they would be lost."""

    class Away:
        away = True

        def send(self, messages: Sequence[Message], /) -> object:
            if self.away:
                raise Transient("away")
            return ingest.log.send(messages)

        def __getattr__(self, name: str) -> object:
            return getattr(ingest.publisher, name)

    away = Away()
    work = RawWork(ingest.senders, ingest.publisher, ingest.policy, ingest.meters, ingest.clock)
    with _reading(ingest, lambda i: RawTopic(i.log, work, away, i.meters, i.source_counts, member="m")) as raw:  # type: ignore[arg-type]  # a switch
        _send(ingest, *LINES[:3])
        with pytest.raises(Transient):
            raw.step(0.2)
        away.away = False
        assert raw.step(0.2)
    assert published(ingest.log)["position"].to_list() == [0, 1, 2]


def _counted(ingest: Ingest) -> Mapping[tuple[str, str], int]:
    """What the collection page is told, over all blocks."""
    found: Counter[tuple[str, str]] = Counter()
    for each in ingest.source_counts.unreported(100):
        found[each.source, each.outcome] += each.count
    return found


def test_each_source_is_counted_for_the_collection_page(ingest: Ingest) -> None:
    """Once its records are committed; what comes again after a crash before that is counted once."""
    ingest.add_source(replace(SOURCE, name="shop"))
    ingest.clock.sleep(2)
    _send(ingest, *LINES[:3], "rubbish")
    _send(ingest, *LINES[3:5], key="shop")
    _send(ingest, LINES[5], key="nobody")
    with pytest.raises(KeyboardInterrupt):
        _read(ingest, _dying)
    assert _counted(ingest) == {}
    ingest.clock.sleep(60)
    _read(ingest)
    rejected = {("web", "rejected:unknown_shape"): 1}
    assert _counted(ingest) == {("web", "accepted"): 3, ("shop", "accepted"): 2} | rejected


def test_what_could_not_be_counted_is_counted_next(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The records were away between the commit and the count."""
    add, away = ingest.source_counts.add, iter([True, True])

    def failing(*tallies: Tally) -> None:
        if next(away, False):
            raise Transient("away")
        add(*tallies)

    monkeypatch.setattr(ingest.source_counts, "add", failing)
    _send(ingest, *LINES[:3])
    with _reading(ingest) as raw:
        for _ in range(2):
            with pytest.raises(Transient):
                raw.step(0.2)
        assert not raw.step(0.2)
    assert published(ingest.log).height == 3
    assert _counted(ingest) == {("web", "accepted"): 3}


def test_a_refusal_does_not_end_the_service(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a missing permission: it is tried again until it is mended."""
    monkeypatch.setattr(raw_topic, "REFUSED_S", 0.05)
    refused = iter([Fatal("not allowed"), Fenced("another's"), Transient("away")])
    step = RawTopic.step

    def failing(self: RawTopic, timeout_s: float) -> bool:
        if (error := next(refused, None)) is not None:
            raise error
        return step(self, timeout_s)

    monkeypatch.setattr(RawTopic, "step", failing)
    monkeypatch.setattr(raw_topic, "BACKOFF_S", 0.05)
    _send(ingest, LINES[0])
    stop = Stop()
    thread = threading.Thread(target=open_raw_topic(ingest).run, args=(stop,))
    thread.start()
    deadline = time.monotonic() + WAIT_S_MAX
    while not _paths(ingest):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stop.set()
    thread.join()


def test_one_record_that_nobody_can_process_does_not_stop_the_rest(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found and dead-lettered, alone."""
    whole = RawWork._messages

    def failing(self: RawWork, found: Sequence[object], topic_id: str) -> object:
        if any(getattr(record, "value", b"") == LINES[2].encode() for record in found):
            raise RuntimeError
        return whole(self, found, topic_id)  # type: ignore[arg-type]

    monkeypatch.setattr(RawWork, "_messages", failing)
    _send(ingest, *LINES[:5])
    _read(ingest)
    assert _paths(ingest) == ["/pages/0", "/pages/1", "/pages/3", "/pages/4"]
    assert ingest.meters.metrics.value(RAW_REFUSED, reason="poison") == 1


def test_on_the_embedded_log_its_term_is_kept_too(ingest: Ingest) -> None:
    """Clear lines are gone after a day, read or not."""
    committer = Committer(ingest.request_claims, ingest.publisher, ingest.clock)
    try:
        receiver = open_receiver(ingest, committer)
        _send(ingest, *LINES[:3])
        ingest.clock.sleep(3_600 * 23)
        housekeep(ingest, receiver)
        assert len(records(ingest.log, "access-log-raw")) == 3
        ingest.clock.sleep(3_600 * 2)
        housekeep(ingest, receiver)
        assert len(records(ingest.log, "access-log-raw")) == 0
    finally:
        committer.close()


# --- real senders to a real broker -------------------------------------------------------------------------------

_RSYSLOG = """\
global(workDirectory="{folder}")
module(load="imfile" mode="inotify")
module(load="omkafka")
template(name="json" type="list" option.jsonf="on") {{
  property(outname="message" name="msg" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
}}
input(type="imfile" File="{folder}/access.log" Tag="nginx:" freshStartTail="off")
action(type="omkafka" broker="{servers}" topic="access-log.raw.v1" key="web" template="json"
  partitions.auto="on" confParam=["compression.codec=none"])
"""


@pytest.mark.senders
def test_rsyslogs_omkafka_and_kcat(kafka_broker: Broker, tmp_path: Path) -> None:
    """A file by omkafka as JSON, and records with headers by kcat; a second member finds nothing left. As plain text:
    tests/integration/test_collector_pages.py."""
    (tmp_path / "access.log").write_text("".join(f"{line}\n" for line in LINES))
    config = tmp_path / "rsyslog.conf"
    config.write_text(_RSYSLOG.format(folder=tmp_path, servers=kafka_broker.servers))
    with opened(tmp_path / "ingest", kafka_broker.url) as ingest:
        kcat = ["kcat", "-P", "-b", kafka_broker.servers, "-t", TOPIC, "-H", "source=web"]
        subprocess.run(
            kcat, input="\n".join(json.dumps({"message": combined(n)}) for n in range(100, 110)).encode(), check=True
        )
        daemon = str(find_program("rsyslogd"))
        command = [daemon, "-n", "-f", str(config), "-i", str(tmp_path / "pid")]
        process = subprocess.Popen(command, preexec_fn=die_with_parent)  # noqa: PLW1509
        try:
            with _reading(ingest) as raw:
                deadline = time.monotonic() + WAIT_S_MAX
                while len(_paths(ingest)) < 110:
                    raw.step(0.5)
                    assert time.monotonic() < deadline, len(_paths(ingest))
        finally:
            process.terminate()
            process.wait(10)
        assert sorted(_paths(ingest)) == sorted(f"/pages/{n}" for n in range(110))
        ends = [ingest.log.offsets(p)[1] for p in ingest.log.partitions(TOPIC)]
        committed = [ingest.log.group_offset(GROUP, p) for p in ingest.log.partitions(TOPIC)]
        assert [c.offset if c else 0 for c in committed] == ends
