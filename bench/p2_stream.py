"""P2: from a real Kafka to stored events, against Quix Streams without its store.

Ours is the statistics plane's own worker: batches from the topic, all steps, 25 columns and a ledger row into the embedded
store, every part looked at, plans and offsets committed. Quix reads the same events, one JSON message each, decodes
them, puts one keyed hash on every row and keeps nothing. Its environment is made the first time, in `.cache/bench/quix`.
Both are new members of a new group; joining it is counted on both sides, the start of the process is not.

Run: python -m bench.p2_stream [EVENTS]                   # needs Java
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from itertools import count
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its stubs forget to export it

from bench.harness import Measured, Side, report, run_sides
from bench.logs import cache
from bench.p1_count import cpu_s
from bench.traffic import write_batches
from services.runtime.batches import decode_access_batch
from services.runtime.clock import SystemClock
from services.runtime.database import open_records, upgrade
from services.runtime.log import open_log
from services.runtime.log.interface import Message
from services.runtime.logs import configure_logs
from services.runtime.metrics import RECORDS_STORED
from services.runtime.settings import Kafka, Settings
from services.runtime.topics import TOPICS
from services.stats.records import MIGRATIONS
from services.stats.service import GROUP, open_statistics
from tests.parts.kafka import Broker, find_jars

EVENTS = 600_000
QUIX = "3.28.1"
SIDE_S_MAX = 600
JSON_TOPIC = "access-json"
PRODUCER = {"acks": "all", "compression.type": "zstd", "linger.ms": 50, "queue.buffering.max.messages": 1_000_000}


def main(arguments: Sequence[str]) -> None:
    if arguments[:1] == ["--ours"]:
        run_ours(Path(arguments[1]), arguments[2], int(arguments[3]))
        return
    events = int(arguments[0]) if arguments else EVENTS
    python = quix_environment()
    with (
        tempfile.TemporaryDirectory(prefix="voile-bench-") as folder,
        Broker(Path(folder, "kafka"), find_jars()) as kafka,
    ):
        records = publish(Path(folder), kafka, events)
        round_ = count()
        sides = [
            Side("Voile worker", lambda: ours(Path(folder, f"{next(round_)}"), kafka, records)),
            Side("Quix Streams: JSON, one keyed hash a row, no store", lambda: quix(python, kafka, events)),
        ]
        found = run_sides(sides)
    versions = {"quixstreams": QUIX, **{name: version(name) for name in ("chdb", "polars")}, "broker": _broker()}
    print(report("P2: Kafka -> stored events", found, versions))


def quix_environment() -> Path:
    """Its interpreter."""
    folder = cache() / f"quix-{QUIX}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", f"quixstreams=={QUIX}"], check=True)
        (folder / "complete").touch()
    return python


# --- what both read ---------------------------------------------------------------------------------------------------


def publish(folder: Path, kafka: Broker, events: int) -> int:
    """The same events twice: as our batches, and as JSON messages. Returns how many batches there are."""
    batches = folder / "batches"
    batches.mkdir()
    files = write_batches(batches, events)
    log = open_log(kafka.url, Kafka())
    log.ensure_topics(list(TOPICS.values()))
    for path in files:
        log.send([Message(TOPICS["access-log"].name, b"web", path.read_bytes())])
    log.close()
    admin = AdminClient({"bootstrap.servers": kafka.servers})
    admin.create_topics([NewTopic(JSON_TOPIC, 1, 1)])[JSON_TOPIC].result(10)
    producer = Producer({"bootstrap.servers": kafka.servers, **PRODUCER})
    for path in files:
        for message in _messages(path):
            producer.produce(JSON_TOPIC, message, key=b"web")
        producer.flush(SIDE_S_MAX)
    return len(files)


def _messages(path: Path) -> Iterator[bytes]:
    frame = decode_access_batch(path.read_bytes()).frame
    yield from (line.encode() for line in frame.write_ndjson().splitlines())


# --- the sides --------------------------------------------------------------------------------------------------------


def ours(folder: Path, kafka: Broker, records: int) -> Measured:
    """A new installation each time, and a group that the broker does not know: it reads the topic from its beginning."""
    folder.mkdir()
    _forget_group(AdminClient({"bootstrap.servers": kafka.servers}))
    return _measured([sys.executable, "-m", "bench.p2_stream", "--ours", str(folder), kafka.url, str(records)])


def _forget_group(admin: AdminClient) -> None:
    """A member that left is kept for a while; until then its group cannot be deleted."""
    deadline = time.monotonic() + SIDE_S_MAX
    while True:
        try:
            admin.delete_consumer_groups([GROUP])[GROUP].result(10)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return
            assert time.monotonic() < deadline, "the group of the last round does not end"
            time.sleep(0.2)


def quix(python: Path, kafka: Broker, events: int) -> Measured:
    side = Path(__file__).parent / "peers" / "quix_count.py"
    return _measured([str(python), str(side), kafka.servers, JSON_TOPIC, str(events)])


def _measured(command: Sequence[str]) -> Measured:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=SIDE_S_MAX)
    found = json.loads(done.stdout.splitlines()[-1])
    return Measured(found["count"], found["wall_s"], found["cpu_s"])


def run_ours(folder: Path, events: str, records: int) -> None:
    """In a process of its own: the worker, until all `records` are in the store."""
    configure_logs("bench", "error")
    logging.disable(logging.CRITICAL)
    settings = Settings.model_validate({"data": folder, "events": events})
    engine = open_records(settings.url(settings.statistics.records))
    upgrade(engine, MIGRATIONS)
    engine.dispose()
    statistics = open_statistics(settings, SystemClock())
    wall, cpu = time.monotonic(), cpu_s()
    worker = statistics.worker("bench")
    topic = TOPICS["access-log"].name
    while statistics.metrics.value(RECORDS_STORED, group=GROUP, topic=topic) < records:
        assert time.monotonic() < wall + SIDE_S_MAX, "the worker does not come to the end of the topic"
        worker.step(0.5)
    wall, cpu = time.monotonic() - wall, cpu_s() - cpu
    stored = statistics.reading.frame("SELECT count() AS n FROM events WHERE kind = 'event'")
    print(json.dumps({"count": int(stored["n"][0]), "wall_s": wall, "cpu_s": cpu}))
    worker.close()
    statistics.close()


def _broker() -> str:
    return next(find_jars().glob("kafka_*.jar")).stem


if __name__ == "__main__":
    main(sys.argv[1:])
