"""P3: a file's lines -> acknowledged by a real Kafka. Ours parses, validates and encodes them; rsyslog sends them as they are.

Ours is the command `voile import`, start included, against rsyslog's imfile -> omkafka, start included. Both ask for
acks=all and zstd. What lies in the topic afterwards is counted: rows of our batches, messages of rsyslog's.

Run: python -m bench.p3_ingest [LINES]
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import count
from pathlib import Path

from confluent_kafka import libversion
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its stubs forget to export it

from bench.harness import ROUNDS, Measured, Side, measure_command, report, run_sides
from bench.logs import access_log
from services.runtime.batches import decode_access_batch
from services.runtime.errors import Transient
from services.runtime.log import open_log
from services.runtime.log.interface import EventLog, Partition
from services.runtime.settings import Kafka
from services.runtime.topics import TOPICS
from tests.e2e.installation import Installation
from tests.parts.kafka import Broker, find_jars

LINES = 2_000_000  # of fewer, the start of an import is a large part
TENANT = "harbour"

# `freshStartTail` is off: the file is read from its beginning. The queue is large enough never to hold the reader up.
RSYSLOG = """
global(workDirectory="{folder}" maxMessageSize="64k")
module(load="imfile" mode="inotify")
module(load="omkafka")
template(name="line" type="string" string="%msg%")
input(type="imfile" file="{log}" tag="access" ruleset="send" readMode="0")
ruleset(name="send" queue.type="LinkedList" queue.size="200000" queue.dequeueBatchSize="4096") {{
    action(type="omkafka" broker="{servers}" topic="{topic}" template="line" partitions.auto="on"
           confParam=["compression.codec=zstd", "acks=all", "linger.ms=5", "queue.buffering.max.messages=1000000"])
}}
"""


def main(arguments: Sequence[str]) -> None:
    lines = int(arguments[0]) if arguments else LINES
    log = access_log(lines)
    with (
        tempfile.TemporaryDirectory(prefix="voile-bench-") as folder,
        Broker(Path(folder, "kafka"), find_jars()) as kafka,
    ):
        round_ = count()
        sides = [
            Side(
                "Voile: `voile import`, parsed and validated", lambda: ours(Path(folder, f"{next(round_)}"), kafka, log)
            ),
            Side(
                "rsyslog: imfile to omkafka, not parsed",
                lambda: rsyslog(Path(folder, f"{next(round_)}"), kafka, log, lines),
            ),
        ]
        found = run_sides(sides)
        one_line = Path(folder, "one-line.log")
        one_line.write_bytes(log.read_bytes().partition(b"\n")[0] + b"\n")
        starts = [ours(Path(folder, f"{next(round_)}"), kafka, one_line).cpu_s for _ in range(ROUNDS)]
    print(report("P3: lines of a file -> acknowledged by Kafka", found, _versions()))
    print(_apart(found, statistics.median(starts)))


def _apart(found: Mapping[str, Sequence[Measured]], start_s: float) -> str:
    """Our command's start apart from its lines: a file ten times as long pays it once."""
    us, theirs = (statistics.median(m.cpu_s / m.count * 1e6 for m in runs) for runs in found.values())
    lines = next(iter(found.values()))[0].count
    beyond = us - start_s / lines * 1e6
    return (
        f"Of ours, {start_s:.2f} s of CPU are the start (an import of one line); beyond it a line costs "
        f"{beyond:.2f} us, {beyond / theirs:.2f} of rsyslog's with its start.\n"
    )


def ours(folder: Path, kafka: Broker, log: Path) -> Measured:
    """A new installation each time: nothing was taken before, so every line is new."""
    voile = Installation(folder, {"VOILE_EVENTS": kafka.url})
    source = f"web-{uuid.uuid4().hex[:8]}"  # the topic is the same each time
    voile.voile("tenant", "add", TENANT)
    voile.voile("source", "add", source, "--tenant", TENANT, "--format", "combined")
    command = [sys.executable, "-m", "services.cli.main", "import", str(log), "--source", source, "--json"]
    events = open_log(kafka.url, Kafka())
    try:
        return measure_command(command, voile.env, count=lambda _: _rows(events, source))
    finally:
        events.close()


def rsyslog(folder: Path, kafka: Broker, log: Path, lines: int) -> Measured:
    folder.mkdir()
    topic = f"lines-{uuid.uuid4().hex[:8]}"
    partitions = TOPICS["access-log"].partitions
    admin = AdminClient({"bootstrap.servers": kafka.servers})
    for made in admin.create_topics([NewTopic(topic, partitions, 1)]).values():
        made.result(10)
    config = folder / "rsyslog.conf"
    config.write_text(RSYSLOG.format(folder=folder, log=log, servers=kafka.servers, topic=topic))
    command = [_rsyslogd(), "-n", "-f", str(config), "-i", str(folder / "pid")]
    events = open_log(kafka.url, Kafka())
    try:
        places = events.partitions(topic)
        return measure_command(
            command, done=lambda: _messages(events, places) >= lines, count=lambda _: _messages(events, places)
        )
    finally:
        events.close()


def _rows(events: EventLog, source: str) -> int:
    follower = events.follower([TOPICS["access-log"].name])
    try:
        values = [r.value for r in follower.poll() if r.key == source.encode() and r.value]
    finally:
        follower.close()
    return sum(decode_access_batch(value).frame.height for value in values)


def _messages(events: EventLog, places: Sequence[Partition]) -> int:
    """Acknowledged ones: an offset is given when the only broker has the message. 0 when it is too busy to say."""
    try:
        bounds = [events.offsets(place) for place in places]
    except Transient:
        return 0
    return sum(last - first for first, last in bounds)


def _rsyslogd() -> str:
    found = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin")
    assert found, "no rsyslogd here (Debian: rsyslog rsyslog-kafka)"
    return found


def _versions() -> dict[str, str]:
    said = subprocess.run([_rsyslogd(), "-v"], check=True, capture_output=True, text=True).stdout
    kafka = next(find_jars().glob("kafka_*.jar")).stem
    return {"rsyslog": said.split()[1], "broker": kafka, "our librdkafka": libversion()[0], "polars": version("polars")}


if __name__ == "__main__":
    main(sys.argv[1:])
