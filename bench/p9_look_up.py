"""P9: one person's last 30 days looked up by e-mail, with 100,000,000 linked events stored.

The store holds one block a person and day, as the nightly merging leaves it, and today's of the people asked for in
small ones. Those people's blocks are made by the enricher's own code and opened again; everybody else's are random
bytes of the same lengths, which is what sealed bytes are. The index of blocks is made after the load. "Cold": the
system is asked to forget the file's pages before each question.

Run: python -m bench.p9_look_up [EVENTS]        (100 M events take 8 GB of disk and some minutes to lay out)
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import zstandard

from bench.harness import machine
from bench.traffic import EVENTS_PER_BATCH, write_batches
from services.enricher import records
from services.enricher.activity import blocks as activity
from services.enricher.persons.directory import AccountChange, Profile
from services.enricher.service import Identity, open_identity
from services.runtime.batches import decode_access_batch
from services.runtime.clock import FixedClock
from services.runtime.database import transaction
from services.runtime.logs import configure_logs
from services.runtime.settings import Settings

EVENTS = 100_000_000
DAYS = 30
ASKED = 300  # persons who are looked up; with EVENTS_PER_BATCH a day, ten events each a day
ROUNDS = 3
LOAD_ROWS = 50_000  # of one transaction
GOAL_MS = 50
TENANT = "chess-club"
TODAY = datetime(2026, 4, 10, 12, tzinfo=UTC)
Block = tuple[int, str, str, str, str, int, bytes]


def main(arguments: Sequence[str]) -> None:
    events = int(arguments[0]) if arguments else EVENTS
    configure_logs("bench", "error")
    with tempfile.TemporaryDirectory(prefix="voile-bench-") as name:
        folder = Path(name)
        identity = open_identity(Settings.model_validate({"data": folder / "data"}), FixedClock(TODAY))
        total = fill(identity, folder, events)
        size = (folder / "data" / "identity.db").stat().st_size / 1e9
        warm = ask(identity, lambda: None)
        cold = ask(identity, lambda: forget(folder / "data" / "identity.db"))
        identity.close()
    load = "/".join(f"{value:.0f}" for value in os.getloadavg())
    print("| asked | times | p50 ms | p95 ms | p99 ms | CPU ms | goal | met |\n|---|---|---|---|---|---|---|---|")
    for title, (times, cpu_ms) in (("a person's last 30 days", warm), ("the same, cold", cold)):
        found = [_at(times, share) for share in (0.5, 0.95, 0.99)]
        goal = f"p95 {GOAL_MS} ms | {'yes' if found[1] <= GOAL_MS else 'no'}"
        shown = " | ".join(f"{value:.1f}" for value in (*found, cpu_ms))
        print(f"| {title} | {len(times):,} | {shown} | {goal} |")
    print(f"\n{total:,} events stored, {size:.1f} GB; {machine()}; load {load}.")


def fill(identity: Identity, folder: Path, events: int) -> int:
    """The people asked for, then everybody else, by day. Returns how many events are stored."""
    real = _real_blocks(identity, folder)
    _directory_of_asked(identity)
    lengths = [len(block[-1]) for block in real]
    others = events // (DAYS * EVENTS_PER_BATCH // ASKED) - ASKED
    with transaction(identity.engine) as connection:
        connection.exec_driver_sql("DROP INDEX activity_subject_day")
    total = 0
    for part in records.chunks(_filler(others, lengths, len(real), real), LOAD_ROWS):
        with transaction(identity.engine) as connection:
            records.insert_many(connection, records.activity, activity.Block._fields, part)
        total += sum(block[5] for block in part)
        print(f"  {total:,} events", file=sys.stderr, flush=True)
    with transaction(identity.engine) as connection:
        connection.exec_driver_sql("CREATE INDEX activity_subject_day ON activity (subject, day)")
    return total


def _real_blocks(identity: Identity, folder: Path) -> list[Block]:
    """One block a person and day; of the last day as many as there are hours with something in them."""
    files = write_batches(folder, DAYS * EVENTS_PER_BATCH, members=ASKED)
    compressor, blocks = zstandard.ZstdCompressor(level=activity.ZSTD_LEVEL), list[Block]()
    for number, file in enumerate(files):
        at = TODAY.replace(tzinfo=None) - timedelta(days=DAYS - 1 - number)
        frame = _on_day(decode_access_batch(file.read_bytes()).frame, at.date())
        parts = _by_hour(frame) if number == DAYS - 1 else [frame]
        for packed in map(activity.pack, parts):
            with transaction(identity.engine) as connection:
                keys = identity.directory.ensure(connection, packed.select("tenant", "account").unique().rows())
            for tenant, account, day, expires, rows, text in packed.iter_rows():
                key, block = keys[tenant, account], len(blocks) + 1
                sealed = activity.seal(key, tenant, block, day, compressor.compress(text.encode()))
                blocks.append((block, tenant, key.subject, day, expires, rows, sealed))
    return blocks


def _by_hour(frame: pl.DataFrame) -> list[pl.DataFrame]:
    hours = frame.with_columns(hour=pl.col("timestamp").dt.hour())
    return hours.partition_by("hour", include_key=False)


def _on_day(frame: pl.DataFrame, day: date) -> pl.DataFrame:
    """The batch's accesses spread over the hours of `day`."""
    step = timedelta(days=1) / frame.height
    moved = [datetime.combine(day, datetime.min.time()) + n * step for n in range(frame.height)]
    expires = pl.lit(day + timedelta(days=91))
    return frame.with_columns(pl.Series("timestamp", moved, dtype=pl.Datetime("ms")), expires=expires)


