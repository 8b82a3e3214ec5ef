"""The cubes that ClickHouse and columns build are those that a slow reference builds row by row."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from services.stats.closing.close import close_through
from services.stats.closing.suspects import REASONS
from services.stats.figures import cubes
from services.stats.figures.cubes import LATE, declared_cubes
from services.stats.today.snapshot import take_snapshot
from tests.parts import reference_cubes
from tests.parts.closing import FIRST, PAGES, World, crowd, random_day, rows


@pytest.mark.parametrize(("seed", "along"), [(0, None), (1, None), (2, None), (0, 1), (1, 12)])
def test_the_cells_are_those_of_the_slow_reference(
    world: World, seed: int, along: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tenants, two days, sizes from nearly nobody to some hundred people; also when nobody, or only the people of
    the smallest cells, come along with the sums, and the others are asked for afterwards."""
    if along is not None:
        monkeypatch.setattr(cubes, "_SMALL", along)
        monkeypatch.setattr(cubes, "_MIDDLE", along)
    sizes = {"alpha": 1200 + 300 * seed, "beta": 60 + 40 * seed}
    days = [
        random_day(tenant, FIRST + timedelta(days=d), size, seed * 10 + d)
        for tenant, size in sizes.items()
        for d in range(2)
    ]
    events = pl.concat([*days, _insatiable(), _machines(), _late()], how="diagonal_relaxed")
    world.put(events)
    keys = {(d.tenant, d.day): world.key(d.tenant, d.day) for d in world.days.listed()}

    close_through(world.closer, FIRST + timedelta(days=1))

    expected = reference_cubes.published(events.to_dicts(), keys)
    columns = ["tenant", "day", "cube", "dim1", "dim2", "measure", "value"]
    assert set(world.cells().select(columns).iter_rows()) == expected
    assert len({cube for _, _, cube, *_ in expected}) > 15  # the comparison is not empty
    told = {name for _, _, cube, name, *_ in expected if cube == "bot_reason"}
    assert told >= set(REASONS[:4])  # the next is taken in by (other), with one visitor of 801 pages


def _late() -> pl.DataFrame:
    """Of days that were closed: in no cube but their own, whatever else stands in the row."""
    return rows("alpha", FIRST, [*crowd(60, 5000, late=1), *crowd(9, 7000, late=1), *crowd(5, 5000, late=1)])


def _insatiable() -> pl.DataFrame:
    """One visitor far over the cap, on a popular page and on rare ones that are merged."""
    pages = ["/"] * 70 + ["/rare/a"] * 40 + ["/rare/b"] * 40
    return rows("alpha", FIRST, [{"visitor": 7, "route": p, "second": 100 * n} for n, p in enumerate(pages)])


def _machines() -> pl.DataFrame:
    """Visitors that behave as programs do, each kind often enough to be told, and people at the edge of each sign."""
    found = [{**row, "visitor": 1000 * kind + n, "network": 100 * kind + n} for kind in range(12) for n in range(15)
             for row in _habit(kind)]  # fmt: skip
    endless = [{"visitor": 99, "network": 99, "second": 100 * n} for n in range(801)]
    return rows("alpha", FIRST, [*found, *endless])


def _habit(kind: int) -> list[dict[str, Any]]:
    error = {"page_view": 0, "status": 404, "route": "/gone"}
    walk = [{"second": 30_000 + 90 * n, "route": PAGES[n % 3]} for n in range(20)]
    habits: list[list[dict[str, Any]]] = [
        [{"route": "/robots.txt", "page_view": 0}, {}],
        [{**error, "route": "/wp-login.php"}, {"second": 40_000}],
        [{"route": "/wp-login.php"}],  # whose site has one
        [{"method": "HEAD", "page_view": 0, "second": s} for s in (1, 2)],
        [{"method": "HEAD", "page_view": 0}],
        [{**error, "second": s} for s in range(10)],
        [{**error, "second": s} for s in range(9)],
        [{**error, "second": s, "status": 401} for s in range(10)],
        [{"second": 36_000 + s} for s in range(0, 60, 2)],
        [{"second": 36_000 + s} for s in range(0, 58, 2)],
        walk,
        [{**walk[0], "referrer_class": "internal"}, *walk[1:]],
    ]
    return habits[kind]


