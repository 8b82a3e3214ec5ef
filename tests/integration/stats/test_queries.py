"""Answers add up published days, and nothing else."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from services.stats.access.scope import Scope
from services.stats.days.states import TenantDay
from services.stats.figures.cells import publish_cells, replace_provisional
from services.stats.figures.disclosure import PUBLISHED, PublishedCells
from services.stats.queries.answers import Queries, as_csv
from tests.parts.closing import FIRST, World

SECOND = FIRST + timedelta(days=1)
Cell = tuple[str, date, str, str, str, str, int]
CELLS: list[Cell] = [
    *(("a", day, "total", "", "", m, v) for day in (FIRST, SECOND) for m, v in
      [("visitors", 40), ("visits", 50), ("page_views", 100), ("bounces", 20), ("visit_seconds_60", 30)]),
    ("b", FIRST, "total", "", "", "visitors", 15),
    *(("a", day, "country", name, "", "visitors", v) for day in (FIRST, SECOND) for name, v in
      [("FR", 25), ("BE", 10), ("(other)", 60)]),
    ("a", SECOND, "country", "=CH+1", "", "visitors", 5),
    *(("a", FIRST, "country*device", c, d, "visitors", v) for c, d, v in
      [("FR", "mobile", 15), ("FR", "(other)", 10), ("(other)", "mobile", 35), ("BE", "mobile", 10)]),
    ("a", FIRST, "traffic", "", "", "requests", 400),
    ("a", FIRST, "traffic", "", "", "latency_50", 400),
    *(("a", FIRST, "status_class", s, "", "requests", v) for s, v in [("2xx", 380), ("5xx", 20)]),
    *(("a", FIRST, "route*status_class", "/", s, "requests", v) for s, v in [("2xx", 90), ("5xx", 10)]),
    *(("a", FIRST, "hour", h, "", "requests", v) for h, v in [("09", 100), ("10", 300)]),
]  # fmt: skip


@pytest.fixture
def queries(world: World) -> Queries:
    frame = _frame(CELLS)
    pairs = [TenantDay(t, d) for t, d in frame.select("tenant", "day").unique().iter_rows()]
    publish_cells(world.analytics, pairs, frame)
    return Queries(world.analytics, world.clock, ZoneInfo("UTC"))


def _frame(cells: Iterable[Cell]) -> PublishedCells:
    return PublishedCells(pl.DataFrame(list(cells), schema=dict(PUBLISHED), orient="row"))


def _ask(queries: Queries, metrics: list[str], *dimensions: str, scope: Scope | None = None, **more: Any) -> list[Any]:
    days = [FIRST.isoformat(), SECOND.isoformat()]
    request = {"site_id": "a", "metrics": metrics, "date_range": days, "dimensions": list(dimensions), **more}
    return [(*r["dimensions"], *r["metrics"]) for r in queries.answer(request, scope or Scope())["results"]]


def test_a_range_is_the_sum_of_its_days(queries: Queries) -> None:
    """Ratios come from the sums."""
    metrics = ["visitors", "pageviews", "views_per_visit", "bounce_rate", "visit_duration"]
    assert _ask(queries, metrics) == [(80, 200, 2.0, 40.0, 45.0)]


def test_the_other_row_is_last_and_ties_are_by_name(queries: Queries) -> None:
    expected = [("FR", 50), ("BE", 20), ("=CH+1", 5), ("(other)", 120)]
    assert _ask(queries, ["visitors"], "visit:country") == expected
    ascending = _ask(queries, ["visitors"], "visit:country", order_by=[["visitors", "asc"]])
    assert ascending == [*reversed(expected[:3]), expected[3]]


def test_days_in_order_with_another_dimension(queries: Queries) -> None:
    rows = _ask(queries, ["visitors"], "time:day", "visit:country", filters=[])
    assert [row for row in rows if row[1] == "FR"] == [("2026-11-01", "FR", 25), ("2026-11-02", "FR", 25)]
    assert _ask(queries, ["visitors"], "time:month") == [("2026-11-01", 80)]


def test_a_filter_reads_the_pair_along_either_side(queries: Queries) -> None:
    """With the rest of that row or column as (other)."""
    devices = _ask(queries, ["visitors"], "visit:device", filters=[["is", "visit:country", ["FR"]]])
    assert devices == [("mobile", 15), ("(other)", 10)]
    countries = _ask(queries, ["visitors"], "visit:country", filters=[["is", "visit:device", ["mobile"]]])
    assert countries == [("FR", 15), ("BE", 10), ("(other)", 35)]


def test_a_filter_without_dimension_answers_by_the_single(queries: Queries) -> None:
    assert _ask(queries, ["visitors"], filters=[["is", "visit:country", ["BE"]]]) == [(20,)]


def test_both_dimensions_of_a_pair_count_nobody_twice(queries: Queries) -> None:
    """The column's (other) holds people whom the rows' (other) hold already."""
    rows = _ask(queries, ["visitors"], "visit:country", "visit:device")
    assert rows == [("FR", "mobile", 15), ("BE", "mobile", 10), ("FR", "(other)", 10)]


def test_what_is_not_shown_is_null(queries: Queries) -> None:
    """A tenant without figures looks like one with too few people."""
    assert _ask(queries, ["visitors", "bounce_rate", "latency_p50"], site_id="nobody") == [(None, None, None)]


def test_metrics_of_several_cubes_in_one_answer(queries: Queries) -> None:
    assert _ask(queries, ["visitors", "requests", "error_rate", "latency_p95"]) == [(80, 400, 5.0, 48.8)]
    assert _ask(queries, ["error_rate"], "event:page") == [("/", 10.0)]
    assert _ask(queries, ["requests"], "time:hour") == [("09", 100), ("10", 300)]  # time forward, as for days


def test_several_tenants_are_sums_of_their_published_cells(queries: Queries) -> None:
    assert _ask(queries, ["visitors"], site_id=["a", "b"]) == [(95,)]
    assert _ask(queries, ["visitors"], site_id=None) == [(95,)]
    assert _ask(queries, ["visitors"], site_id=None, scope=Scope(frozenset({"b"}))) == [(15,)]


def test_a_closed_day_is_not_counted_again_from_its_snapshot(world: World, queries: Queries) -> None:
    """The snapshot shows until the next one; a day that is only in it is provisional."""
    third = SECOND + timedelta(days=1)
    replace_provisional(world.analytics, _frame([("a", d, "total", "", "", "visitors", 1000) for d in (SECOND, third)]))
    days = [FIRST.isoformat(), third.isoformat()]
    answer = queries.answer({"site_id": "a", "metrics": ["visitors"], "date_range": days}, Scope())
    assert answer["results"][0]["metrics"] == [1080]
    assert answer["meta"]["freshness"]["provisional_days"] == [third.isoformat()]
    assert answer["meta"]["freshness"]["closed_through"] == SECOND.isoformat()


def test_pages_of_rows_and_their_number(queries: Queries) -> None:
    request = {"site_id": "a", "metrics": ["visitors"], "date_range": [FIRST.isoformat(), SECOND.isoformat()],
               "dimensions": ["visit:country"], "pagination": {"limit": 1, "offset": 1}, "include": {"total_rows": True}}  # fmt: skip
    answer = queries.answer(request, Scope())
    assert [r["dimensions"] for r in answer["results"]] == [["BE"]]
    assert answer["meta"]["total_rows"] == 4


def test_a_comparison_with_the_days_before(queries: Queries) -> None:
    request = {"site_id": "a", "metrics": ["visitors", "requests"], "date_range": [SECOND.isoformat()],
               "include": {"comparisons": {"mode": "previous_period"}}}  # fmt: skip
    (row,) = queries.answer(request, Scope())["results"]
    assert row["comparison"]["metrics"] == [40, 400]
    assert row["comparison"]["change"] == [0.0, None]


def test_csv_opens_safely_in_a_spreadsheet(queries: Queries) -> None:
    """A value that starts like a formula is neutralised; what is not shown is empty."""
    days = [FIRST.isoformat(), SECOND.isoformat()]
    request = {"site_id": "a", "metrics": ["visitors", "visits"], "date_range": days, "dimensions": ["visit:country"]}
    rows = list(csv.reader(io.StringIO(as_csv(queries.answer(request, Scope())))))
    assert rows[0] == ["visit:country", "visitors", "visits"]
    assert ["'=CH+1", "5", ""] in rows


def test_values_of_a_filter_are_bound_never_spliced(queries: Queries) -> None:
    hostile = "FR' OR 1=1 --"
    assert _ask(queries, ["visitors"], "visit:device", filters=[["is", "visit:country", [hostile]]]) == []
