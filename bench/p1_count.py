"""P1: from the bytes of the topic's batches to stored events, against ClickHouse alone, without Kafka on either side.

Ours does all steps of the worker, stores 25 columns, notes who is active and the ledger, and looks at every part. The peer decodes the same
containers, hashes address and agent with a key, replaces numbers in the path by a regular expression, and inserts
into a MergeTree table of 9 columns, as much at a time. Start-up is not counted on either side.

Run: python -m bench.p1_count [EVENTS]
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from zoneinfo import ZoneInfo

from bench.harness import Measured, Side, report, run_sides
from bench.traffic import write_batches
from services.runtime.clickhouse import Analytics, open_analytics
from services.runtime.clock import SystemClock
from services.runtime.consumer import Plan
from services.runtime.keys import FileKeyService
from services.runtime.log.interface import Partition, Record
from services.runtime.logs import configure_logs

EVENTS = 600_000
RECORDS = 18  # of a plan: as many as fit into its 16 MB
DAY = date(2026, 3, 10)
TOPIC = Partition("access-log.v1", 0)

PEER_TABLE = """
CREATE TABLE events (tenant LowCardinality(String), time DateTime('UTC'), visitor UInt64, route String,
    method LowCardinality(String), status UInt16, response_bytes UInt64, duration_ms Int64, referrer String)
ENGINE = MergeTree PARTITION BY toDate(time) ORDER BY (tenant, visitor, time)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
"""
PEER_INSERT = """
INSERT INTO events SELECT tenant, timestamp, sipHash64Keyed((toUInt64(1), toUInt64(2)), client_address, user_agent),
    replaceRegexpAll(path, '/[0-9]+', '/{{number}}'), method, status, response_bytes, duration_ms, ifNull(referrer, '')
FROM file('{files}', Avro)
SETTINGS max_threads = 1, max_insert_threads = 1, min_insert_block_size_rows = 1000000000, min_insert_block_size_bytes = 0
"""


def main(arguments: Sequence[str]) -> None:
    if arguments[:1] == ["--side"]:
        run_one(arguments[1], Path(arguments[2]))
        return
    events = int(arguments[0]) if arguments else EVENTS
    with tempfile.TemporaryDirectory(prefix="voile-bench-") as folder:
        batches = Path(folder)
        write_batches(batches, events)
        names = {"voile": "Voile worker", "clickhouse": "ClickHouse alone (chDB)"}
        sides = [Side(title, lambda name=name: measure(name, batches)) for name, title in names.items()]  # type: ignore[misc]  # a default binds the name; mypy cannot type that
        found = run_sides(sides)
    versions = {name: version(name) for name in ("chdb", "polars", "pyarrow")}
    print(report("P1: batches of the topic -> stored events", found, versions))


def measure(side: str, batches: Path) -> Measured:
    command = [sys.executable, "-m", "bench.p1_count", "--side", side, str(batches)]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return Measured(found["count"], found["wall_s"], found["cpu_s"])


def run_one(side: str, batches: Path) -> None:
    """In a process of its own: prints what it counted, and the seconds from the first batch to the last."""
    configure_logs("bench", "error")
    files = sorted(batches.glob("*.avro"))
    with tempfile.TemporaryDirectory(prefix="voile-bench-") as folder:
        analytics = open_analytics(f"chdb://{folder}/analytics")
        work = ours(analytics, Path(folder), files) if side == "voile" else peer(analytics, files)
        next(work)
        wall, cpu = time.monotonic(), cpu_s()
        for _ in work:
            pass
        wall, cpu = time.monotonic() - wall, cpu_s() - cpu
        rows = "SELECT count() AS n FROM events" + (" WHERE kind = 'event'" if side == "voile" else "")
        print(json.dumps({"count": int(analytics.frame(rows)["n"][0]), "wall_s": wall, "cpu_s": cpu}))
        analytics.close()


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def groups(files: Sequence[Path]) -> list[Sequence[Path]]:
    return [files[at : at + RECORDS] for at in range(0, len(files), RECORDS)]


def ours(analytics: Analytics, folder: Path, files: Sequence[Path]):  # type: ignore[no-untyped-def]  # a generator
    from services.stats.counting.pipeline import Pipeline
    from services.stats.counting.writer import EventWriter
    from services.stats.days.periods import PeriodKeys
    from services.stats.pseudonyms.active import ActiveAccounts, Activity
    from services.stats.pseudonyms.keyring import Keyring
    from services.stats.rights.suppression import Suppressions
    from services.stats.store import create_tables
    from services.stats.tenants.registry import Tenants

    class Open:
        def state(self, tenant: str, day: date) -> str | None:  # noqa: ARG002  # every day is open
            return None

    create_tables(analytics)
    keys, suppressions = FileKeyService(folder / "keys"), Suppressions()
    period_keys = PeriodKeys(keys, lambda _of: False)
    activity = Activity(period_keys, suppressions.objectors)
    steps = Pipeline.build(ZoneInfo("UTC"), suppressions, Keyring(keys, Open()), Tenants(), activity=activity)
    note = ActiveAccounts(analytics, period_keys, SystemClock()).note
    writer = EventWriter(analytics, steps.run, lambda _r, _reason: None, lookups=steps.lookups, note_active=note)
    yield
    first = 0
    for group in groups(files):
        records = [Record(TOPIC, first + i, b"web", path.read_bytes(), {}, 0) for i, path in enumerate(group)]
        writer.write(Plan(TOPIC, "bench", first, records[-1].offset, DAY, writer.lookups), records)
        first += len(records)
        yield


def peer(analytics: Analytics, files: Sequence[Path]):  # type: ignore[no-untyped-def]  # a generator
    analytics.command(PEER_TABLE)
    yield
    for group in groups(files):
        names = ",".join(path.stem for path in group)
        analytics.command(PEER_INSERT.format(files=f"{group[0].parent}/{{{names}}}.avro"))
        yield


if __name__ == "__main__":
    main(sys.argv[1:])