def _directory_of_asked(identity: Identity) -> None:
    profiles = [Profile(f"member-{n}", f"Member {n}", f"member-{n}@example.org") for n in range(ASKED)]
    identity.directory.put(identity.signals, [AccountChange(TENANT, p.account, p, TODAY) for p in profiles])


def _filler(others: int, lengths: Sequence[int], first: int, real: Sequence[Block]) -> Iterator[Block]:
    """By day, the people of each day in another order; the real ones of the day among them."""
    chance, number = random.Random(9), first
    subjects = [chance.randbytes(11).hex() for _ in range(others)]
    rows = EVENTS_PER_BATCH // ASKED
    for back in range(DAYS - 1, -1, -1):
        day = TODAY.date() - timedelta(days=back)
        yield from (block for block in real if block[3] == day.isoformat())
        chance.shuffle(subjects)
        dates = day.isoformat(), (day + timedelta(days=91)).isoformat()
        for subject in subjects:
            number += 1
            yield number, TENANT, subject, *dates, rows, os.urandom(lengths[number % len(lengths)])


def ask(identity: Identity, before: Callable[[], None]) -> tuple[list[float], float]:
    """Milliseconds of each question, sorted; and the mean of the CPU's, of all threads."""
    chance, times, cpu = random.Random(3), list[float](), 0.0
    for _ in range(ROUNDS):
        for member in chance.sample(range(ASKED), ASKED):
            before()
            start, used = time.perf_counter(), time.process_time()
            (subject,) = identity.directory.find(TENANT, "email", f"Member-{member}@example.org")
            frame = identity.activity.read(subject, TODAY - timedelta(days=DAYS), TODAY + timedelta(days=1))
            times.append((time.perf_counter() - start) * 1e3)
            cpu += time.process_time() - used
            assert frame.height >= DAYS, "the person was not found whole"
    return sorted(times), cpu / len(times) * 1e3


def forget(file: Path) -> None:
    handle = os.open(file, os.O_RDONLY)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


def _at(times: Sequence[float], share: float) -> float:
    return times[min(int(len(times) * share), len(times) - 1)]


if __name__ == "__main__":
    main(sys.argv[1:])
