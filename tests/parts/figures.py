"""Published cells as a closing leaves them, made from a seed: two tenants, sixty days, today provisional."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from services.runtime.clickhouse import Analytics
from services.stats.figures.cubes import OTHER, PERIOD_CUBES, declared_cubes
from services.stats.figures.disclosure import PUBLISHED, PublishedCells
from services.stats.store import create_tables

__all__ = ["HOSTILE", "TODAY", "VALUES", "fill_cells", "live_cells"]

TODAY = date(2026, 3, 15)
DAYS = 100
TENANTS = {"chess-club": 240, "riverside": 2600}  # and visitors on a usual day
HOSTILE = [
    "/<script>alert(1)</script>",
    '/"><img src=x onerror=alert(1)>',
    "/'onmouseover='alert(1)",
    "=cmd|' /C calc'!A0",
]
# Shares of visitors; the rest is (other).
VALUES: dict[str, dict[str, float]] = {
    "route": {
        "/": 0.52, "/agenda/{id}": 0.41, "/news": 0.22, "/members": 0.18, "/news/{id}": 0.16, "/results/{date}": 0.12,
        "/contact": 0.07, "/join": 0.05, "/board/minutes/{id}/attachments/{name}": 0.045, "/login": 0.3, "/gallery": 0.04,
        "/history": 0.03, HOSTILE[0]: 0.028, HOSTILE[1]: 0.026, HOSTILE[2]: 0.024, HOSTILE[3]: 0.022,
    },
    "referrer_domain": {"google.com": 0.26, "duckduckgo.com": 0.07, "chess.example": 0.05, "mail.example.org": 0.03},
    "referrer_class": {"direct": 0.43, "search": 0.33, "internal": 0.1, "other": 0.09, "social": 0.04},
    "country": {"FR": 0.71, "BE": 0.12, "CH": 0.06, "DE": 0.04, "CA": 0.02, "ZZ": 0.01},
    "browser": {"Chrome": 0.48, "Safari": 0.24, "Firefox": 0.15, "Edge": 0.09, "Samsung Internet": 0.02},
    "os": {"Android": 0.36, "Windows": 0.29, "iOS": 0.22, "Mac OS X": 0.08, "Linux": 0.03},
    "device": {"mobile": 0.55, "desktop": 0.38, "tablet": 0.05},
    "status_class": {"2xx": 0.86, "3xx": 0.09, "4xx": 0.046, "5xx": 0.004},
    "method": {"GET": 0.93, "POST": 0.06},
    "bot_class": {"human": 0.69, "declared": 0.24, "suspected": 0.07},
    "event": {"payment": 0.05, "booking": 0.02, "(undeclared)": 0.01},
    "utm_source": {"newsletter": 0.06, "poster": 0.02},
    "utm_medium": {"email": 0.06, "print": 0.02},
    "utm_campaign": {"spring-open": 0.05},
    "bot_reason": {"user agent": 0.24, "no user agent": 0.07},
}  # fmt: skip
VALUES |= {
    "entry": {k: v * 0.6 for k, v in VALUES["route"].items()},
    "exit": {k: v * 0.5 for k, v in VALUES["route"].items()},
    "hour": {f"{hour:02d}": max(0.003, 0.09 - abs(hour - 15) * 0.0085) for hour in range(24)},
}
CAMPAIGNS = {"riverside"}  # who opted in
_FACTOR = {
    "visitors": 1.0,
    "active_accounts": 0.31,
    "visits": 1.18,
    "bounces": 0.45,
    "page_views": 4.7,
    "requests": 11.0,
    "bytes": 9_000_000,
}
_LATENCY = {
    "10": 0.08, "25": 0.17, "50": 0.24, "100": 0.22, "250": 0.16, "500": 0.07, "1000": 0.03, "2500": 0.017, "5000": 0.009,
    "10000": 0.003, "more": 0.001,
}  # fmt: skip
_HOUR_NOW = 14


def fill_cells(analytics: Analytics, tenants: Mapping[str, int] = TENANTS, today: date = TODAY) -> None:
    """Creates the tables and writes the cells of `tenants` (and their visitors on a usual day)."""
    create_tables(analytics)
    rows = [
        {**cell, "tenant": tenant, "day": day, "provisional": int(day == today)}
        for tenant, people in tenants.items()
        for day in (today - timedelta(days=n) for n in range(DAYS))
        for cell in _day(tenant, day, people, today)
    ]
    block = datetime.combine(today, time(14, 10), UTC)  # the last complete five minutes at 14:20
    for tenant, people in tenants.items():
        rows += [_now(tenant, people, block), *_periods(tenant, people, today)]
    frame = pl.DataFrame(rows, schema=dict(PUBLISHED) | {"provisional": pl.UInt8()})
    for part in frame.with_columns(month=pl.col("day").dt.strftime("%Y%m")).partition_by("month", "provisional"):
        analytics.insert("cells", part.drop("month"))


def live_cells(totals: Mapping[str, int], day: date = TODAY) -> PublishedCells:
    """What the worker publishes of tenants' requests."""
    rows = [
        {"tenant": t, "day": day, "cube": "live", "dim1": "", "dim2": "", "measure": "requests", "value": n}
        for t, n in totals.items()
    ]
    return PublishedCells(pl.DataFrame(rows, schema=dict(PUBLISHED)))


