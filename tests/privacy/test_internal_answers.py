"""Attacks on what is computed from the internal figures: ranges, platform sums, ratios, percentiles.

Each is also run against a weaker design, which it must break.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from statistics import mean

import polars as pl
import pytest

from services.stats.figures.cubes import Cube, declared_cubes
from services.stats.figures.disclosure import STRICT, DayKeys, Rule, publish
from services.stats.queries.metrics import METRICS
from tests.parts.people import DAY, SINGLE, TENANT, Person, crowd, key_of, people

KEYS = 60
WEEK = [DAY + timedelta(days=n) for n in range(7)]
WINDOWS = [(first, last) for first in range(7) for last in range(first, 7)]
TO_THE_END = [(first, 6) for first in range(7)]  # those that hold the victim's day
EXACT = replace(STRICT, threshold=1, margin=1, networks=False, complete=False)
RARE, VICTIM = "/rare", Person(60_000, "/rare")


def _day_of(day: date, with_victim: bool) -> list[Person]:
    """Forty people on the front page, twenty with the news, three on a rare one, where the victim comes on the last
    day."""
    first = 1_000 * (1 + (day - DAY).days)
    usual = [*crowd(40, "/", first=first), *crowd(20, "/news", first=first + 100), *crowd(3, RARE, first=first + 500)]
    return [*usual, VICTIM] if with_victim and day == WEEK[-1] else usual


def _published(frame: pl.DataFrame, day: date, key: int) -> dict[str, int]:
    keys: DayKeys = {(TENANT, day): key_of(key)}
    found = publish(frame.with_columns(pl.lit(day).alias("day")), SINGLE, keys)
    return dict(found.select("dim1", "value").iter_rows())


def _sums_of_days(with_victim: bool, key: int) -> list[dict[str, int]]:
    """The product: every window is the sum of published days."""
    days = [_day(n, with_victim and n == 6, key) for n in range(7)]
    return [_added(days[first : last + 1]) for first, last in WINDOWS]


@cache
def _day(number: int, with_victim: bool, key: int) -> dict[str, int]:
    return _published(people(_day_of(WEEK[number], with_victim)), WEEK[number], key + number)


def _added(days: Sequence[Mapping[str, int]]) -> dict[str, int]:
    return {name: sum(day.get(name, 0) for day in days) for name in sorted({name for day in days for name in day})}


def _windows_of_events(with_victim: bool, key: int) -> list[dict[str, int]]:
    """The weaker design: the rule is applied to what a window's events hold, by a key for each window."""
    return [
        _published(pl.concat([people(_day_of(day, with_victim)) for day in WEEK[first : last + 1]]), DAY, 100 * key + n)
        for n, (first, last) in enumerate(TO_THE_END)
    ]


def test_differencing_of_overlapping_ranges() -> None:
    """All 28 ranges of a week, asked and subtracted from one another, tell no more of the victim than the last day
    alone, which one key in five rounds otherwise; the rare page stands in none. Were the rule applied to what a range
    holds, each range would be one more draw, and together they give the victim away."""
    assert mean(_sums_of_days(False, 10 * key) != _sums_of_days(True, 10 * key) for key in range(25)) < 0.4
    assert not any(RARE in window for window in _sums_of_days(True, 1))
    windows = [(_windows_of_events(False, key), _windows_of_events(True, key)) for key in range(8)]
    assert mean(without != with_victim for without, with_victim in windows) > 0.6
    assert any(RARE in window for window in windows[0][0])


def test_a_range_less_a_range_is_a_published_day() -> None:
    """There is nothing in between to be learnt: days 1 to 7 less days 1 to 6 is what day 7 shows anyway."""
    sums = dict(zip(WINDOWS, _sums_of_days(True, 3), strict=True))
    for last in range(1, 7):
        difference = {name: value - sums[0, last - 1][name] for name, value in sums[0, last].items()}
        assert difference == sums[last, last]


def _cell(cube: Cube, persons: Sequence[Person], columns: Mapping[str, Sequence[int]]) -> pl.DataFrame:
    """One row a visitor with every measure of `cube`; what `columns` does not say is 0."""
    frame = people(persons)
    dtypes = {m.name: pl.UInt64() if m.kind == "visits" else pl.Int64() for m in cube.measures if m.kind != "people"}
    return frame.with_columns(
        pl.Series(name, columns.get(name, [0] * len(persons)), dtype=dtype) for name, dtype in dtypes.items()
    )


def _metric(name: str, cube: Cube, frame: pl.DataFrame, key: int, rule: Rule = STRICT) -> float | None:
    found = publish(frame, cube, {(TENANT, DAY): key_of(key)}, rule)
    return METRICS[name].compute(dict(found.select("measure", "value").iter_rows()))


LATENCY = declared_cubes()["route_requests"]
ROUTE = declared_cubes()["route"]


def _served(count: int, slow: int) -> pl.DataFrame:
    """`count` people with a quick request each, and `slow` whose request took 9 s."""
    quick = [1] * count + [0] * slow
    columns = {"requests": [1] * (count + slow), "latency_100": quick, "latency_10000": [1 - n for n in quick]}
    return _cell(LATENCY, crowd(count + slow, "/"), columns)


def _told_apart(measure: Callable[[int, int], float | None]) -> float:
    """For how many keys the figure differs with the victim; `measure` gets a key and how many victims there are."""
    return mean(measure(key, 0) != measure(key, 1) for key in range(KEYS))


@pytest.mark.parametrize("percentile", ["latency_p95", "latency_p99"])
def test_percentiles_of_a_small_cell(percentile: str) -> None:
    """Thirty requests and one slow one: the tail of thirty is one person, and is not told. From the exact figures,
    without a least number of requests, the slow one shows."""
    assert _told_apart(lambda key, slow: _metric(percentile, LATENCY, _served(30, slow), key)) == 0
    assert _told_apart(lambda _, slow: _exact_percentile(_served(30, slow), 0.99)) == 1


