"""The plan tells the error of the noise and what a person risks, before anything is drawn."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from services.stats.days.states import TenantDay
from services.stats.figures.cells import keep_cells
from services.stats.figures.disclosure import PublishedCells
from services.stats.releases.plan import expected_errors, person_level, visitors_published
from services.stats.releases.split import declared_split
from tests.unit.stats.releases.records import FIRST, new_records


def test_errors_follow_from_sigma_days_and_size() -> None:
    """A week's total of visitors at 30 000 a day: 1.96 sigma sqrt 7 of 210 000; a route that a tenth of them see."""
    errors = {(e.measure, e.period): e for e in expected_errors(declared_split(), 30_000)}
    assert len(errors) == 6 * 3
    visitors, routes = errors["visitors", "week"], errors["visitors_by_route", "week"]
    assert visitors.half_width == math.ceil(1.959964 * 13 * math.sqrt(7))
    assert visitors.relative == {1.0: visitors.half_width / 210_000}
    assert routes.relative[0.1] == pytest.approx(1.96 * 28 * math.sqrt(7) / 21_000, rel=0.02)


def test_the_person_level_figures_are_the_design_s() -> None:
    """exports.md: a month costs 0.6 (70.8 %) for one pseudonym a day, 2.4 (86.3 %) for two; a day of a unit 54.0 %."""
    told = {
        (p["days"], p["pseudonyms_a_day"]): (p["rho_zcdp"], p["best_guess_right"])
        for p in person_level(declared_split(), True)
    }
    assert told[1, 1] == ("1/50", 0.5398)
    assert told[30, 1] == ("3/5", 0.7081)
    assert told[30, 2] == ("12/5", 0.8633)
    without = {p["days"]: p["rho_zcdp"] for p in person_level(declared_split(), False) if p["pseudonyms_a_day"] == 1}
    assert without[1] == "1/100", "no route table: its share is not spent"


def test_an_empty_tenant_has_no_relative_error(tmp_path: Path) -> None:
    """Nor has one whose figures were never published a size."""
    assert all(math.isinf(e.relative[1.0]) for e in expected_errors(declared_split(), 0))
    assert visitors_published(new_records(tmp_path), "harbour") is None


def test_a_tenant_s_size_is_read_from_its_published_days(tmp_path: Path) -> None:
    """The mean of what was told; days that told nothing do not count."""
    records = new_records(tmp_path)
    row = {"tenant": "harbour", "cube": "total", "dim1": "", "dim2": ""}
    days = [FIRST + timedelta(days=n) for n in range(3)]
    cells = [
        {**row, "day": days[n], "measure": m, "value": v}
        for n, m, v in ((0, "visitors", 100), (0, "visits", 7), (1, "visitors", 200))
    ]
    frame = pl.DataFrame(cells).select("tenant", "day", "cube", "dim1", "dim2", "measure", "value")
    with records.begin() as connection:
        keep_cells(connection, [TenantDay("harbour", day) for day in days], PublishedCells(frame))
    assert visitors_published(records, "harbour") == 150
