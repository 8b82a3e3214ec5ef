"""The writer on a real engine: one part a batch, replays exact, broken parts noticed and written again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from services.runtime.errors import Transient
from services.runtime.log.interface import Fenced, Record
from services.runtime.metrics import STATS_PARTS_BROKEN, STATS_ROWS
from services.stats.counting.parts import Look, Parts
from services.stats.counting.watch import PartsWatch
from services.stats.counting.writer import ONE_PART, EventWriter
from tests.parts.counting import (
    DAY,
    TOPIC_ID,
    Counting,
    access,
    counting,
    encoded,
    plan,
    record,
    rows_stored,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Counting]:
    with counting(tmp_path) as opened:
        yield opened


def batch(first: int, rows: int, origin: str = "access.log") -> bytes:
    return encoded([access(i) for i in range(first, first + rows)], origin)


def parts(store: Counting) -> list[str]:
    query = "SELECT name FROM system.parts WHERE active AND table = 'events' AND level = 0 ORDER BY name"
    return store.analytics.frame(query)["name"].to_list()


def ledger(store: Counting, *columns: str) -> list[tuple[object, ...]]:
    query = f"SELECT {', '.join(columns)} FROM events WHERE kind = 'ledger' ORDER BY first_offset"
    return store.analytics.frame(query).rows()


@pytest.mark.parametrize("rows", [1, 1_000, 100_000])
def test_a_batch_is_one_part_with_its_ledger_row(store: Counting, rows: int) -> None:
    """Whatever its size; the ledger row counts its events."""
    size = 5_000
    values = [batch(at, min(size, rows - at)) for at in range(0, rows, size)]
    store.writer.write(plan(0, len(values) - 1), [record(i, value) for i, value in enumerate(values)])
    assert len(parts(store)) == 1
    assert rows_stored(store.analytics) == (rows, 1)
    assert ledger(store, "rows", "rejected", "duplicates", "lost") == [(rows, 0, 0, 0)]
    assert store.writer.ranges(TOPIC_ID, plan(0, 0).partition) == [(0, len(values) - 1)]


def test_a_replay_changes_nothing(store: Counting) -> None:
    """By the same writer, and by one that starts anew and knows the ledger alone."""
    records = [record(0, batch(0, 100)), record(1, batch(100, 100))]
    for writer in (store.writer, store.writer, store.again().writer):
        writer.write(plan(0, 1), records)
    assert rows_stored(store.analytics) == (200, 1)


def test_final_is_final(store: Counting) -> None:
    """What would come out differently today (an erasure since) is not computed again."""
    store.writer.write(plan(0, 0), [record(0, batch(0, 100))])
    store.again().writer.write(plan(0, 0), [record(0, batch(0, 7))])
    assert rows_stored(store.analytics) == (100, 1)


def test_a_range_cut_otherwise_is_refused(store: Counting) -> None:
    """Another member was here: drop the work and look again."""
    store.writer.write(plan(0, 1), [record(0, batch(0, 10)), record(1, batch(10, 10))])
    with pytest.raises(Fenced):
        store.again().writer.write(plan(1, 2), [record(1, batch(10, 10)), record(2, batch(20, 10))])
    assert rows_stored(store.analytics) == (20, 1)


def test_what_cannot_be_decoded_is_counted_and_named_by_offset(store: Counting) -> None:
    """The rest of the batch is stored; a batch of nothing else still tiles the ledger."""
    store.writer.write(plan(0, 2), [record(0, batch(0, 10)), record(1, b"garbage"), record(2, None)])
    store.writer.write(plan(3, 3), [record(3, b"")])
    assert rows_stored(store.analytics) == (10, 2)
    assert ledger(store, "rows", "rejected") == [(10, 2), (0, 1)]
    assert store.dead == [(offset, "undecodable_batch") for offset in (1, 2, 3)]
    outcomes = {o: store.writer._metrics.value(STATS_ROWS, outcome=o) for o in ("counted", "rejected", "late")}
    assert outcomes == {"counted": 10, "rejected": 3, "late": 0}


def test_what_ingest_published_twice_is_counted_once(store: Counting) -> None:
    """In one plan, in the next, by a new writer, whole or in part; another origin is another matter."""
    store.writer.write(plan(0, 1), [record(0, batch(0, 100)), record(1, batch(0, 100))])
    store.writer.write(plan(2, 2), [record(2, batch(50, 100))])
    store.again().writer.write(plan(3, 3), [record(3, batch(140, 20))])
    store.again().writer.write(plan(4, 4), [record(4, batch(0, 10, "another.log"))])
    assert rows_stored(store.analytics) == (170, 4)
    assert ledger(store, "rows", "duplicates") == [(100, 100), (50, 50), (10, 10), (10, 0)]


def test_a_lost_part_comes_back_though_its_twin_is_there(store: Counting) -> None:
    """A ledger row claims only positions that its own part holds: the repair of offset 0 must not take the
    duplicate at offset 1, of which nothing was stored, for the rows."""
    records = [record(0, batch(0, 100)), record(1, batch(0, 100))]
    for r in records:
        store.writer.write(plan(r.offset, r.offset), [r])
    store.analytics.command(f"ALTER TABLE events DROP PART '{parts(store)[0]}'")
    fresh = store.again()
    assert fresh.writer.ranges(TOPIC_ID, records[0].partition) == [(1, 1)]
    fresh.writer.write(plan(0, 0, attempt=2), records[:1])
    assert rows_stored(store.analytics) == (100, 2)


def test_a_token_that_outlived_its_part_loses_nothing(store: Counting) -> None:
    """The engine logs the token before the part is there; a kill in between makes it drop the retry silently."""
    records = [record(0, batch(0, 100))]
    store.writer.write(plan(0, 0), records)
    forget_part_but_not_token(store)
    store.again().writer.write(plan(0, 0, attempt=2), records)
    assert rows_stored(store.analytics) == (100, 1)


def test_without_the_look_afterwards_that_batch_is_lost(store: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch of the test above: with verification off the rows never come back."""
    records = [record(0, batch(0, 100))]
    store.writer.write(plan(0, 0), records)
    forget_part_but_not_token(store)
    monkeypatch.setattr(Parts, "look", lambda *_, **__: Look.INTACT)
    store.again().writer.write(plan(0, 0, attempt=2), records)
    assert rows_stored(store.analytics) == (0, 0)


