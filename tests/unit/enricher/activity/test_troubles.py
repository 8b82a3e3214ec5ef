"""What went wrong for one person, counted by page."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

from services.enricher.activity.blocks import LINKED
from services.enricher.activity.troubles import SLOW_MS, troubles

NINE = datetime(2026, 3, 10, 9)


def rows(*given: dict[str, object]) -> pl.DataFrame:
    base = {"method": "GET", "timestamp": NINE}
    return pl.DataFrame([base | row for row in given], schema=dict(LINKED))


def test_server_errors_stand_first_then_the_most_frequent() -> None:
    found = troubles(rows(
        *[{"path": "/a", "status": 404}] * 3, {"path": "/b", "status": 404}, {"path": "/c", "status": 500},
        {"path": "/fine", "status": 200, "duration_ms": SLOW_MS - 1}, {"path": "/slow", "status": 200, "duration_ms": SLOW_MS},
    ))  # fmt: skip
    assert [(t.page, t.status, t.times) for t in found] == [
        ("/c", 500, 1),
        ("/a", 404, 3),
        ("/b", 404, 1),
        ("/slow", 200, 1),
    ]
    assert [t.is_error for t in found] == [True, True, True, False]


def test_a_trouble_says_when_how_often_and_how_slow() -> None:
    """Of five visits of one page two failed; the route stands for its paths."""
    ten = NINE.replace(hour=10)
    page = {"route": "/invoices/{id}", "duration_ms": 10}
    (found,) = troubles(rows(
        {**page, "path": "/invoices/1", "status": 500}, {**page, "path": "/invoices/2", "status": 500, "timestamp": ten,
         "duration_ms": 30}, *[{**page, "path": "/invoices/3", "status": 200}] * 3,
    ))  # fmt: skip
    assert (found.page, found.times, found.asked, found.median_ms, found.slowest_ms) == (
        "/invoices/{id}",
        2,
        5,
        20.0,
        30,
    )
    assert (found.first, found.last) == (NINE.replace(tzinfo=UTC), ten.replace(tzinfo=UTC))


def test_nothing_went_wrong() -> None:
    assert troubles(rows({"path": "/", "status": 200})) == []
    assert troubles(rows()) == []


def test_an_event_without_status_is_no_error() -> None:
    assert troubles(rows({"event": "invoice.paid", "duration_ms": None})) == []
