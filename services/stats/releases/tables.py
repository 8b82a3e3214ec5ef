"""The tables of a release: sums of stored noisy days, with the interval their noise explains.

Every cell has a value, so that integers stay integers in readers that have no missing ones; the days that are missing
have a table of their own, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from services.stats.releases.contents import Contents
from services.stats.releases.names import written
from services.stats.releases.period import Period
from services.stats.releases.split import Split
from services.stats.releases.vectors import NoisySum

__all__ = ["DTYPES", "OBS_STATUS", "Table", "frame_of", "half_width", "tables_of"]

OBS_STATUS = {"A": "normal value", "U": "low reliability: the interval is not above zero"}  # SDMX CL_OBS_STATUS 2.2
DTYPES = {"integer": pl.Int64(), "string": pl.String(), "date": pl.Date()}  # of Data Package types
_Z_95 = 1.959963984540054  # two-sided 95 % of the normal, which a discrete Gaussian of sigma >= 3 has to 1e-15

_Row = Mapping[str, date | int | str]


@dataclass(frozen=True)
class Table:
    """One table of the package: its file name without suffix, its key, and every column with its Data Package type."""

    name: str
    title: str
    key: tuple[str, ...]
    columns: dict[str, str]


_VALUES = {"days": "integer", "value": "integer", "value_lo": "integer", "value_hi": "integer", "obs_status": "string"}
_TOTALS = Table(
    "totals", "The whole period", ("period", "measure"), {"period": "string", "measure": "string", **_VALUES}
)
_DAILY = Table("daily", "Day by day", ("day", "measure"), {"day": "date", "measure": "string", **_VALUES})
_MISSING = Table(
    "missing_days",
    "Days that are not in it",
    ("tenant", "day"),
    {"tenant": "string", "day": "date", "reason": "string"},
)


def tables_of(split: Split, measures: Collection[str]) -> list[Table]:
    """The totals, the days, the missing days, and one table for each of `measures` whose cells have names."""
    keyed = [
        Table(m.name, m.title, ("period", *m.keys), {"period": "string", **dict.fromkeys(m.keys, "string"), **_VALUES})
        for m in split.measures
        if m.keys and m.name in measures
    ]
    return [_TOTALS, _DAILY, _MISSING, *keyed]


def frame_of(table: Table, contents: Contents, split: Split) -> pl.DataFrame:
    """The rows of one table, in order, with its declared columns and types."""
    if table is _TOTALS:
        rows = _totals(contents.period, split, contents.sums)
    elif table is _DAILY:
        rows = _daily(contents.daily)
    elif table is _MISSING:
        rows = [{"tenant": written("tenant", m.tenant), "day": m.day, "reason": m.reason} for m in contents.missing]
    else:
        rows = _by_key(table, contents.period, contents.sums)
    return pl.DataFrame(rows, schema={name: DTYPES[kind] for name, kind in table.columns.items()}).sort(table.key)


def half_width(variance: int) -> int:
    """Of the 95 % interval of a sum of independent noise: variances add up."""
    return math.ceil(_Z_95 * math.sqrt(variance))


def _totals(period: Period, split: Split, sums: Sequence[NoisySum]) -> list[_Row]:
    """One row a measure without keys: the sum over the days that are there, and how many those are."""
    return [
        {"period": period.interval, "measure": cell.measure, **_observation(cell)}
        for cell in sums
        if not split[cell.measure].keys
    ]


def _daily(cells: Sequence[tuple[date, NoisySum]]) -> list[_Row]:
    """One row a day that is there and total."""
    return [{"day": day, "measure": cell.measure, **_observation(cell)} for day, cell in cells]


def _by_key(table: Table, period: Period, sums: Sequence[NoisySum]) -> list[_Row]:
    """One row a cell of the table's measure; `days`: on how many the cell was in the catalogue."""
    return [
        {"period": period.interval, **_names(table.key[1:], cell.key), **_observation(cell)}
        for cell in sums
        if cell.measure == table.name
    ]


def _names(columns: Sequence[str], key: Sequence[str]) -> dict[str, str]:
    return {column: written(column, name) for column, name in zip(columns, key, strict=True)}


def _observation(cell: NoisySum) -> dict[str, int | str]:
    half = half_width(cell.variance)
    return {
        "days": cell.days,
        "value": cell.value,
        "value_lo": cell.value - half,
        "value_hi": cell.value + half,
        "obs_status": "A" if cell.value > half else "U",
    }