def _exact_percentile(frame: pl.DataFrame, share: float) -> float | None:
    """The weaker design: the bucket in which the percentile of the exact counts lies."""
    buckets = [name for name in frame.columns if name.startswith("latency_")]
    counts = [int(frame[name].sum()) for name in buckets]
    below = 0
    for name, count in zip(buckets, counts, strict=True):
        below += count
        if below >= share * sum(counts):
            return float(name.removeprefix("latency_").replace("more", "inf"))
    return None


def test_a_median_moves_by_the_rounding_alone() -> None:
    """Of forty requests: one more slow one moves it in few days, and then by a rounded count."""
    assert _told_apart(lambda key, slow: _metric("latency_p50", LATENCY, _served(40, slow), key)) < 0.45


def _visited(count: int, bounced: int, more: int) -> pl.DataFrame:
    """`count` people with a visit each, of whom `bounced` looked at one page; and `more` who bounced too."""
    bounces = [1] * bounced + [0] * (count - bounced) + [1] * more
    return _cell(ROUTE, crowd(count + more, "/"), {"visits": [1] * (count + more), "bounces": bounces})


def test_ratios_of_a_small_cell() -> None:
    """Twenty-three visits, seven bounces: the rate is one of rounded counts, which few days move; the exact rate
    tells of one more bounce every time."""
    assert _told_apart(lambda key, more: _metric("bounce_rate", ROUTE, _visited(23, 7, more), key)) < 0.45
    assert _told_apart(lambda _, more: (7 + more) / (23 + more)) == 1


def test_a_ratio_does_not_calibrate_its_parts() -> None:
    """Visits and bounces of one cell are rounded by draws of their own: equal counts do not show as equal."""
    rates = {_metric("bounce_rate", ROUTE, _visited(33, 33, 0), key) for key in range(KEYS)}
    assert len(rates) > 1
    keyed_alike = replace(STRICT, keyed_by_measure=False)
    assert {_metric("bounce_rate", ROUTE, _visited(33, 33, 0), key, keyed_alike) for key in range(KEYS)} == {100.0}


def test_a_small_cell_has_no_ratio_at_all() -> None:
    """Nine people, all of whom bounced: no figure, and so no rate. Without the threshold it is 100 %."""
    assert {_metric("bounce_rate", ROUTE, _visited(9, 9, 0), key) for key in range(KEYS)} == {None}
    assert 100.0 in {_metric("bounce_rate", ROUTE, _visited(9, 9, 0), key, EXACT) for key in range(KEYS)}


def test_the_platform_less_the_other_tenants() -> None:
    """A platform figure is the sum of the tenants' published ones: what is left after subtracting the others is what
    the tenant shows, nothing when it shows nothing. Summed before the rule, nine people of a small tenant show."""
    sizes = {"large": 400, "small": 9}
    shown = {t: _published(people(crowd(n, "/", first=1 + 1000 * (t == "small"))), DAY, 5) for t, n in sizes.items()}
    platform = _added(list(shown.values()))
    assert platform == shown["large"]
    assert shown["small"] == {}
    before_the_rule = pl.concat([people(crowd(n, "/", first=1 + 1000 * (t == "small"))) for t, n in sizes.items()])
    left = [
        _published(before_the_rule, DAY, key)["/"] - _published(people(crowd(400, "/")), DAY, key)["/"]
        for key in range(KEYS)
    ]
    assert 5 < mean(left) < 13


SOURCES, CHANNELS = declared_cubes()["referrer_domain"], declared_cubes()["referrer_class"]
ALL_MEASURES = replace(CHANNELS, measures=SOURCES.measures)


def _searched(pages: int) -> list[tuple[str, str, int]]:
    """(domain, class, pages) of each visitor: two search engines, of which one brought a single person."""
    small = [(f"{n % 2}.example", "other", 1) for n in range(14)]
    return [*[("google.com", "search", 2)] * 40, *small, ("ecosia.org", "search", pages)]


def _less_google(channels: Cube, pages: int, key: int) -> int:
    """What a reader is left with of the class `search`, less the search engine that has a name: all measures."""
    visits = _searched(pages)
    left = 0
    for cube, at, name in ((channels, 1, "search"), (SOURCES, 0, "google.com")):
        persons = [Person(n + 1, str(visit[at])) for n, visit in enumerate(visits)]
        views = {"page_views": [visit[2] for visit in visits], "visits": [1] * len(visits)}
        cells = publish(_cell(cube, persons, views), cube, {(TENANT, DAY): key_of(key)})
        told = {(dim, measure): v for dim, measure, v in cells.select("dim1", "measure", "value").iter_rows()}
        if at:
            measures = [measure for dim, measure in told if dim == name]
        else:
            assert ("ecosia.org", "visitors") not in told
        left += sum(told[name, measure] for measure in measures) * (1 if at else -1)
    return left


def test_a_class_less_its_values() -> None:
    """The one person who came by another search engine: how much they read shows in no difference. With page views by
    class it is what is left."""
    keys = range(0, KEYS, 6)
    assert all(_less_google(CHANNELS, 2, key) == _less_google(CHANNELS, 45, key) for key in keys)
    assert mean(_less_google(ALL_MEASURES, 45, key) for key in keys) > 40


def test_what_groups_another_dimension_has_visitors_alone() -> None:
    """Classes of sources, and what campaigns belong to."""
    for name in ("referrer_class", "utm_source", "utm_medium"):
        assert [measure.name for measure in declared_cubes()[name].measures] == ["visitors"]
