"""Questions answered from a small table, for tests of what pages make of answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from services.runtime.web.languages import language
from services.stats.dashboard.asking import Questions
from services.stats.dashboard.panels import OVERVIEW, Sheet
from services.stats.dashboard.view import read_view
from services.stats.queries.errors import QueryError

__all__ = ["TODAY", "Answers", "Figures", "questions"]

Figures = Mapping[tuple[str, ...], float | None]  # by dimension values
Answers = Mapping[str, Figures]  # by metric

TODAY = date(2026, 3, 15)  # a Sunday


def questions(answers: Answers, address: str = "/", sheet: Sheet = OVERVIEW) -> Questions:
    """A metric that is not in `answers` is refused."""

    def ask(request: Mapping[str, Any]) -> Mapping[str, Any]:
        (metric,) = request["metrics"]
        if metric not in answers:
            raise QueryError("metrics", "is not published by these dimensions.", list(answers))
        rows = [{"dimensions": list(key), "metrics": [value]} for key, value in answers[metric].items()]
        return {"results": rows, "meta": {}}

    parameters = dict(parse_qsl(urlsplit(address).query))
    return Questions(ask, read_view(parameters, ["riverside"], TODAY, language("en"), sheet))
