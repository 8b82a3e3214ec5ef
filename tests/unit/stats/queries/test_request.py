"""What may be asked, and what is said otherwise."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from services.stats.access.scope import Scope
from services.stats.queries.errors import QueryError
from services.stats.queries.metrics import METRICS, quantile
from services.stats.queries.request import cube_for, not_combinable, read_request

TODAY = date(2026, 11, 20)


def _read(**request: Any) -> Any:
    return read_request({"metrics": ["visitors"], "date_range": "7d", **request}, Scope(), TODAY)


@pytest.mark.parametrize(
    ("request_", "field", "named"),
    [
        ({"metrics": ["vistors"]}, "metrics", "visitors"),
        ({"metrics": []}, "metrics", "visitors"),
        ({"date_range": ["0001-01-01", "0001-01-02"]}, "date_range", "2000-01-01"),
        ({"date_range": ["9999-12-30", "9999-12-31"]}, "date_range", "2999-12-31"),
        ({"date_range": ["2026-11-02", "2026-11-01"]}, "date_range", "ends after it starts"),
        ({"site_id": "\ud800"}, "the request", "not Unicode"),
        ({"filters": [["is", "visit:country", ["\udfff"]]]}, "the request", "not Unicode"),
        ({"metrics": "visitors"}, "metrics", "visitors"),
        ({"dimensions": ["visit:city"]}, "dimensions", "visit:country"),
        ({"dimensions": ["visit:country", "visit:browser"]}, "dimensions", "event:page with visit:device"),
        ({"filters": [["is", "visit:city", ["Lyon"]]]}, "filters", "visit:country"),
        ({"filters": [["is_not", "visit:country", ["FR"]]]}, "filters", "is"),
        ({"filters": [["is", "visit:country", ["FR", "BE"]]]}, "filters", "is"),
        ({"filters": [["is", "visit:country", ["(other)"]]]}, "filters", "is"),
        ({"filters": [["is", "visit:country", ["FR"]], ["is", "visit:os", ["iOS"]]]}, "filters", "one filter"),
        ({"filters": [["is", "visit:os", ["iOS"]]], "dimensions": ["visit:country"]}, "filters", "single people out"),
        ({"filters": [["is", "event:page", ["/"]]], "dimensions": ["event:page"]}, "filters", "already"),
        ({"filters": [["is", "event:page", ["/"]]], "dimensions": ["visit:device"], "metrics": ["bounce_rate"]},
         "metrics", "visitors"),
        ({"metrics": ["bandwidth"], "dimensions": ["visit:country"]}, "metrics", "visitors"),
        ({"metrics": ["error_rate"], "dimensions": ["visit:country"]}, "metrics", "event:page"),
        ({"date_range": "fortnight"}, "date_range", "30d"),
        ({"date_range": ["2026-11-14", "2026-11-01"]}, "date_range", "ends after"),
        ({"date_range": ["yesterday", "today"]}, "date_range", "2026"),
        ({"date_range": None}, "date_range", "30d"),
        ({"order_by": [["pageviews", "desc"]]}, "order_by", "visitors"),
        ({"include": {"imports": True}}, "include", "total_rows"),
        ({"pagination": {"limit": 0}}, "pagination", "10000"),
        ({"pagination": {"limit": True}}, "pagination", "10000"),
        ({"site_id": 7}, "site_id", "tenant"),
        ({"sql": "SELECT 1"}, "the request", "metrics"),
    ],
)  # fmt: skip
def test_what_does_not_exist_is_named_with_what_does(request_: dict[str, Any], field: str, named: str) -> None:
    """The error tells the field, and the way on."""
    with pytest.raises(QueryError) as caught:
        _read(**request_)
    assert caught.value.field == field
    assert named in str(caught.value)


@pytest.mark.parametrize(
    "request_",
    [
        {"metrics": ["nina"]},
        {"dimensions": ["nina"]},
        {"filters": [["is", "nina", ["nina"]]]},
        {"filters": [["nina", "event:page", ["nina"]]]},
        {"date_range": "nina"},
        {"date_range": ["nina", "nina"]},
        {"order_by": [["nina", "desc"]]},
        {"include": {"nina": True}},
        {"pagination": {"nina": 1}},
        {"nina": "nina"},
    ],
)
def test_what_was_asked_is_not_repeated(request_: dict[str, Any]) -> None:
    """Senders log answers, and what was asked may be a name."""
    with pytest.raises(QueryError) as caught:
        _read(**request_)
    assert "nina" not in str(caught.value)
    assert "nina" not in str(caught.value.choices)


def test_a_tenant_outside_the_scope_is_refused_like_one_that_is_not_there() -> None:
    """Whether another tenant exists is not told."""
    texts = []
    for name in ("other-club", "no-such-club"):
        with pytest.raises(QueryError) as caught:
            read_request(
                {"metrics": ["visitors"], "date_range": "day", "site_id": name}, Scope(frozenset({"mine"})), TODAY
            )
        texts.append(str(caught.value))
    assert texts[0] == texts[1]


def test_without_a_site_the_scope_is_asked() -> None:
    asked = {"metrics": ["visitors"], "date_range": "day"}
    assert read_request(asked, Scope(frozenset({"b", "a"})), TODAY).sites == ("a", "b")
    assert read_request(asked, Scope(), TODAY).sites is None


@pytest.mark.parametrize(
    ("name", "first"),
    [("day", date(2026, 11, 20)), ("7d", date(2026, 11, 14)), ("month", date(2026, 11, 1)), ("year", date(2026, 1, 1))],
)
def test_named_ranges_end_today(name: str, first: date) -> None:
    request = _read(date_range=name)
    assert (request.first, request.last) == (first, TODAY)


def test_every_metric_is_published_somewhere() -> None:
    """No metric can only be asked for in vain."""
    for name in METRICS:
        assert cube_for(_read(metrics=[name]), METRICS[name])


def test_what_cannot_be_combined_says_why() -> None:
    refused = {entry["dimension"] for entry in not_combinable(_read(filters=[["is", "visit:country", ["FR"]]]))}
    assert "visit:browser" in refused
    assert not refused & {"visit:country", "visit:device", "event:page"}


def test_a_quantile_is_interpolated_in_its_bucket() -> None:
    """100 requests between 10 and 20 ms: the middle one is taken at 15."""
    assert quantile([0, 100, 0], [10, 20], 0.5) == 15
    assert quantile([0, 0, 5], [10, 20], 0.95) == 20  # the last bucket is open: at least that
    assert quantile([0, 0, 0], [10, 20], 0.5) is None


@pytest.mark.parametrize(("metric", "least"), [("latency_p50", 20), ("latency_p95", 200), ("latency_p99", 1000)])
def test_percentiles_need_requests(metric: str, least: int) -> None:
    """Below that a percentile is the story of a few of them."""
    assert METRICS[metric].compute({"latency_50": least}) is not None
    assert METRICS[metric].compute({"latency_50": least - 5}) is None


@pytest.mark.parametrize(
    ("request_", "meant"),
    [
        ({"metrics": ["vistors"]}, "visitors"),
        ({"dimensions": ["visit:contry"]}, "visit:country"),
        ({"filters": [["is", "event:pages", ["/"]]]}, "event:page"),
        ({"date_range": "12m"}, "12mo"),
        ({"dimension": ["event:page"]}, "dimensions"),
        ({"include": {"totals": True}}, "total_rows"),
    ],
)
def test_a_name_that_is_almost_right_is_put_right(request_: dict[str, Any], meant: str) -> None:
    """Among all names, the one that is meant."""
    with pytest.raises(QueryError, match=rf"Did you mean {meant}\?"):
        _read(**request_)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("day", date(2026, 11, 20)),
        ("7d", date(2026, 11, 14)),
        ("30d", date(2026, 10, 22)),
        ("month", date(2026, 11, 1)),
        ("6mo", date(2026, 6, 1)),
        ("12mo", date(2025, 12, 1)),
        ("year", date(2026, 1, 1)),
    ],
)
def test_a_named_range_ends_today(name: str, first: date) -> None:
    """Months are whole ones, as in Plausible."""
    request = _read(date_range=name)
    assert (request.first, request.last) == (first, TODAY)
