"""A query, read and checked: what may be asked, and what is said when something else is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from services.stats.access.scope import Scope
from services.stats.figures.cubes import OTHER, PERIOD_CUBES, Cube, declared_cubes
from services.stats.queries.dates import read_dates
from services.stats.queries.errors import QueryError
from services.stats.queries.metrics import METRICS, Metric

__all__ = [
    "COMPARISONS",
    "DIMENSIONS",
    "ROWS_MAX",
    "TIMES",
    "Filter",
    "Request",
    "cube_for",
    "not_combinable",
    "read_request",
]

# The API's names (Plausible's Stats API v2 where it has one) -> the names in cubes.toml.
DIMENSIONS: Final[Mapping[str, str]] = {
    "event:page": "route",
    "visit:entry_page": "entry",
    "visit:exit_page": "exit",
    "visit:source": "referrer_domain",
    "visit:referrer": "referrer_domain",
    "visit:channel": "referrer_class",
    "visit:utm_source": "utm_source",
    "visit:utm_medium": "utm_medium",
    "visit:utm_campaign": "utm_campaign",
    "visit:country": "country",
    "visit:device": "device",
    "visit:browser": "browser",
    "visit:os": "os",
    "event:name": "event",
    "event:status_class": "status_class",
    "event:status": "status_class",
    "event:method": "method",
    "event:bot_class": "bot_class",
    "event:bot_reason": "bot_reason",
    "time:hour": "hour",
}
TIMES: Final = {"time:day": "day", "time:week": "week", "time:month": "month"}
_FIELDS = frozenset({"site_id", "metrics", "date_range", "dimensions", "filters", "order_by", "include", "pagination"})
_INCLUDES = frozenset({"time_labels", "total_rows", "comparisons"})
COMPARISONS: Final = ("previous_period", "year_over_year")
ROWS_MAX = 10_000
_SITES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Filter:
    dimension: str  # the API's name
    value: str


@dataclass(frozen=True, slots=True)
class Request:
    """A checked query. `sites` None: every tenant of the scope that has figures."""

    sites: tuple[str, ...] | None
    metrics: tuple[Metric, ...]
    first: date
    last: date
    time: str  # "", day, week or month
    dimensions: tuple[str, ...]  # as given, time included
    filter: Filter | None
    order_by: tuple[tuple[str, bool], ...]  # (metric or dimension, descending)
    limit: int
    offset: int
    include: Mapping[str, Any]

    @property
    def named(self) -> tuple[str, ...]:
        """The dimensions without time."""
        return tuple(d for d in self.dimensions if d not in TIMES)


def read_request(raw: Mapping[str, Any], scope: Scope, today: date) -> Request:
    """Raises `QueryError`, which names the field and lists what exists."""
    _refuse_unknown("the request", raw, _FIELDS)
    _refuse_half_characters(raw)
    metrics = tuple(_metric(name) for name in _names(raw, "metrics", required=True))
    dimensions = tuple(_names(raw, "dimensions"))
    first, last = read_dates(raw.get("date_range"), today)
    request = Request(
        sites=_sites(raw.get("site_id"), scope),
        metrics=metrics,
        first=first,
        last=last,
        time=_time(dimensions),
        dimensions=dimensions,
        filter=_filter(raw.get("filters") or []),
        order_by=_order(raw.get("order_by") or [], [m.name for m in metrics], dimensions),
        include=_include(raw.get("include") or {}),
        **_page(raw.get("pagination") or {}),
    )
    for metric in request.metrics:
        cube_for(request, metric)
    return request


def cube_for(request: Request, metric: Metric) -> Cube:
    """The published cube that answers `metric` by the request's dimensions and filter. Raises `QueryError`."""
    asked = [DIMENSIONS[d] for d in request.named]
    filtered = [DIMENSIONS[request.filter.dimension]] if request.filter else []
    along = [metric.along] if metric.along else []
    if set(asked) & set(filtered):
        raise QueryError("filters", f"{request.filter.dimension} is already a dimension of this query")  # type: ignore[union-attr]
    wanted = {*asked, *filtered, *along}
    if not wanted and request.time in PERIOD_CUBES and metric.name == "active_accounts":
        return PERIOD_CUBES[request.time]  # an account active on two days of a week is one there, not two
    fitting = [c for c in declared_cubes().cubes if set(c.dimensions) == wanted]
    for cube in fitting:
        if {m.name for m in cube.measures} >= set(metric.measures):
            return cube
    raise _nothing_fits(request, metric, fitting)


def not_combinable(request: Request) -> list[dict[str, str]]:
    """What cannot be asked together with the filter, or with the one dimension: it would single people out."""
    fixed = request.filter.dimension if request.filter else (request.named[0] if len(request.named) == 1 else None)
    if fixed is None:
        return []
    pairs = [set(c.dimensions) for c in declared_cubes().cubes if len(c.dimensions) == 2]
    others = [d for d in DIMENSIONS if DIMENSIONS[d] != DIMENSIONS[fixed]]
    return [
        {"dimension": d, "with": fixed, "reason": "would single people out"}
        for d in others
        if {DIMENSIONS[d], DIMENSIONS[fixed]} not in pairs
    ]


