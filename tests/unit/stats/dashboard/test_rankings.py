"""A table of values with their shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from services.runtime.web.languages import language
from services.stats.dashboard.asking import Questions
from services.stats.dashboard.panels import OVERVIEW
from services.stats.dashboard.rankings import rank
from services.stats.dashboard.view import read_view
from tests.unit.stats.dashboard.asked import TODAY

DAYS = {"2026-03-14": 100, str(TODAY): 300}  # the card adds up both


def ask(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Pages by country have the closed day alone, as pairs do; a single has today in it."""
    pair = {"/": 50, "/news": 25} if request["filters"] else {"/": 200, "/news": 100}
    found = DAYS if request["dimensions"] == ["time:day"] else pair
    rows = [{"dimensions": [value], "metrics": [figure]} for value, figure in found.items()]
    return {"results": rows, "meta": {"freshness": {"provisional_days": [str(TODAY)]}}}


@pytest.mark.parametrize("address", [{}, {"filter": "visit:country", "value": "FR"}])
def test_a_share_is_of_the_days_that_the_rows_are_of(address: Mapping[str, str]) -> None:
    """Half of the visitors saw the first page, with and without the filter: today's, whom the rows of a filter lack,
    are in its whole neither."""
    questions = Questions(ask, read_view(address, ["riverside"], TODAY, language("en"), OVERVIEW))
    ranking = rank(questions, OVERVIEW.groups[0], lambda _: sum(DAYS.values()))
    assert [(row.label, row.share) for row in ranking.rows] == [("/", "50%"), ("/news", "25%")]
