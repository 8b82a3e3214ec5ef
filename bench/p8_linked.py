"""P8: from the bytes of the topic's batches to sealed blocks, stored with their ledger row; every access is of a member.

One core (the process is bound to it), SQLite that syncs each commit. Three mixtures: members whose visits come once in
the log, so that each is a new person; members who come back; few busy ones. It has no peer: its goal is absolute.
Start-up is not counted; the first sight of each person, with key and profile, is.

Run: python -m bench.p8_linked [EVENTS]
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from bench.harness import ROUNDS, machine
from bench.traffic import DAY, write_batches

EVENTS = 600_000
RECORDS = 18  # of a plan: as many as fit into its 16 MB
GOAL = 100_000  # linked events/s on one core
MIXTURES = {"each member comes once": 10_000_000, "20,000 members": 20_000, "2,000 busy members": 2_000}


def main(arguments: Sequence[str]) -> None:
    if arguments[:1] == ["--side"]:
        print(json.dumps(store(Path(arguments[1]))))
        return
    events = int(arguments[0]) if arguments else EVENTS
    print("| accesses of | accesses | a block | events/s of CPU | events/s | CPU us/event | bytes/event | goal | met |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, members in MIXTURES.items():
        with tempfile.TemporaryDirectory(prefix="voile-bench-") as folder:
            write_batches(Path(folder), events, members=members)
            print(_row(name, [measure(Path(folder)) for _ in range(ROUNDS)]), flush=True)
    load = "/".join(f"{value:.0f}" for value in os.getloadavg())
    about = ", ".join(f"{name} {version(name)}" for name in ("polars", "cryptography", "zstandard"))
    print(f"\nMedians of {ROUNDS} runs; {about}; {machine()}; load {load}.")


def measure(batches: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.p8_linked", "--side", str(batches)]
    env = {**os.environ, "POLARS_MAX_THREADS": "1"}
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=env).stdout)
    print(f"  {found}", file=sys.stderr, flush=True)
    return found


def store(batches: Path) -> dict[str, float]:
    """In a process of its own, from the first batch to the last."""
    from services.enricher.records import activity
    from services.enricher.service import open_identity
    from services.runtime.clock import FixedClock
    from services.runtime.consumer import Plan
    from services.runtime.log.interface import Partition, Record
    from services.runtime.logs import configure_logs
    from services.runtime.settings import Settings

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    configure_logs("bench", "error")
    topic, files = Partition("access-log.v1", 0), sorted(batches.glob("*.avro"))
    values = [file.read_bytes() for file in files]
    with tempfile.TemporaryDirectory(prefix="voile-bench-") as folder:
        identity = open_identity(Settings.model_validate({"data": folder}), FixedClock(_noon()))
        sink = identity.sink()
        wall, cpu = time.monotonic(), cpu_s()
        for first in range(0, len(values), RECORDS):
            part = values[first : first + RECORDS]
            records = [Record(topic, first + n, b"web", value, {}, 0) for n, value in enumerate(part)]
            sink.write(Plan(topic, "bench", first, records[-1].offset, DAY.date(), sink.lookups), records)
        wall, cpu = time.monotonic() - wall, cpu_s() - cpu
        blocks, sealed = _stored(identity.engine, activity)  # type: ignore[no-untyped-call]  # as below
        linked = identity.ledger.events_linked()
        identity.close()
    return {"count": linked, "wall_s": wall, "cpu_s": cpu, "blocks": blocks, "bytes": sealed}


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _stored(engine, table):  # type: ignore[no-untyped-def]  # the plane is imported in the side alone
    import sqlalchemy as sa

    with engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count(), sa.func.sum(sa.func.length(table.c.sealed)))).one()


def _noon() -> datetime:
    """Of the day of the traffic: nothing is past its term."""
    from datetime import UTC

    return DAY.replace(hour=12, tzinfo=UTC)


def _row(name: str, runs: Sequence[dict[str, float]]) -> str:
    assert len({run["count"] for run in runs}) == 1, "the runs did not link the same"
    count = runs[0]["count"]
    rate = count / median(run["wall_s"] for run in runs)
    cpu = median(run["cpu_s"] for run in runs) / count * 1e6
    per_block, size = count / runs[0]["blocks"], runs[0]["bytes"] / count
    met = "yes" if 1e6 / cpu >= GOAL else "no"
    return (
        f"| {name} | {count:,.0f} | {per_block:.1f} | {1e6 / cpu:,.0f} | {rate:,.0f} | {cpu:.2f} | {size:.0f} "
        f"| {GOAL:,} | {met} |"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
