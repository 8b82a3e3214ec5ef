"""How figures are written."""

from __future__ import annotations

import pytest

from services.runtime.web.languages import language
from services.stats.dashboard.figures import HIDDEN, Kind, change, written

ENGLISH, FRENCH = language("en"), language("fr")


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (12340, "count", "12,340"), (0, "count", "0"), (12_345_678, "count", "12.3 M"), (None, "count", HIDDEN),
        (4.71, "ratio", "4.7"), (38.4, "percent", "38%"), (0.123, "percent", "0.12%"), (0, "percent", "0%"),
        (None, "percent", "–"), (161, "seconds", "2 m 41 s"), (41, "seconds", "41 s"), (60, "seconds", "1 m 00 s"),
        (2310, "milliseconds", "2,310 ms"),
    ],
)  # fmt: skip
def test_figures_are_short_and_exact(value: float | None, kind: Kind, text: str) -> None:
    """What may not be shown is never written as a number."""
    assert written(value, kind, ENGLISH) == text


@pytest.mark.parametrize(
    ("now", "before", "kind", "better", "text", "direction", "good"),
    [
        (108, 100, "count", "more", "+8%", "up", True),
        (92, 100, "count", "more", "-8%", "down", False),
        (92, 100, "count", "less", "-8%", "down", True),
        (100.2, 100, "count", "more", "no change", "same", None),
        (40, 38, "percent", "less", "+2.0 pt", "up", False),
        (0.12, 0.15, "percent", "less", "-0.03 pt", "down", True),
        (38.1, 38, "percent", "less", "no change", "same", None),
        (4.6, 4.7, "ratio", "neither", "-2%", "down", None),
        (5000, 5, "count", "more", "+999 ×", "up", True),
    ],
)
def test_changes_say_direction_and_worth(
    now: float, before: float, kind: Kind, better: str, text: str, direction: str, good: bool | None
) -> None:
    """Percent for counts, points for percentages; fewer errors are good news."""
    found = change(now, before, kind, better, ENGLISH)  # type: ignore[arg-type]
    assert found is not None
    assert (found.text, found.direction, found.good) == (text, direction, good)


@pytest.mark.parametrize(("now", "before"), [(None, 5), (5, None), (5, 0)])
def test_nothing_to_compare_is_no_change(now: float | None, before: float | None) -> None:
    """No made-up 'from nothing'."""
    assert change(now, before, "count", "more", ENGLISH) is None


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (12340, "count", "12\u202f340"), (12_345_678, "count", "12,3 M"), (4.71, "ratio", "4,7"),
        (0.123, "percent", "0,12\u202f%"), (2310, "milliseconds", "2\u202f310 ms"), (None, "count", HIDDEN),
    ],
)  # fmt: skip
def test_figures_are_written_as_the_language_does(value: float | None, kind: Kind, text: str) -> None:
    """French: a narrow space between thousands, a comma before decimals."""
    assert written(value, kind, FRENCH).replace("\u00a0", "\u202f") == text
