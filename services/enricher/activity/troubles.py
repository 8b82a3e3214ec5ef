"""What went wrong for one person: their pages that failed or were slow, counted. Shows no masked field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

__all__ = ["SLOW_MS", "TROUBLES_MAX", "Trouble", "troubles"]

SLOW_MS = 3000  # what people call slow: three seconds
TROUBLES_MAX = 50  # lines of one page
_PAGE = ["method", "page", "status"]


@dataclass(frozen=True, slots=True, repr=False)
class Trouble:
    """`times` accesses of one page with one status, out of `asked` of that page. Times in UTC, durations in ms."""

    method: str
    page: str
    status: int | None
    times: int
    asked: int
    first: datetime
    last: datetime
    median_ms: float | None
    slowest_ms: int | None

    @property
    def is_error(self) -> bool:
        return self.status is not None and self.status >= 400


def troubles(frame: pl.DataFrame) -> Sequence[Trouble]:
    """`frame` has the columns of `activity.LINKED`. Server errors first, then the most frequent; a page that answers
    well is listed when it once took SLOW_MS."""
    if frame.is_empty():
        return []
    page = pl.coalesce(pl.col("route"), pl.col("path"), pl.col("event"), pl.lit("")).alias("page")
    counted = (
        frame.with_columns(page, pl.col("method").fill_null(""))
        .with_columns(pl.len().over("method", "page").alias("asked"))
        .group_by(_PAGE)
        .agg(
            pl.len().alias("times"),
            pl.col("asked").first(),
            pl.col("timestamp").min().alias("first"),
            pl.col("timestamp").max().alias("last"),
            pl.col("duration_ms").median().alias("median_ms"),
            pl.col("duration_ms").max().alias("slowest_ms"),
        )
    )
    status, slow = pl.col("status").fill_null(0), pl.col("slowest_ms").fill_null(0) >= SLOW_MS
    bad = counted.filter((status >= 400) | slow)
    rank = pl.when(status >= 500).then(0).when(status >= 400).then(1).otherwise(2)
    ordered = bad.sort([rank, -pl.col("times").cast(pl.Int64), *_PAGE]).head(TROUBLES_MAX)
    return [_trouble(row) for row in ordered.to_dicts()]


def _trouble(row: dict[str, object]) -> Trouble:
    at = {name: value.replace(tzinfo=UTC) for name in ("first", "last") if isinstance(value := row[name], datetime)}
    return Trouble(**(row | at))  # type: ignore[arg-type]  # the columns are named as the fields