def _now(tenant: str, people: int, block: datetime) -> dict[str, object]:
    cell = {
        "cube": "now",
        "dim1": block.isoformat(),
        "dim2": "",
        "measure": "visitors",
        "value": max(10, people // 300 * 5),
    }
    return {**cell, "tenant": tenant, "day": block.date(), "provisional": 1}


def _periods(tenant: str, people: int, today: date) -> Iterator[dict[str, object]]:
    """Active accounts of the weeks and months that are over."""
    monday, first = today - timedelta(days=today.weekday()), today.replace(day=1)
    weeks = [monday - timedelta(weeks=n) for n in range(1, 13)]
    months = [date(first.year, first.month - n, 1) for n in range(1, first.month)]
    for kind, days, share in [("week", weeks, 0.8), ("month", months, 1.3)]:
        cube = PERIOD_CUBES[kind]
        for n, day in enumerate(days):
            value = int(people * share * (1 - 0.02 * n)) // 5 * 5
            cell = {"cube": cube.name, "dim1": "", "dim2": "", "measure": cube.measures[0].name, "value": value}
            yield {**cell, "tenant": tenant, "day": day, "provisional": 0}


def _day(tenant: str, day: date, people: int, today: date) -> Iterator[dict[str, object]]:
    draw = random.Random(f"{tenant} {day}")
    weekend = 0.62 if day.weekday() >= 5 else 1.0
    trend = 1 - 0.0018 * (today - day).days
    visitors = people * weekend * trend * draw.uniform(0.93, 1.07) * (0.55 if day == today else 1)
    for cube in declared_cubes().cubes:
        if day == today and len(cube.dimensions) == 2:
            continue  # a snapshot has no pairs
        if cube.rows == "campaigns" and tenant not in CAMPAIGNS:
            continue
        for values, share in _combinations(cube.dimensions, day == today):
            for measure in cube.measures:
                value = _rounded(visitors * share * _factor(measure.name) * draw.uniform(0.96, 1.04), measure.unit)
                if value and (share * visitors >= 10 or OTHER in values):
                    yield {
                        "cube": cube.name,
                        "dim1": values[0],
                        "dim2": values[1],
                        "measure": measure.name,
                        "value": value,
                    }


def _combinations(dimensions: tuple[str, ...], is_today: bool) -> Iterator[tuple[tuple[str, str], float]]:
    if not dimensions:
        yield ("", ""), 1.0
        return
    first = VALUES[dimensions[0]] | {OTHER: 0.03}
    if len(dimensions) == 1:
        for value, share in first.items():
            if not (dimensions[0] == "hour" and is_today and value != OTHER and int(value) > _HOUR_NOW):
                yield (value, ""), share
        return
    for one, share_one in first.items():
        for two, share_two in (VALUES[dimensions[1]] | {OTHER: 0.03}).items():
            yield (one, two), share_one * share_two


def _factor(measure: str) -> float:
    if measure.startswith("visit_seconds_"):
        shares = {"0": 0.38, "10": 0.05, "30": 0.09, "60": 0.12, "180": 0.16, "600": 0.13, "1800": 0.05, "more": 0.02}
        return _FACTOR["visits"] * shares[measure.removeprefix("visit_seconds_")]
    if measure.startswith("latency_"):
        return _FACTOR["requests"] * _LATENCY[measure.removeprefix("latency_")]
    return _FACTOR[measure]


def _rounded(value: float, unit: int) -> int:
    return int(value / unit) // 5 * 5 * unit
