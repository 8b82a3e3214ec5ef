"""A clean-up beside a deletion: neither waits for the other (ADR 0270)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import polars as pl
import pytest

from services.runtime import clickhouse
from services.runtime.errors import Transient
from services.stats.days import forgetting
from services.stats.days.forgetting import clear_old_parts, delete_events
from services.stats.days.states import TenantDay
from tests.parts.closing import FIRST, World, random_day

SECOND = FIRST + timedelta(days=1)
WAIT_S_MAX = 30.0


def test_a_clean_up_does_not_wait_for_a_deletion_that_waits_for_it(world: World) -> None:
    with _a_deletion_waits(world) as dropped:
        assert _parts(world, dropped) > 0
        clear_old_parts(world.analytics, world.clock)
        assert _parts(world, dropped) == 0


def test_a_deletion_that_holds_the_parts_it_began_with_stops_the_clean_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As every deletion does without the setting: each waits for the other."""
    monkeypatch.setattr(clickhouse, "_SHARED_SNAPSHOT", "of a server that does not know it")
    monkeypatch.setattr(forgetting, "_CLEAR_S_MAX", 1.0)
    with _a_deletion_waits(world), pytest.raises(Transient, match="still being read"):
        clear_old_parts(world.analytics, world.clock)


def test_clean_ups_take_turns(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that ends while another is at work would start the merges that the other has stopped."""
    inside, most = [0], [0]

    def checked(_analytics: object) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.1)
        inside[0] -= 1

    monkeypatch.setattr(forgetting, "refuse_damaged", checked)
    clients = [world.analytics.another() for _ in range(3)]
    threads = [threading.Thread(target=clear_old_parts, args=(client, world.clock)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S_MAX)
    for client in clients:
        client.close()
    assert most == [1]


def _parts(world: World, partition: str) -> int:
    query = "SELECT count() AS parts FROM system.parts WHERE table = 'events' AND partition = {partition:String}"
    return int(world.analytics.frame(query, {"partition": partition})["parts"][0])


@contextmanager
def _a_deletion_waits(world: World) -> Iterator[str]:
    """A deletion in two partitions that cannot go on, as merges are stopped; the parts of one, which it is given, are old."""
    world.put(pl.concat([random_day("a", day, 100, number) for number, day in enumerate((FIRST, SECOND))]))
    events = world.analytics.frame("SELECT DISTINCT toString(ingest_day) AS day FROM events ORDER BY day")
    world.analytics.command("SYSTEM STOP MERGES events")
    deleting = world.analytics.another()
    pairs = [TenantDay("a", FIRST), TenantDay("a", SECOND)]
    thread = threading.Thread(target=delete_events, args=(deleting, pairs))
    thread.start()
    try:
        until = time.monotonic() + WAIT_S_MAX
        while world.analytics.frame("SELECT 1 FROM system.mutations WHERE NOT is_done").is_empty():
            assert time.monotonic() < until, "the deletion has not begun"
            time.sleep(0.01)
        world.analytics.command(f"ALTER TABLE events DROP PARTITION '{events['day'][0]}'")
        assert thread.is_alive()
        yield events["day"][0]
    finally:
        world.analytics.command("SYSTEM START MERGES events")
        thread.join(WAIT_S_MAX)
        deleting.close()
    assert not thread.is_alive()
