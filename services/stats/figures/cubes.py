"""What may be counted: the declarations of `cubes.toml`, and what each visitor adds to each cell."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from string import Template
from typing import Any, Literal

import polars as pl

from services.runtime.clickhouse import Analytics, sql
from services.stats.figures.rows import OTHER, Rows
from services.stats.store import SQL

__all__ = [
    "LATE",
    "OTHER",
    "PERIOD_CUBES",
    "TOLD",
    "Cube",
    "Cubes",
    "Measure",
    "cell_sums",
    "contributions",
    "declared_cubes",
    "people_in",
]

TOLD = "told"  # the rows of a cube that is made of published cells
_ROWS: Mapping[str, str] = {
    "people": "engaged",
    "pages": "engaged AND page_view = 1",
    "events": "engaged AND event != ''",
    "campaigns": "engaged AND visit_utm_source != ''",
    "requests": "bot_class = 'human'",
    "accounts": "bot_class = 'human' AND account != 0",
    "bots": "bot_class != 'human'",
}
# Of cells with at most so many visitors, these come along with the sums: `(other)` takes in the smallest cells first.
# Cubes of every request have many cells and visitors, those of pages alone few, of which a middling one may be next.
_SMALL, _MIDDLE = 40, 2000
_BYTES_UNIT = 1_000_000  # a total of bytes is told in megabytes: a planted download cannot be told by its size

# A day has at most 50 visits of one visitor (25 h at the change of the clocks, a pause of 30 minutes between two),
# so the set of a visitor's visits is the bits of one UInt64: united over merged cells without counting twice.
_VISIT_BIT = "bitShiftLeft(toUInt64(1), least(visit, 63))"


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a cell. `kind`: `people` counts visitors, `visits` counts set bits, `sum` adds up.

    `unit`: the published value is a multiple of 5 of it. `timed`: 0 for rows without a duration.
    """

    name: str
    kind: Literal["people", "visits", "sum"]
    sql: str = ""
    unit: int = 1
    timed: bool = False


@dataclass(frozen=True, slots=True)
class Cube:
    """One table of cells of a (tenant, day). `cap`: what one visitor adds to a cell at most; None in totals."""

    name: str
    dimensions: tuple[str, ...]
    rows: str
    measures: tuple[Measure, ...]
    cap: int | None

    def measured(self, kind: str) -> list[str]:
        return [m.name for m in self.measures if m.kind == kind]


@dataclass(frozen=True, slots=True)
class Cubes:
    """All declarations. `dimensions`: name -> SQL expression over the gathered rows."""

    dimensions: Mapping[str, str]
    cubes: Sequence[Cube]
    latency_ms: tuple[int, ...]
    visit_seconds: tuple[int, ...]

    def __getitem__(self, name: str) -> Cube:
        return next(c for c in self.cubes if c.name == name)

    def singles(self) -> Iterator[Cube]:
        """The cubes of today's snapshot: no pairs."""
        return (c for c in self.cubes if len(c.dimensions) < 2)


_ACCOUNTS = Measure("active_accounts", "people")

# What a week and a month are told in: cells of their first day, from the table of active accounts (close_periods.py).
PERIOD_CUBES: Mapping[str, Cube] = {
    kind: Cube(f"active_accounts_{kind}", (), "accounts", (_ACCOUNTS,), None) for kind in ("week", "month")
}
# Late hits. Their people pass the rule, and are not told: only the requests are.
LATE = Cube("late", (), "requests", (Measure("requests", "sum"),), None)


@cache
def declared_cubes() -> Cubes:
    """The content of `cubes.toml`."""
    raw = tomllib.loads(resources.files(__package__).joinpath("cubes.toml").read_text("utf-8"))
    latency, seconds = tuple(raw["latency_ms"]), tuple(raw["visit_seconds"])
    families = _families(latency, seconds)
    cubes = [_cube(entry, families, raw["contribution_max"]) for entry in raw["cubes"]]
    return Cubes(raw["dimensions"], cubes, latency, seconds)