def forget_part_but_not_token(store: Counting) -> None:
    """As the kill leaves it: the token is in the deduplication log, the part never got its name."""
    folders = {file.parent for part in parts(store) for file in files_of(store, part)}
    store.analytics.command("DETACH TABLE events SYNC")
    for folder in folders:
        shutil.rmtree(folder)
    store.analytics.command("ATTACH TABLE events")


def files_of(store: Counting, part: str) -> list[Path]:
    return sorted(Parts(store.analytics)._files(part))


def damage(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 16] = bytes(b ^ 0xFF for b in raw[middle : middle + 16])
    path.write_bytes(bytes(raw))


@pytest.mark.parametrize("name", ["data.bin", "data.cmrk4", "primary.cidx", "checksums.txt", "count.txt"])
@pytest.mark.parametrize("how", ["emptied", "torn", "changed"])
def test_a_part_that_the_disk_did_not_take_is_written_again(store: Counting, name: str, how: str) -> None:
    """Every file of a part, emptied, torn or changed before the writer looks: never an acknowledged loss."""
    spoiled: list[str] = []

    def spoil() -> None:
        if not spoiled:
            (path,) = [f for f in files_of(store, parts(store)[0]) if f.name == name]
            spoiled.append(path.name)
            size = path.stat().st_size
            if how == "changed":
                damage(path)
            else:
                with path.open("r+b") as file:
                    file.truncate(0 if how == "emptied" else size // 2)

    writer = spoiling(store.writer, spoil)
    writer.write(plan(0, 0), [record(0, batch(0, 500))])
    assert spoiled
    assert rows_stored(store.analytics) == (500, 1)
    assert writer._metrics.value(STATS_PARTS_BROKEN) == 1
    assert store.analytics.frame("SELECT sum(status = 200) AS s FROM events")["s"][0] == 500
    assert store.analytics.frame("SELECT count() AS c FROM system.detached_parts")["c"][0] == 0


def spoiling(writer: EventWriter, spoil: object) -> EventWriter:
    """`writer`, whose inserts end with `spoil()`: the disk that fails after the engine said yes."""
    insert = writer._analytics.insert

    def insert_and_spoil(*arguments: object, **options: object) -> None:
        insert(*arguments, **options)  # type: ignore[arg-type]
        spoil()  # type: ignore[operator]

    writer._analytics.insert = insert_and_spoil  # type: ignore[method-assign]
    return writer


def test_a_disk_that_never_keeps_anything_is_said(store: Counting) -> None:
    """Twice in vain: `Transient`, nothing acknowledged, and the same plan succeeds when the disk does."""

    def spoil() -> None:
        for part in parts(store):
            (path,) = [f for f in files_of(store, part) if f.name == "data.bin"]
            path.write_bytes(b"")

    good_insert = store.writer._analytics.insert
    with pytest.raises(Transient):
        spoiling(store.writer, spoil).write(plan(0, 0), [record(0, batch(0, 50))])
    assert rows_stored(store.analytics) == (0, 0)
    store.writer._analytics.insert = good_insert  # type: ignore[method-assign]
    store.writer.write(plan(0, 0), [record(0, batch(0, 50))])
    assert rows_stored(store.analytics) == (50, 1)


def test_low_disk_pauses_and_comes_back(store: Counting) -> None:
    """Nothing is written and merges stop; with space again both go on."""
    poor = store.again(free_bytes_min=1 << 60).writer
    with pytest.raises(Transient):
        poor.write(plan(0, 0), [record(0, batch(0, 10))])
    assert rows_stored(store.analytics) == (0, 0)
    poor._free_bytes_min = 1
    poor.write(plan(0, 0), [record(0, batch(0, 10))])
    assert rows_stored(store.analytics) == (10, 1)
    assert poor._merging


def test_lost_and_poison_ranges_have_a_ledger_row_alone(store: Counting) -> None:
    """They tile; `lost` is told from `rejected`; twice is once."""
    for _ in range(2):
        store.writer.skip(plan(0, 4), "lost")
        store.writer.skip(plan(5, 5), "poison")
    assert ledger(store, "first_offset", "last_offset", "lost", "rejected") == [(0, 4, 1, 0), (5, 5, 0, 1)]
    assert rows_stored(store.analytics) == (0, 2)


def test_a_batch_retried_after_midnight_stays_in_its_partition(store: Counting) -> None:
    """The day comes from the plan, not from the clock."""
    store.writer.write(plan(0, 0, ingest_day=DAY - timedelta(days=1)), [record(0, batch(0, 10))])
    found = store.analytics.frame("SELECT DISTINCT partition AS p FROM system.parts WHERE active AND table = 'events'")
    assert found["p"].to_list() == [str(DAY - timedelta(days=1))]


def test_two_partitions_in_one_insert_are_refused(store: Counting) -> None:
    """The guard behind the design: such a block would be two parts, of which one could be lost."""
    days = pl.DataFrame({"ingest_day": [DAY, DAY + timedelta(days=1)]})
    with pytest.raises(Exception, match="max_partitions_per_insert_block"):
        store.analytics.insert("events", days, ONE_PART)


def test_no_file_of_events_is_left_outside_the_store(
    store: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns go through memory: nothing in the machine's temporary folder, not even while the insert runs."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    seen: list[Path] = []
    command = store.analytics.client.command

    def watched(*arguments: object, **options: object) -> object:
        seen.extend(temporary.iterdir())
        return command(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(store.analytics.client, "command", watched)
    store.writer.write(plan(0, 0), [record(0, batch(0, 10))])
    assert rows_stored(store.analytics) == (10, 1)
    assert [*seen, *temporary.iterdir()] == []


def test_a_broken_merge_is_noticed_and_its_sources_come_back(store: Counting) -> None:
    """A merge on a full disk puts a broken part in the place of good ones without an error."""
    for offset in range(5):
        store.writer.write(plan(offset, offset), [record(offset, batch(offset * 100, 100))])
    watch = PartsWatch(store.analytics)
    assert watch.look() == []
    store.analytics.command("OPTIMIZE TABLE events FINAL")
    (merged,) = Parts(store.analytics).active()
    (data,) = [f for f in files_of(store, merged) if f.name == "data.bin"]
    data.write_bytes(data.read_bytes()[:100])
    assert watch.look() == [merged]
    assert rows_stored(store.analytics) == (500, 5)
    assert watch.look() == []


def test_nothing_is_written_beside_a_broken_merge(store: Counting) -> None:
    """A re-attach would bring the sources back: written again meanwhile they would count twice."""
    values: list[Record] = [record(offset, batch(offset * 100, 100)) for offset in range(3)]
    for r in values:
        store.writer.write(plan(r.offset, r.offset), [r])
    store.analytics.command("OPTIMIZE TABLE events FINAL")
    (merged,) = Parts(store.analytics).active()
    (checksums,) = [f for f in files_of(store, merged) if f.name == "checksums.txt"]
    damage(checksums)
    with pytest.raises(Transient):
        store.writer.write(plan(1, 1, attempt=2), values[1:2])
    assert PartsWatch(store.analytics).look() == [merged]
    store.writer.write(plan(1, 1, attempt=3), values[1:2])
    assert rows_stored(store.analytics) == (300, 3)
