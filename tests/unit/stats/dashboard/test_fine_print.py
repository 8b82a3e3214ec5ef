"""The line of trust below each table and chart."""

from __future__ import annotations

from typing import Any

import pytest

from services.stats.dashboard.asking import Answer
from services.stats.dashboard.fine_print import fine_print
from tests.unit.stats.dashboard.asked import questions


def told(provisional: list[str], rest: str = "", *, paired: bool = False) -> str:
    meta: dict[str, Any] = {"freshness": {"provisional_days": provisional}}
    return fine_print(questions({}).view, Answer(meta=meta), rest, paired=paired)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (told([]), "closed days · from 10 people on"),
        (told(["2026-03-15"], "3%"), "3% in (other) · provisional · from 10 people on"),
        (told(["2026-03-15"], paired=True), "closed days alone · from 10 people on"),
        (told([], paired=True), "closed days · from 10 people on"),
    ],
)
def test_it_says_what_the_figures_are_of(line: str, expected: str) -> None:
    """The rest, what may change, and from how many people on; pairs are never of a day that goes on."""
    assert line == expected
