"""The wide table of pages and addresses."""

from __future__ import annotations

import pytest

from services.stats.dashboard.panels import QUALITY
from services.stats.dashboard.tables import ROUTES, tabulate
from services.stats.figures.cubes import OTHER
from tests.unit.stats.dashboard.asked import Answers, questions

ANSWERS: Answers = {
    "requests": {("/",): 900.0, ("/news",): 400.0, ("/join",): 50.0, (OTHER,): 100.0},
    "error_rate": {("/news",): 2.5, ("/",): 0.1},
    "client_error_rate": {("/join",): 12.0, ("/",): 3.0},
    "latency_p50": {("/",): 40.0, ("/join",): 90.0, (OTHER,): 4000.0},
    "latency_p95": {("/",): 400.0, ("/news",): 1200.0},
    "latency_p99": {("/",): 900.0},
}


def order(address: str, limit: int = 15) -> list[str]:
    return [row.label for row in tabulate(questions(ANSWERS, address, QUALITY), ROUTES, limit).rows]


@pytest.mark.parametrize(
    ("address", "labels"),
    [
        ("/quality", ["/", "/news", "/join"]),
        ("/quality?sort=slowest", ["/news", "/", "/join"]),
        ("/quality?sort=failing", ["/news", "/", "/join"]),
    ],
)
def test_the_worst_come_first(address: str, labels: list[str]) -> None:
    """By the figure that a row has; without one it comes after those that have it. The rest is always last."""
    assert order(address) == [*labels, "(other)"]


def test_a_figure_of_too_few_requests_is_no_number() -> None:
    """The other figures of the row stand."""
    table = tabulate(questions(ANSWERS, "/quality", QUALITY), ROUTES)
    join = next(row for row in table.rows if row.label == "/join")
    assert join.figures == ("50", "12%", "–", "90 ms", "–", "–")


def test_what_is_left_out_is_counted() -> None:
    """The link to all of them stands where some are not shown."""
    table = tabulate(questions(ANSWERS, "/quality", QUALITY), ROUTES, limit=1)
    assert [row.label for row in table.rows] == ["/", "(other)"]
    assert (table.count, "rows=all" in table.more) == (4, True)
    assert tabulate(questions(ANSWERS, "/quality", QUALITY), ROUTES).more == ""


def test_only_what_is_offered_is_a_column() -> None:
    """Under a filter that leaves requests alone there are no columns of dashes."""
    table = tabulate(questions({"requests": ANSWERS["requests"]}, "/quality", QUALITY), ROUTES)
    assert table.columns == ("Requests",)


def test_a_click_on_the_chosen_row_takes_the_filter_away() -> None:
    """And the rest cannot be chosen."""
    rows = tabulate(questions(ANSWERS, "/quality?filter=event:page&value=/news", QUALITY), ROUTES).rows
    by_label = {row.label: row for row in rows}
    assert "filter" not in by_label["/news"].href
    assert "value=%2Fjoin" in by_label["/join"].href
    assert by_label["(other)"].href == ""
