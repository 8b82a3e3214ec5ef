"""Today, provisional: the closing's figures before the close."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from services.runtime.clickhouse import Analytics
from services.stats.closing.close import close_through
from services.stats.pseudonyms.digests import account_pseudonym
from services.stats.today import snapshot
from services.stats.today.snapshot import take_snapshot
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


class _Killed(Exception):
    pass


def _die_at(patch: pytest.MonkeyPatch, number: int) -> None:
    """Nothing is written to the store from the `number`th statement that writes on, as after a kill -9 there."""
    written = itertools.count()

    def deadly(write: Callable[..., None]) -> Callable[..., None]:
        def written_or_dead(*arguments: Any) -> None:
            if next(written) >= number:
                raise _Killed
            write(*arguments)

        return written_or_dead

    for name in ("command", "insert"):
        patch.setattr(Analytics, name, deadly(getattr(Analytics, name)))


def _dies_at(world: World, number: int) -> bool:
    """Whether a snapshot has so many statements that write."""
    with pytest.MonkeyPatch.context() as patch:
        _die_at(patch, number)
        try:
            take_snapshot(world.snapshotter)
        except _Killed:
            return True
    return False


def test_a_snapshot_killed_before_each_statement_leaves_the_one_before_whole(world: World) -> None:
    """And the next one is as if there had been none, whatever working tables lie about."""
    programs = crowd(30, first=900, route="/robots.txt", page_view=0)
    world.put(rows("a", FIRST, [*crowd(40), *programs]))
    take_snapshot(world.snapshotter)
    before = world.cells(provisional=1)
    shown: list[pl.DataFrame] = []
    world.put(rows("a", FIRST, crowd(40, first=1000)))
    while _dies_at(world, len(shown)):
        shown.append(world.cells(provisional=1))
    after = world.cells(provisional=1)
    assert len(shown) > 20
    assert not after.equals(before)
    assert [cells.equals(before) for cells in shown] == [True] * len(shown)  # the last one changes what is shown


def test_cells_that_are_written_where_they_are_shown_would_be_seen_half_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch: without the staging table a kill leaves today empty."""
    world.put(rows("a", FIRST, crowd(40)))
    take_snapshot(world.snapshotter)
    monkeypatch.setattr(snapshot, "replace_provisional", _replace_in_place)
    monkeypatch.setattr(Analytics, "insert", _refuse_cells(Analytics.insert))
    with pytest.raises(_Killed):
        take_snapshot(world.snapshotter)
    assert world.cells(provisional=1).is_empty()


def _replace_in_place(analytics: Analytics, cells: pl.DataFrame) -> None:
    analytics.command("ALTER TABLE cells DROP PARTITION 0")
    analytics.insert("cells", cells.with_columns(provisional=pl.lit(1, pl.UInt8)))


def _refuse_cells(insert: Callable[..., None]) -> Callable[..., None]:
    def inserted(store: Analytics, table: str, *more: Any) -> None:
        if table == "cells":
            raise _Killed
        insert(store, table, *more)

    return inserted
