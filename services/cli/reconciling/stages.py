"""What is left after each step, by day: rows, those that may be page views, and distinct visitors."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import polars as pl

__all__ = ["Counts", "Stages", "Step", "steps_of"]


class Counts(NamedTuple):
    requests: int = 0
    page_views: int = 0
    visitors: int = 0

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(a - b for a, b in zip(self, other, strict=True)))


class Step(NamedTuple):
    """`change`: what the step adds (below 0: takes off); `left`: what there is after it."""

    name: str
    change: Counts
    left: Counts


class Stages:
    """Counts under the name of a step what is left after it, over many pieces of a log."""

    def __init__(self) -> None:
        self._rows: dict[str, list[pl.DataFrame]] = {}
        self._clients: dict[str, pl.DataFrame] = {}

    def add(self, step: str, rows: pl.DataFrame, clients: pl.DataFrame, pages: pl.DataFrame | None = None) -> None:
        """`rows` and `pages` have a column `day`, `clients` has `day` and `client` (null: counts for nobody).
        Where `pages` is left out every row may still be a page view."""
        counted = (rows if pages is None else pages).group_by("day").len("page_views")
        both = rows.group_by("day").len("requests").join(counted, on="day", how="left").fill_null(0)
        self._rows.setdefault(step, []).append(both)
        fresh = clients.select("day", "client").drop_nulls().unique()
        known = self._clients.get(step)
        self._clients[step] = fresh if known is None else pl.concat([known, fresh]).unique()

    def by_day(self, step: str) -> dict[date, Counts]:
        rows = pl.concat(self._rows[step]).group_by("day").sum()
        visitors = self._clients[step].group_by("day").len("visitors")
        both = rows.join(visitors, on="day", how="left").fill_null(0)
        return {day: Counts(r, p, v) for day, r, p, v in both.select("day", *Counts._fields).iter_rows()}


def steps_of(stages: Stages, names: Sequence[str]) -> dict[date, list[Step]]:
    """By day, in the order of `names`: the first has no change, each later one what it changed."""
    found = [stages.by_day(name) for name in names]
    return {day: _steps(names, [counts.get(day, Counts()) for counts in found]) for day in sorted(found[0])}


def _steps(names: Sequence[str], left: Sequence[Counts]) -> list[Step]:
    before = [left[0], *left]
    return [Step(name, now - then, now) for name, now, then in zip(names, left, before, strict=False)]
