"""Metrics of the query API: which published measures each needs, and how it is computed from their rounded values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from services.stats.figures.cubes import declared_cubes

__all__ = ["METRICS", "REQUESTS_MIN", "Metric", "quantile"]

Values = Mapping[str, int]  # measure -> published value
# Below these numbers of requests a percentile would be the story of a few of them.
REQUESTS_MIN = {50: 20, 95: 200, 99: 1000}


@dataclass(frozen=True, slots=True)
class Metric:
    """`compute` gets the measures that are there and returns None where one it needs is not.

    `along`: a dimension whose values the metric needs apart; their requests come as `requests:<value>`.
    `unit` is for people and programs that draw: count, ratio, percent, seconds, milliseconds, bytes.
    """

    name: str
    unit: str
    measures: tuple[str, ...]
    compute: Callable[[Values], float | None]
    along: str | None = None


def quantile(counts: Sequence[int], bounds: Sequence[int], share: float) -> float | None:
    """Interpolated within the bucket; in the open last one its lower bound, so "at least". None without a count."""
    total = sum(counts)
    if total <= 0:
        return None
    wanted, below, lower = share * total, 0, 0
    for count, upper in zip(counts, bounds, strict=False):
        if count and below + count >= wanted:
            return round(lower + (upper - lower) * (wanted - below) / count, 1)
        below, lower = below + count, upper
    return float(lower)


def _plain(measure: str) -> Callable[[Values], float | None]:
    return lambda values: values.get(measure)


def _ratio(over: str, under: str, factor: float = 1.0, most: float | None = None) -> Callable[[Values], float | None]:
    def compute(values: Values) -> float | None:
        if over not in values or not values.get(under):
            return None
        result = round(values[over] / values[under] * factor, 2)
        return min(result, most) if most is not None else result

    return compute


def _buckets(family: str, bounds: Sequence[int]) -> tuple[str, ...]:
    return (*(f"{family}_{bound}" for bound in bounds), f"{family}_more")


def _quantile(family: str, bounds: Sequence[int], percent: int, least: int) -> Callable[[Values], float | None]:
    names = _buckets(family, bounds)

    def compute(values: Values) -> float | None:
        counts = [values.get(name, 0) for name in names]
        return quantile(counts, bounds, percent / 100) if sum(counts) >= least else None

    return compute


def _share_of(status_class: str) -> Callable[[Values], float | None]:
    def compute(values: Values) -> float | None:
        total = sum(value for name, value in values.items() if name.startswith("requests:"))
        of_class = values.get(f"requests:{status_class}")
        return round(of_class / total * 100, 2) if total and of_class is not None else None

    return compute


def _metrics() -> dict[str, Metric]:
    cubes = declared_cubes()
    latency, visit_seconds = cubes.latency_ms, cubes.visit_seconds
    found = [
        Metric("visitors", "count", ("visitors",), _plain("visitors")),
        Metric("visits", "count", ("visits",), _plain("visits")),
        Metric("pageviews", "count", ("page_views",), _plain("page_views")),
        Metric("views_per_visit", "ratio", ("page_views", "visits"), _ratio("page_views", "visits")),
        Metric("bounce_rate", "percent", ("bounces", "visits"), _ratio("bounces", "visits", 100, most=100)),
        Metric(
            "visit_duration",
            "seconds",
            _buckets("visit_seconds", visit_seconds),
            _quantile("visit_seconds", visit_seconds, 50, 1),
        ),
        Metric("active_accounts", "count", ("active_accounts",), _plain("active_accounts")),
        Metric("requests", "count", ("requests",), _plain("requests")),
        Metric("bandwidth", "bytes", ("bytes",), _plain("bytes")),
        Metric("error_rate", "percent", ("requests",), _share_of("5xx"), along="status_class"),
        Metric("client_error_rate", "percent", ("requests",), _share_of("4xx"), along="status_class"),
        *(
            Metric(
                f"latency_p{percent}",
                "milliseconds",
                _buckets("latency", latency),
                _quantile("latency", latency, percent, least),
            )
            for percent, least in REQUESTS_MIN.items()
        ),
    ]
    return {metric.name: metric for metric in found}


METRICS: Mapping[str, Metric] = _metrics()
