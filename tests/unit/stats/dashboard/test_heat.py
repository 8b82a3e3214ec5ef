"""The map of weekdays and hours."""

from __future__ import annotations

from datetime import date

from services.stats.dashboard.heat import LEVELS, heat_map
from services.stats.dashboard.panels import QUALITY
from services.stats.figures.cubes import OTHER
from tests.unit.stats.dashboard.asked import TODAY, Figures, questions

MONDAY, NEXT_MONDAY, TUESDAY = "2026-03-02", "2026-03-09", "2026-03-03"
REQUESTS: Figures = {
    (MONDAY, "09"): 100.0, (NEXT_MONDAY, "09"): 300.0, (MONDAY, "10"): 20.0, (TUESDAY, "09"): 60.0,
    (TODAY.isoformat(), "00"): 5000.0,
}  # fmt: skip


def test_a_cell_is_the_mean_of_its_weekday() -> None:
    """Of the days that are closed: today's hours to come would count as quiet ones. An hour that is not published
    counts as none, but its day counts."""
    found = heat_map(questions({"requests": REQUESTS}, "/quality", QUALITY), [TODAY], "")
    assert [name for name, _ in found.rows] == ["Mon", "Tue"]
    monday = dict(zip(found.hours, found.rows[0][1], strict=True))
    assert (monday["09"].text, monday["10"].text, monday["11"].text) == ("200", "10", "<10")


def test_merged_hours_are_no_hour() -> None:
    """A quiet night is told as `(other)`: the map leaves it out."""
    night: Figures = {**REQUESTS, (MONDAY, OTHER): 9000.0}
    assert heat_map(questions({"requests": night}, "/quality", QUALITY), [TODAY], "") == heat_map(
        questions({"requests": REQUESTS}, "/quality", QUALITY), [TODAY], ""
    )


def test_shades_follow_the_largest() -> None:
    """The largest is the darkest; what is published at all is never without a shade."""
    found = heat_map(questions({"requests": REQUESTS}, "/quality", QUALITY), [TODAY], "")
    monday = dict(zip(found.hours, found.rows[0][1], strict=True))
    assert (monday["09"].level, monday["10"].level, monday["11"].level) == (LEVELS, 1, 0)
    assert monday["09"].told == "Mon, 09:00: about 200 requests"


def test_an_empty_map_says_why() -> None:
    """Nothing closed, or a filter that hours cannot be combined with."""
    today = {key: value for key, value in REQUESTS.items() if date.fromisoformat(key[0]) == TODAY}
    assert "closed" in heat_map(questions({"requests": today}, "/quality", QUALITY), [TODAY], "").empty
    assert "single people out" in heat_map(questions({}, "/quality", QUALITY), [TODAY], "").empty