def cell_sums(
    analytics: Analytics, cube: Cube, dimensions: Mapping[str, str], rows: Rows
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What each (tenant, day, cell) of the gathered `rows` holds, exact: for the disclosure rule, never for eyes.

    First one row a cell: tenant, day, dim1, dim2 (empty when the cube has fewer dimensions), people, networks,
    accounts (distinct ones), one column a measure that is not `people`. Summed in the engine: a cell of a busy site
    has thousands of visitors, and only those of the smallest ones need ever be looked at one by one.
    Then the cells with few visitors: tenant, day, dim1, dim2 and `who`, which `people_in` unfolds.
    """
    kept_max = _SMALL if cube.rows == "requests" else _MIDDLE
    query = _filled("cell_sums", cube, dimensions, timed=rows.timed, kept_max=kept_max)
    found = _cells(analytics, query, cube, rows)
    sums = found.drop("who").rename(lambda name: name.removesuffix("_sum"))
    small = found.filter(pl.col("people") <= kept_max).select("tenant", "day", "dim1", "dim2", "who")
    return sums, small


def people_in(cells: pl.DataFrame, cube: Cube) -> pl.DataFrame:
    """Cells with `who` -> one row a (cell, visitor), as `contributions`."""
    measures = [m.name for m in cube.measures if m.kind != "people"]
    who = pl.col("who").struct.rename_fields(["visitor", "network", "account", *measures])
    return cells.explode("who").with_columns(who).unnest("who")


def contributions(
    analytics: Analytics, cube: Cube, dimensions: Mapping[str, str], rows: Rows, cells: str
) -> pl.DataFrame:
    """One row a (tenant, day, cell, visitor) of the gathered `rows`, for the cells in the table `cells`, which has
    numbers for names.

    Columns: those of a cell, visitor, network, account (0: none; of several the largest, which can only count too
    few), one column a measure that is not `people`.
    """
    query = _filled("contributions", cube, dimensions, timed=rows.timed)
    return _cells(analytics, query, cube, rows, {"cells": cells})


def _cells(
    analytics: Analytics, query: str, cube: Cube, rows: Rows, more: Mapping[str, object] | None = None
) -> pl.DataFrame:
    bound = {"rows": rows.table, "names": rows.names_table, "cap": cube.cap or 0, **(more or {})}
    return rows.put_names(analytics.frame(query, bound).rename({"tenant_number": "tenant"}))


def _filled(name: str, cube: Cube, dimensions: Mapping[str, str], *, timed: bool, kept_max: int = 0) -> str:
    """`sql/{name}.sql` for one cube. Where no row is `timed` its buckets are 0 without a look at the rows: they are
    most of a cube's counters."""
    dim1, dim2, *_ = [*(_numbered(dimensions[name]) for name in cube.dimensions), "toUInt32(0)", "toUInt32(0)"]
    measures = {m.name: m if timed or not m.timed else replace(m, sql="0") for m in cube.measures if m.kind != "people"}
    return Template(sql(SQL, name)).substitute(
        tenant=_numbered("tenant", "UInt16"),
        dim1=dim1,
        dim2=dim2,
        names="".join(f", {name}" for name in measures),
        sums="".join(f", {_summed(measure)} AS {name}_sum" for name, measure in measures.items()),
        measures="".join(f", {_capped(measure, cube)} AS {name}" for name, measure in measures.items()),
        person="account" if cube.rows == "accounts" else "visitor",
        kept=_ROWS[cube.rows],
        kept_max=kept_max,
    )


def _numbered(expression: str, kind: str = "UInt32") -> str:
    """A name is looked up once per entry of the column's dictionary: `transform` keeps a LowCardinality as it is."""
    return f"CAST(transform({expression}, numbered.1, numbered.2, toUInt32(0)), '{kind}')"


def _summed(measure: Measure) -> str:
    return f"sum({measure.name})" if measure.kind == "sum" else f"toInt64(sum(bitCount({measure.name})))"


def _capped(measure: Measure, cube: Cube) -> str:
    if measure.kind == "sum" and cube.cap is not None:
        return f"toInt64(least({measure.sql}, {{cap:UInt32}}))"
    return f"toInt64({measure.sql})" if measure.kind == "sum" else measure.sql


def _cube(entry: Mapping[str, Any], families: Mapping[str, Sequence[Measure]], contribution_max: int) -> Cube:
    measures = tuple(m for name in entry["measures"] for m in families[name])
    cap = contribution_max if entry.get("named") else None
    return Cube(entry["name"], tuple(entry["dimensions"]), entry["rows"], measures, cap)


def _families(latency_ms: Sequence[int], visit_seconds: Sequence[int]) -> dict[str, Sequence[Measure]]:
    return {
        "visitors": [Measure("visitors", "people")],
        "active_accounts": [_ACCOUNTS],
        "visits": [Measure("visits", "visits", f"groupBitOr({_VISIT_BIT})")],
        "bounces": [Measure("bounces", "visits", f"groupBitOr(if(visit_hits = 1, {_VISIT_BIT}, 0))")],
        "page_views": [Measure("page_views", "sum", "sum(page_view)")],
        "requests": [Measure("requests", "sum", "count()")],
        "bytes": [Measure("bytes", "sum", "sum(response_bytes)", unit=_BYTES_UNIT)],
        "latency": [
            Measure(f"latency_{name}", "sum", f"countIf(duration_ms >= 0 AND {condition})", timed=True)
            for name, condition in _buckets("duration_ms", latency_ms)
        ],
        "visit_seconds": [
            Measure(f"visit_seconds_{name}", "visits", f"groupBitOr(if({condition}, {_VISIT_BIT}, 0))")
            for name, condition in _buckets("visit_seconds", visit_seconds)
        ],
    }


def _buckets(column: str, bounds: Sequence[int]) -> Iterator[tuple[str, str]]:
    lower = None
    for upper in bounds:
        yield str(upper), f"{column} <= {upper}" + (f" AND {column} > {lower}" if lower is not None else "")
        lower = upper
    yield "more", f"{column} > {lower}"