@pytest.mark.parametrize("sign", ["followed", "account", None])
def test_who_never_follows_a_link_is_a_bot_where_people_do(world: World, sign: str | None) -> None:
    """Fifteen visitors with twenty pages each and no link followed, among eighty readers; not where the site keeps its
    links to itself, and never somebody who signed in."""
    links = {"referrer_class": "internal"} if sign != "followed" else {}
    readers = [{**p, "second": 60 * n, **links} for p in crowd(80) for n in range(6)]
    walkers = crowd(15, first=100, **({"account": 5} if sign == "account" else {}))
    walked = [
        {**p, "second": 60 * n, "account": p.get("account", 0) and p["visitor"]} for p in walkers for n in range(20)
    ]
    world.put(rows("alpha", FIRST, [*readers, *walked]))
    close_through(world.closer, FIRST)
    reasons = world.cells().filter(pl.col("cube") == "bot_reason")["dim1"].to_list()
    assert reasons == ([] if sign else ["never followed a link"])


def test_suspected_visitors_leave_the_figures_about_people(world: World) -> None:
    """They are counted as bots in the snapshot and at the close alike, and bring no crowd of pages to a prefix."""
    scanners = [{"visitor": 100 + n, "network": n, "route": r, "page_view": int(r != "/.env"), "status": 404 * (r == "/.env") or 200}
                for n in range(15) for r in ("/.env", f"/blog/page-{n}", *(f"/blog/{c}{n}" for c in "abcdef"))]  # fmt: skip
    world.put(rows("alpha", FIRST, [*crowd(20, route="/blog/news"), *scanners]))
    take_snapshot(world.snapshotter)
    provisional = world.cells(provisional=1)
    close_through(world.closer, FIRST)
    for shown in (provisional, world.cells()):
        values = {(c, d, m): v for c, d, m, v in shown.select("cube", "dim1", "measure", "value").iter_rows()}
        assert values["total", "", "visitors"] == 20
        assert values["route", "/blog/news", "visitors"] == 20
        assert values["bot_reason", "looked for weaknesses", "requests"] >= 100


def test_a_log_without_durations_is_in_no_bucket(world: World) -> None:
    """The combined format has none: every bucket is told, by the rule, as one that nothing fell into. A name that no
    dimension may have is "(unknown)"."""
    events = random_day("alpha", FIRST, 600, 3).with_columns(
        duration_ms=pl.lit(-1, pl.Int64), browser=pl.col("browser").replace("Firefox", "(other)")
    )
    world.put(events)
    keys = {(d.tenant, d.day): world.key(d.tenant, d.day) for d in world.days.listed()}
    close_through(world.closer, FIRST)
    columns = ["tenant", "day", "cube", "dim1", "dim2", "measure", "value"]
    shown = world.cells().select(columns)
    assert set(shown.iter_rows()) == reference_cubes.published(events.to_dicts(), keys)
    assert shown.filter(pl.col("measure").str.starts_with("latency"))["value"].max() == 0
    assert "(unknown)" in shown.filter(pl.col("cube") == "browser")["dim1"]


def test_the_reference_knows_every_cube() -> None:
    """A cube that is declared but not in the reference would not be checked."""
    assert {LATE.name, *(c.name for c in declared_cubes().cubes)} == set(reference_cubes.CUBES)


def test_a_crowded_prefix_loses_its_children_when_the_day_closes(world: World) -> None:
    """Sixty people looked at a page of their own name: what is shown is that they looked at one."""
    world.put(rows("alpha", FIRST, [{**p, "route": f"/u/name-{p['visitor']}"} for p in crowd(60)]))
    close_through(world.closer, FIRST)
    shown = world.cells().filter(pl.col("cube").is_in(["route", "entry", "exit"]))
    assert set(shown["dim1"].to_list()) == {"/u/{*}"}
    assert set(shown.filter(pl.col("measure") == "visitors")["value"].to_list()) == {60}


def test_no_table_holds_a_sketch(world: World) -> None:
    """A kept `uniq` state answers whether a known pseudonym is in it."""
    columns = world.analytics.frame("SELECT type FROM system.columns WHERE database = currentDatabase()")["type"]
    assert len(columns) > 40
    assert not [kind for kind in columns if "AggregateFunction" in kind]
