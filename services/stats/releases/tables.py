"""The tables of a release: sums of stored noisy days, with the interval their noise explains."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from services.stats.releases.period import Period
from services.stats.releases.split import Split
from services.stats.releases.vectors import NoisySum

__all__ = ["OBS_STATUS", "Table", "by_key", "daily", "half_width", "neutralised", "tables_of", "totals"]

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
_TOTALS = (
    Table("totals", "The whole period", ("measure",), {"measure": "string", "days": "integer", **_VALUES}),
    Table("daily", "Day by day", ("day", "measure"), {"day": "date", "measure": "string", **_VALUES}),
)


def tables_of(split: Split, measures: Collection[str]) -> list[Table]:
    """The totals, and one table for each of `measures` whose cells have names."""
    keyed = [
        Table(m.name, m.title, m.keys, {**dict.fromkeys(m.keys, "string"), "days": "integer", **_VALUES})
        for m in split.measures
        if m.keys and m.name in measures
    ]
    return [*_TOTALS, *keyed]


def daily(period: Period, cells: Sequence[tuple[date, NoisySum]]) -> pl.DataFrame:
    """One row a day and total, missing days included (empty value, status O)."""
    found = {(day, cell.measure): cell for day, cell in cells}
    rows: list[_Row] = [
        {"day": day, "measure": neutralised(measure), **_observation(found.get((day, measure)))}
        for day in period.days
        for measure in sorted({cell.measure for _, cell in cells})
    ]
    return _frame(rows, {"day": pl.Date, "measure": pl.String})


def totals(split: Split, sums: Sequence[NoisySum]) -> pl.DataFrame:
    """One row a measure without keys: the sum over the days that are there, and how many those are."""
    rows: list[_Row] = [
        {"measure": neutralised(cell.measure), "days": cell.days, **_observation(cell)}
        for cell in sums
        if not split[cell.measure].keys
    ]
    return _frame(rows, {"measure": pl.String, "days": pl.Int64})


def by_key(table: Table, sums: Sequence[NoisySum]) -> pl.DataFrame:
    """One row a cell of the table's measure; `days`: on how many the cell was in the catalogue."""
    rows: list[_Row] = [
        {**dict(zip(table.key, map(neutralised, cell.key), strict=True)), "days": cell.days, **_observation(cell)}
        for cell in sums
        if cell.measure == table.name
    ]
    return _frame(rows, {**dict.fromkeys(table.key, pl.String), "days": pl.Int64})


def neutralised(text: str) -> str:
    """A text cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def half_width(variance: int) -> int:
    """Of the 95 % interval of a sum of independent noise: variances add up."""
    return math.ceil(_Z_95 * math.sqrt(variance))


def _observation(cell: NoisySum | None) -> dict[str, int | str | None]:
    if cell is None:
        return {"value": None, "value_lo": None, "value_hi": None, "obs_status": "O"}
    half = half_width(cell.variance)
    return {
        "value": cell.value,
        "value_lo": cell.value - half,
        "value_hi": cell.value + half,
        "obs_status": "A" if cell.value > half else "U",
    }


def _frame(rows: list[_Row], keys: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    values = {"value": pl.Int64, "value_lo": pl.Int64, "value_hi": pl.Int64, "obs_status": pl.String}
    return pl.DataFrame(rows, schema={**keys, **values})
