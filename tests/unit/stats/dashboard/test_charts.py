"""The main chart's points."""

from __future__ import annotations

from services.stats.dashboard.charts import hour_chart
from services.stats.figures.cubes import OTHER
from tests.unit.stats.dashboard.asked import Figures, questions


def test_merged_hours_are_no_point() -> None:
    """A quiet night is told as `(other)`: a day by hour draws the hours that have a name, and says the others as few."""
    day: Figures = {("09",): 120.0, ("10",): 80.0, (OTHER,): 45.0}
    points = hour_chart(questions({"requests": day}, "/?period=day"), [], "").points
    assert [point.y for point in points if point.y is not None] == [120.0, 80.0]
    assert {point.y_text for point in points} == {"120", "80", "<10"}