def _nothing_fits(request: Request, metric: Metric, fitting: Sequence[Cube]) -> QueryError:
    here = sorted(m.name for m in METRICS.values() if _answers(fitting, m))
    if fitting:
        return QueryError("metrics", f"{metric.name} is not published by these dimensions.", here)
    asked = [*request.named, *([request.filter.dimension] if request.filter else [])]
    field = "filters" if request.filter else "dimensions"
    if metric.along:
        return QueryError("metrics", f"{metric.name} is published alone or by event:page, not by these dimensions.")
    return QueryError(field, f"{' and '.join(asked)} are not combined, it would single people out.", _combinations())


def _answers(cubes: Sequence[Cube], metric: Metric) -> bool:
    return any({m.name for m in c.measures} >= set(metric.measures) and not metric.along for c in cubes)


def _combinations() -> list[str]:
    names = {internal: api for api, internal in reversed(list(DIMENSIONS.items()))}
    pairs = [c.dimensions for c in declared_cubes().cubes if len(c.dimensions) == 2]
    return [" with ".join(names[d] for d in pair) for pair in pairs]


def _metric(name: str) -> Metric:
    if name not in METRICS:
        raise QueryError("metrics", "there is no such metric.", list(METRICS), name)
    return METRICS[name]


def _time(dimensions: Sequence[str]) -> str:
    for name in dimensions:
        if name not in DIMENSIONS and name not in TIMES:
            raise QueryError("dimensions", "there is no such dimension.", [*DIMENSIONS, *TIMES], name)
    times = [TIMES[d] for d in dimensions if d in TIMES]
    if len(times) > 1:
        raise QueryError("dimensions", "only one time dimension at once.", list(TIMES))
    return times[0] if times else ""


def _filter(raw: Any) -> Filter | None:
    if not isinstance(raw, list) or len(raw) > 1:
        raise QueryError("filters", 'one filter at a time, like [["is", "visit:country", ["FR"]]].')
    if not raw:
        return None
    match raw[0]:
        case ["is", str(dimension), [str(value)]] if value and value != OTHER:
            if dimension not in DIMENSIONS:
                raise QueryError("filters", "there is no such dimension.", list(DIMENSIONS), dimension)
            return Filter(dimension, value)
    raise QueryError("filters", 'only "is" with one value that has a name, like ["is", "visit:country", ["FR"]].')


def _sites(raw: Any, scope: Scope) -> tuple[str, ...] | None:
    wanted = [raw] if isinstance(raw, str) else raw
    if wanted is None:
        return None if scope.tenants is None else tuple(sorted(scope.tenants))
    if not isinstance(wanted, list) or not all(isinstance(s, str) for s in wanted) or len(wanted) > _SITES_MAX:
        raise QueryError("site_id", "is the name of a tenant, or a list of them.")
    if scope.tenants is not None and not set(wanted) <= scope.tenants:
        raise QueryError("site_id", "is none that you may see.", sorted(scope.tenants)[:20])
    return tuple(wanted)


def _order(raw: Any, metrics: Sequence[str], dimensions: Sequence[str]) -> tuple[tuple[str, bool], ...]:
    choices = [*metrics, *dimensions]
    found = []
    for entry in raw if isinstance(raw, list) else [raw]:
        match entry:
            case [str(key), "asc" | "desc" as direction] if key in choices:
                found.append((key, direction == "desc"))
            case _:
                raise QueryError("order_by", 'is like [["visitors", "desc"]], by what the query asks for.', choices)
    return tuple(found)


def _include(raw: Any) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise QueryError("include", "is an object.", sorted(_INCLUDES))
    _refuse_unknown("include", raw, _INCLUDES)
    for name, value in raw.items():
        match name, value:
            case "comparisons", {"mode": str(mode), **more} if mode in COMPARISONS and not more:
                pass
            case "comparisons", _:
                raise QueryError("include", 'comparisons are like {"mode": "previous_period"}.', COMPARISONS)
            case _ if not isinstance(value, bool):
                raise QueryError("include", f"{name} is true or false.")
    return dict(raw)


def _page(raw: Any) -> dict[str, int]:
    if not isinstance(raw, Mapping):
        raise QueryError("pagination", 'is like {"limit": 100, "offset": 0}.')
    _refuse_unknown("pagination", raw, frozenset({"limit", "offset"}))
    limit, offset = raw.get("limit", ROWS_MAX), raw.get("offset", 0)
    if type(limit) is not int or type(offset) is not int or not 1 <= limit <= ROWS_MAX or not 0 <= offset <= 1 << 31:
        raise QueryError("pagination", f"has a limit of 1 to {ROWS_MAX} and an offset of 0 or more.")
    return {"limit": limit, "offset": offset}


def _names(raw: Mapping[str, Any], field: str, required: bool = False) -> list[str]:
    given = raw.get(field) or []
    fine = isinstance(given, list) and all(isinstance(n, str) for n in given) and len(given) == len(set(given))
    if not fine or (required and not given):
        raise QueryError(field, "is a list of different names.", list(METRICS) if field == "metrics" else [])
    return list(given)


def _refuse_unknown(where: str, raw: Mapping[str, Any], known: frozenset[str]) -> None:
    for name in raw:
        if name not in known:
            raise QueryError(where, "there is no such field.", sorted(known), name)


def _refuse_half_characters(raw: Mapping[str, Any]) -> None:
    """JSON can carry half of a surrogate pair, which no store takes."""
    try:
        json.dumps(raw, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise QueryError("the request", "has text that is not Unicode.") from None
