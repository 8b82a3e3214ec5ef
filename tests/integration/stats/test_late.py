"""What comes after its day has closed: told in the tenant's total of requests, by the rule, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from services.runtime.clock import FixedClock
from services.stats.access.scope import Scope
from services.stats.closing import steps as closing
from services.stats.closing.close import close_through
from services.stats.counting.pipeline import Pipeline
from services.stats.days.states import CLOSED, Days
from services.stats.figures.cells import publish_cells
from services.stats.pseudonyms.digests import account_pseudonym
from services.stats.pseudonyms.keyring import Keyring
from services.stats.queries.answers import Queries
from services.stats.rights.suppression import Suppressions
from services.stats.tenants.registry import Tenants
from services.stats.today.snapshot import take_snapshot
from tests.parts.closing import FIRST, World, crowd, rows
from tests.parts.counting import CHROME, TENANT, access, accesses

NEXT = FIRST + timedelta(days=1)


def _close(world: World) -> None:
    close_through(world.closer, NEXT)


def _cells(world: World, provisional: int = 0) -> dict[tuple[str, str], int]:
    found = world.cells(provisional).select("cube", "measure", "value").iter_rows()
    return {(cube, measure): value for cube, measure, value in found}


def _requests(world: World, *dimensions: str) -> int:
    queries = Queries(world.analytics, world.clock, ZoneInfo("UTC"))
    asked = {"metrics": ["requests"], "date_range": [str(FIRST), str(NEXT)], "dimensions": list(dimensions)}
    return sum(row["metrics"][0] or 0 for row in queries.answer(asked, Scope())["results"])


def test_late_hits_are_in_the_total_of_requests_and_in_nothing_else(world: World) -> None:
    """No visitor, page view or hour of theirs; a series of days does not place them, since they are of none of them."""
    world.put(pl.concat([rows("a", FIRST, crowd(40)), rows("a", FIRST, crowd(100, 500, late=1, page_view=0))]))
    take_snapshot(world.snapshotter)
    assert 95 <= _cells(world, provisional=1)["late", "requests"] <= 105
    _close(world)
    cells = _cells(world)
    assert 95 <= cells["late", "requests"] <= 105
    assert all(cells[of] <= 45 for of in cells if of[1] in {"visitors", "page_views", "visits"})
    assert cells["traffic", "requests"] <= cells["hour", "requests"] + 5 <= 50
    assert _requests(world) == cells["traffic", "requests"] + cells["late", "requests"]
    assert _requests(world, "time:day") == cells["traffic", "requests"]
    (day,) = world.days.listed()
    assert (day.state, day.rows, day.late) == (CLOSED, 40, 0)
    assert world.analytics.frame("SELECT countIf(kind = 'event') AS n FROM events")["n"][0] == 0


def test_what_few_people_are_late_with_is_not_told(world: World) -> None:
    """However much it is, and from however few networks; bots are never told as people."""
    few = [{"visitor": 1 + n % 9, "network": n % 9, "late": 1} for n in range(500)]
    home = [{"visitor": 100 + n, "network": 1, "late": 1} for n in range(50)]
    bots = crowd(50, 500, late=1, bot_class="declared")
    day = (FIRST, NEXT)
    world.put(pl.concat([rows("a", d, [*crowd(40, 9000), *late]) for d, late in zip(day, (few, home), strict=True)]))
    world.put(rows("b", FIRST, bots))
    _close(world)
    assert ("late", "requests") not in _cells(world)


def test_without_the_rule_it_would_be(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above depends on the mechanism."""
    monkeypatch.setattr("services.stats.closing.late.publish", lambda people, _cube, _keys: _told(people))
    world.put(rows("a", FIRST, [*crowd(40, 9000), *({"visitor": 1, "late": 1} for _ in range(50))]))
    _close(world)
    assert _cells(world)["late", "requests"] == 50


def _told(people: pl.DataFrame) -> pl.DataFrame:
    summed = people.group_by("tenant", "day", "dim1", "dim2").agg(value=pl.col("requests").sum())
    shown = summed.with_columns(cube=pl.lit("late"), measure=pl.lit("requests"))
    return shown.select("tenant", "day", "cube", "dim1", "dim2", "measure", "value")


def test_an_objection_holds_for_late_hits(world: World) -> None:
    """By the key of the day of their arrival."""
    key = world.key("a", FIRST)
    people = [{**p, "account": account_pseudonym(key, "a", f"m-{p['visitor']}"), "late": 1} for p in crowd(60)]
    world.put(rows("a", FIRST, people))
    world.objecting["a"] = [f"m-{n}" for n in range(1, 31)]
    _close(world)
    assert _cells(world)["late", "requests"] <= 30


def test_a_log_of_a_closed_day_comes_to_the_total_of_today_through_the_pipeline(world: World) -> None:
    """From accesses to the answer; a past day that is still open counts as itself, with visitors."""
    world.put(rows(TENANT, FIRST, crowd(40)))
    close_through(world.closer, FIRST)
    today = datetime.combine(NEXT, time(9), UTC)
    steps = _pipeline(world, today)
    events = steps.run(accesses([*_readers(60, FIRST), *_readers(40, FIRST - timedelta(days=30), 100)]))
    assert (events.late, events.frame.filter(pl.col("late") == 1).height) == (0, 60)
    world.put(events.frame.with_columns(kind=pl.lit("event"), ingest_day=pl.lit(NEXT)))
    _close(world)
    closed = world.cells().filter(pl.col("measure") == "requests").select("day", "cube", "value").rows()
    told = {(day, cube): value for day, cube, value in closed}
    assert 55 <= told[NEXT, "late"] <= 65
    assert 35 <= told[FIRST - timedelta(days=30), "traffic"] <= 45
    assert 35 <= told[FIRST, "traffic"] <= 45  # as it was published
    assert world.keyring.days(TENANT) == []


def test_a_close_that_is_resumed_tells_late_hits_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are among the cells that are kept before anything is published."""
    world.put(rows("a", FIRST, [*crowd(40), *crowd(60, 500, late=1)]))

    def die(*arguments: object) -> None:
        publish_cells(*arguments)  # type: ignore[arg-type]  # handed on as they came
        raise RuntimeError("killed")

    monkeypatch.setattr(closing, "publish_cells", die)
    with pytest.raises(RuntimeError):
        _close(world)
    before = world.cells()
    monkeypatch.undo()
    _close(world)
    assert world.cells().equals(before)
    assert 55 <= _cells(world)["late", "requests"] <= 65


def _pipeline(world: World, now: datetime) -> Pipeline:
    keyring = Keyring(world.keyring._keys, Days(world.closer.records))
    return Pipeline.build(ZoneInfo("UTC"), Suppressions(), keyring, Tenants(), clock=FixedClock(now))


def _readers(count: int, day: date, first: int = 0) -> Sequence[dict[str, object]]:
    noon = datetime.combine(day, time(12))
    return [
        access(first + n, timestamp=noon, client_address=f"198.51.{n}.{first % 250}", user_agent=CHROME)
        for n in range(count)
    ]
