"""The tables of a release: sums of stored noisy days, with the interval their noise explains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from services.stats.releases.ledger import NoisyCell
from services.stats.releases.period import Period

__all__ = ["OBS_STATUS", "TABLES", "Table", "daily", "neutralised", "totals"]

# SDMX code list CL_OBS_STATUS 2.2
OBS_STATUS = {"A": "normal value", "U": "low reliability: the interval reaches zero", "O": "missing value"}
_Z_95 = 1.959963984540054  # two-sided 95 % of the normal, which a discrete Gaussian of sigma >= 3 has to 1e-15
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # OWASP, "CSV Injection"


_Row = dict[str, date | int | str | None]


@dataclass(frozen=True)
class Table:
    """One table of the package: its file name without suffix, its key, and every column with its Data Package type."""

    name: str
    title: str
    key: tuple[str, ...]
    columns: dict[str, str]


_VALUES = {"value": "integer", "value_lo": "integer", "value_hi": "integer", "obs_status": "string"}
TABLES = (
    Table("totals", "The whole period", ("measure",), {"measure": "string", "days": "integer", **_VALUES}),
    Table("daily", "Day by day", ("day", "measure"), {"day": "date", "measure": "string", **_VALUES}),
)


def daily(period: Period, measures: Sequence[str], cells: Sequence[NoisyCell]) -> pl.DataFrame:
    """One row a day and measure, missing days included (empty value, status O)."""
    found = {(cell.day, cell.measure): cell for cell in cells}
    rows: list[_Row] = [
        {"day": day, "measure": neutralised(measure), **_observation([c] if (c := found.get((day, measure))) else [])}
        for day in period.days
        for measure in measures
    ]
    return _frame(rows, {"day": pl.Date, "measure": pl.String})


def totals(measures: Sequence[str], cells: Sequence[NoisyCell]) -> pl.DataFrame:
    """One row a measure: the sum over the days that are there, and how many those are."""
    by_measure = {measure: [cell for cell in cells if cell.measure == measure] for measure in measures}
    rows: list[_Row] = [
        {"measure": neutralised(measure), "days": len(found), **_observation(found)}
        for measure, found in by_measure.items()
    ]
    return _frame(rows, {"measure": pl.String, "days": pl.Int64})


def neutralised(text: str) -> str:
    """A text cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def half_width(sigmas: Sequence[int]) -> int:
    """Of the 95 % interval of a sum of independent noisy days: variances add up."""
    return math.ceil(_Z_95 * math.sqrt(sum(sigma * sigma for sigma in sigmas)))


def _observation(cells: Sequence[NoisyCell]) -> dict[str, int | str | None]:
    if not cells:
        return {"value": None, "value_lo": None, "value_hi": None, "obs_status": "O"}
    value, half = sum(cell.value for cell in cells), half_width([cell.sigma for cell in cells])
    return {
        "value": value,
        "value_lo": value - half,
        "value_hi": value + half,
        "obs_status": "A" if value > half else "U",
    }


def _frame(rows: list[_Row], keys: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    values = {"value": pl.Int64, "value_lo": pl.Int64, "value_hi": pl.Int64, "obs_status": pl.String}
    return pl.DataFrame(rows, schema={**keys, **values})
