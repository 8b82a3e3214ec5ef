"""What may be counted: the declarations of `cubes.toml`, and what each visitor adds to each cell."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Template
from typing import Any, Literal

import polars as pl

from services.runtime.clickhouse import Analytics, sql

__all__ = ["OTHER", "Cube", "Cubes", "Measure", "contributions", "declared_cubes"]

OTHER = "(other)"  # the row that takes in what may not stand alone; no value of an event can be called so
_UNNAMED = "(unknown)"
_ROWS: Mapping[str, str] = {
    "people": "engaged",
    "pages": "engaged AND page_view = 1",
    "events": "engaged AND event != ''",
    "requests": "bot_class = 'human'",
    "bots": "bot_class != 'human'",
    "all": "1",
}
_BYTES_UNIT = 1_000_000  # a total of bytes is told in megabytes: a planted download cannot be told by its size

# A day has at most 50 visits of one visitor (25 h at the change of the clocks, a pause of 30 minutes between two),
# so the set of a visitor's visits is the bits of one UInt64: united over merged cells without counting twice.
_VISIT_BIT = "bitShiftLeft(toUInt64(1), least(visit, 63))"


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a cell. `kind`: `people` counts visitors, `visits` counts set bits, `sum` adds up.

    `unit`: the published value is a multiple of 5 of it.
    """

    name: str
    kind: Literal["people", "visits", "sum"]
    sql: str = ""
    unit: int = 1


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


@cache
def declared_cubes() -> Cubes:
    """The content of `cubes.toml`."""
    raw = tomllib.loads(resources.files("services.stats").joinpath("cubes.toml").read_text("utf-8"))
    latency, seconds = tuple(raw["latency_ms"]), tuple(raw["visit_seconds"])
    families = _families(latency, seconds)
    cubes = [_cube(entry, families, raw["contribution_max"]) for entry in raw["cubes"]]
    return Cubes(raw["dimensions"], cubes, latency, seconds)


def contributions(analytics: Analytics, cube: Cube, dimensions: Mapping[str, str], rows: str) -> pl.DataFrame:
    """One row a (tenant, day, cell, visitor) of the gathered table `rows`.

    Columns: tenant, day, dim1, dim2 (empty when the cube has fewer dimensions), visitor, network, account
    (0: none; of several the largest, which can only count too few), one column a measure that is not `people`.
    """
    found = analytics.frame(contributions_sql(cube, dimensions), {"rows": rows, "cap": cube.cap or 0})
    return found.rename({"tenant_name": "tenant"})


def contributions_sql(cube: Cube, dimensions: Mapping[str, str]) -> str:
    """`sql/contributions.sql` for one cube."""
    raw = {f"raw{n}": dimensions[name] for n, name in enumerate(cube.dimensions, start=1)}
    measures = {m.name: _capped(m, cube) for m in cube.measures if m.kind != "people"}
    dim1, dim2, *_ = [*map(_named, raw), "''", "''"]
    return Template(sql("services.stats.sql", "contributions")).substitute(
        names="".join(f", {name}" for name in measures),
        dim1=dim1,
        dim2=dim2,
        raw="".join(f"{expression} AS {name}, " for name, expression in raw.items()),
        grouped="".join(f"{name}, " for name in raw),
        measures="".join(f", {expression} AS {name}" for name, expression in measures.items()),
        kept=_ROWS[cube.rows],
    )


def _named(expression: str) -> str:
    return f"if({expression} IN ('', '{OTHER}'), '{_UNNAMED}', toString({expression}))"


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
        "visits": [Measure("visits", "visits", f"groupBitOr({_VISIT_BIT})")],
        "bounces": [Measure("bounces", "visits", f"groupBitOr(if(visit_hits = 1, {_VISIT_BIT}, 0))")],
        "page_views": [Measure("page_views", "sum", "sum(page_view)")],
        "requests": [Measure("requests", "sum", "count()")],
        "bytes": [Measure("bytes", "sum", "sum(response_bytes)", unit=_BYTES_UNIT)],
        "latency": [
            Measure(f"latency_{name}", "sum", f"countIf(duration_ms >= 0 AND {condition})")
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
