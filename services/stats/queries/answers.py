"""Answers from published cells alone, in the shape of Plausible's Stats API v2. A range is the sum of its days."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from services.runtime.clickhouse import Analytics, sql
from services.runtime.clock import Clock
from services.stats.access.scope import Scope
from services.stats.engine import engine_errors
from services.stats.figures.cubes import LATE, OTHER, Cube
from services.stats.figures.disclosure import ROUNDING, THRESHOLD
from services.stats.queries.dates import ALL_DAYS
from services.stats.queries.errors import QueryError
from services.stats.queries.metrics import Metric
from services.stats.queries.request import (
    DIMENSIONS,
    TIMES,
    Request,
    cube_for,
    not_combinable,
    read_request,
)
from services.stats.store import SQL

__all__ = ["Queries", "as_csv"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for one (OWASP, CSV injection)
_HOUR = "time:hour"  # the one dimension of time that is a cube's
_YEAR_OF_WEEKS = timedelta(days=364)  # a Monday is compared with a Monday

Key = tuple[str, ...]  # the values of the request's dimensions, in its order


@dataclass(frozen=True)
class Queries:
    """What the API, the dashboard and the command ask; reads the published cells and nothing else."""

    analytics: Analytics
    clock: Clock
    zone: ZoneInfo
    seen: dict[str, pl.DataFrame] | None = None  # what the questions of one page have read so far

    def for_one_page(self) -> Queries:
        """The same, remembering what it has read: a page's many questions are about few cubes and spans."""
        return replace(self, seen={})

    @engine_errors()
    def answer(self, request: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
        """`{"results": [{"metrics", "dimensions"}], "meta", "query"}`.

        A metric is None where it may not be shown: nobody, or fewer than ten. Raises `QueryError`.
        """
        if self.seen is None:
            return self.for_one_page().answer(request, scope)
        asked = read_request(request, scope, self.clock.now().astimezone(self.zone).date())
        if request.get("date_range") == ALL_DAYS:
            asked = replace(asked, first=min([asked.last, *self._days_with_figures(asked)]))
        table = self._table(asked)
        keys = _ordered(asked, table)
        page = keys[asked.offset : asked.offset + asked.limit]
        results: list[dict[str, Any]] = [{"metrics": table[key], "dimensions": list(key)} for key in page]
        if asked.include.get("comparisons"):
            self._compare(asked, results)
        return {"results": results, "meta": self._meta(asked, len(keys)), "query": _echo(asked)}

    def _table(self, request: Request) -> dict[Key, list[float | None]]:
        """One row a combination of dimension values; without dimensions always one row."""
        columns = [self._column(request, metric) for metric in request.metrics]
        keys: set[Key] = {key for column in columns for key in column}
        if not request.dimensions:
            keys.add(())
        return {key: [column.get(key) for column in columns] for key in keys}

    def _column(self, request: Request, metric: Metric) -> dict[Key, float | None]:
        values = self._values(request, metric)
        return {key: metric.compute(found) for key, found in values.items()}

    def _values(self, request: Request, metric: Metric) -> dict[Key, dict[str, int]]:
        """Published sums by the request's dimensions: measure -> value."""
        cube = cube_for(request, metric)
        parameters = {**_parameters(request, cube), "unfinished": self._unfinished(request)}
        rows = self._read("select_visible_cells", parameters)
        values: dict[Key, dict[str, int]] = {}
        for time, dim1, dim2, measure, value in rows.iter_rows():
            cell = dict(zip(cube.dimensions, (dim1, dim2), strict=False))
            if len(cell) == 2 and request.filter is None and dim1 == OTHER:
                continue  # the columns' own (other): its people are in the rows' (other) already
            name = f"{measure}:{cell[metric.along]}" if metric.along else measure
            values.setdefault(_key(request, time, cell), {})[name] = value
        return values

    def _read(self, statement: str, parameters: Mapping[str, Any]) -> pl.DataFrame:
        assert self.seen is not None
        key = f"{statement} {sorted(parameters.items())}"
        if key not in self.seen:
            self.seen[key] = self.analytics.frame(sql(SQL, statement), parameters)
        return self.seen[key]

    def _compare(self, request: Request, results: list[dict[str, Any]]) -> None:
        """Adds `comparison` to each row: the same row of the days before, or of a year of weeks before."""
        if request.time:
            raise QueryError(
                "include", "comparisons have no time dimension; ask for the other days in their own query."
            )
        table = self._table(_shifted(request))
        for row in results:
            before = table.get(tuple(row["dimensions"]), [None] * len(request.metrics))
            row["comparison"] = {
                "dimensions": row["dimensions"],
                "metrics": before,
                "change": [_change(now, then) for now, then in zip(row["metrics"], before, strict=True)],
            }

    def _meta(self, request: Request, rows: int) -> dict[str, Any]:
        meta: dict[str, Any] = {
            "privacy": {
                "threshold": THRESHOLD,
                "rounding": ROUNDING,
                "below_threshold": None,
                "other": OTHER,
                "not_combinable": not_combinable(request),
            },
            "freshness": self._freshness(request),
            "units": {m.name: m.unit for m in request.metrics},
        }
        if request.include.get("total_rows"):
            meta["total_rows"] = rows
        if request.include.get("time_labels"):
            meta["time_labels"] = _labels(request)
        return meta

    def _freshness(self, request: Request) -> dict[str, Any]:
        days = self._days_with_figures(request)
        final = [day for day, provisional in days.items() if not provisional]
        return {
            "closed_through": max(final).isoformat() if final else None,
            "provisional_days": [day.isoformat() for day, provisional in days.items() if provisional],
            "days_without_figures": [d.isoformat() for d in _days(request) if d not in days],
            "timezone": self.zone.key,
        }

    def _days_with_figures(self, request: Request) -> dict[date, bool]:
        """And whether they may still change."""
        found = self._read("select_freshness", _where(request))
        return {day: not of_finals for day, _, of_finals in found.iter_rows()}

    def _unfinished(self, request: Request) -> list[tuple[str, date]]:
        """What has a snapshot alone. To find that out again while cells are read would cost as much as the rest."""
        found = self._read("select_freshness", _where(request))
        return [
            (tenant, day) for day, snapshots, final in found.iter_rows() for tenant in sorted({*snapshots} - {*final})
        ]


def as_csv(answer: Mapping[str, Any]) -> str:
    """An answer's rows as RFC 4180, safe to open in a spreadsheet; what may not be shown is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    query = answer["query"]
    writer.writerow([*query["dimensions"], *query["metrics"]])
    for row in answer["results"]:
        figures = ["" if value is None else value for value in row["metrics"]]
        writer.writerow([*(_neutral(text) for text in row["dimensions"]), *figures])
    return buffer.getvalue()


def _neutral(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _parameters(request: Request, cube: Cube) -> dict[str, Any]:
    """All measures of the cube, whatever is asked: the next metric finds them read."""
    fixed = {DIMENSIONS[request.filter.dimension]: request.filter.value} if request.filter else {}
    dim1, dim2, *_ = [*(fixed.get(d, "") for d in cube.dimensions), "", ""]
    measures = [m.name for m in cube.measures]
    return {
        **_where(request),
        "cubes": _cubes(request, cube),
        "by": request.time,
        "measures": measures,
        "dim1": dim1,
        "dim2": dim2,
    }


def _cubes(request: Request, cube: Cube) -> list[str]:
    """What came late is in the total of requests alone: it happened on none of the days that a series tells apart."""
    whole = not request.dimensions and request.filter is None
    return [cube.name, LATE.name] if cube.name == "traffic" and whole else [cube.name]


def _where(request: Request) -> dict[str, Any]:
    where = {"everywhere": int(request.sites is None), "tenants": list(request.sites or [])}
    return {"first": request.first, "last": request.last, **where}


def _key(request: Request, time: str, cell: Mapping[str, str]) -> Key:
    return tuple(time if d in TIMES else cell[DIMENSIONS[d]] for d in request.dimensions)


def _ordered(request: Request, table: Mapping[Key, Sequence[float | None]]) -> list[Key]:
    """As asked (first metric first, time forward, when nothing is), `(other)` last, ties by name."""
    time = next((d for d in request.dimensions if d in TIMES or d == _HOUR), None)
    default = [(time, False)] if time else [(request.metrics[0].name, True)]
    keys = sorted(table)
    for name, descending in reversed(request.order_by or default):
        keys.sort(key=_sorting(request, table, name), reverse=descending)
    return sorted(keys, key=lambda k: OTHER in k)


def _sorting(request: Request, table: Mapping[Key, Sequence[float | None]], name: str) -> Callable[[Key], Any]:
    if name in request.dimensions:
        at = request.dimensions.index(name)
        return lambda key: key[at]
    column = [m.name for m in request.metrics].index(name)
    return lambda key: -1.0 if (value := table[key][column]) is None else value


def _shifted(request: Request) -> Request:
    """The period that `include` compares with."""
    by = request.last - request.first + timedelta(days=1)
    if request.include["comparisons"]["mode"] == "year_over_year":
        by = _YEAR_OF_WEEKS
    return replace(request, first=request.first - by, last=request.last - by)


def _change(now: float | None, then: float | None) -> float | None:
    """Percent; None when a side is missing or nothing can be divided by."""
    return round((now - then) / then * 100, 1) if now is not None and then else None


def _days(request: Request) -> list[date]:
    return [request.first + timedelta(days=n) for n in range((request.last - request.first).days + 1)]


def _labels(request: Request) -> list[str]:
    starts = {
        "day": lambda d: d,
        "week": lambda d: d - timedelta(days=d.weekday()),
        "month": lambda d: d.replace(day=1),
    }.get(request.time)
    return sorted({starts(day).isoformat() for day in _days(request)}) if starts else []


def _echo(request: Request) -> dict[str, Any]:
    """The query as it was understood."""
    only = request.filter
    return {
        "site_id": list(request.sites) if request.sites is not None else None,
        "metrics": [m.name for m in request.metrics],
        "date_range": [request.first.isoformat(), request.last.isoformat()],
        "dimensions": list(request.dimensions),
        "filters": [["is", only.dimension, [only.value]]] if only else [],
        "order_by": [[name, "desc" if descending else "asc"] for name, descending in request.order_by],
        "include": dict(request.include),
        "pagination": {"limit": request.limit, "offset": request.offset},
    }
