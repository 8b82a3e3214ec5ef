"""Today, provisional: the closing's figures before the close."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from services.stats.close import close_through
from services.stats.pseudonyms import account_pseudonym
from services.stats.snapshot import take_snapshot
from tests.parts.closing import FIRST, World, crowd, random_day, rows


def _singles(cells: pl.DataFrame) -> set[tuple[object, ...]]:
    return set(cells.filter(~pl.col("cube").str.contains("*", literal=True) & (pl.col("cube") != "now")).iter_rows())


def test_a_snapshot_shows_what_the_close_will_show(world: World) -> None:
    """Singles only, by the same rule and the same draws, so that nothing moves when the day closes."""
    world.put(random_day("a", FIRST, 800, 1))
    take_snapshot(world.snapshotter)
    provisional = world.cells(provisional=1)
    close_through(world.closer, FIRST)
    assert not provisional["cube"].str.contains("*", literal=True).any()
    assert _singles(provisional) == _singles(world.cells())


def test_a_snapshot_replaces_the_one_before(world: World) -> None:
    """As a whole: a cell that is no longer shown is gone, and so is a day that has closed."""
    world.put(rows("a", FIRST, crowd(40)))
    take_snapshot(world.snapshotter)
    before = world.cells(provisional=1)
    world.put(rows("a", FIRST, crowd(40, first=1000)))
    take_snapshot(world.snapshotter)
    after = world.cells(provisional=1)
    assert before.height == after.height > 0
    assert not before.equals(after)

    close_through(world.closer, FIRST)
    assert take_snapshot(world.snapshotter) == 0
    assert world.cells(provisional=1).is_empty()


def test_an_objector_is_in_no_snapshot(world: World) -> None:
    """Fourteen people less one who objected may be hidden: with enough keys both happen, so the rows are counted."""
    key = world.key("a", FIRST)
    people = [{**p, "account": account_pseudonym(key, "a", f"m-{p['visitor']}")} for p in crowd(20)]
    world.put(rows("a", FIRST, people))
    world.objecting["a"] = [f"m-{n}" for n in range(1, 12)]
    assert take_snapshot(world.snapshotter) == 0
    world.objecting.clear()
    assert take_snapshot(world.snapshotter) > 0


def test_now_is_the_last_complete_block_of_five_minutes(world: World) -> None:
    """Those of 23:50 to 23:55, not those of the running minutes."""
    world.clock.advance(datetime(2026, 11, 1, 23, 58, tzinfo=UTC) - world.clock.now())
    midnight = timedelta(hours=23, minutes=50).total_seconds()
    inside, running = crowd(20, second=midnight + 10), crowd(40, first=100, second=midnight + 400)
    world.put(rows("a", FIRST, [*inside, *running]))
    take_snapshot(world.snapshotter)
    now = world.cells(provisional=1).filter(pl.col("cube") == "now")
    assert now["dim1"].to_list() == ["2026-11-01T23:50:00+00:00"]
    assert now["value"].to_list() == [20]
