"""Weeks of tenants of four sizes under each design: median relative errors over seeds, against what was true.

Run: python -m bench.utility [SEEDS] [VISITORS_A_DAY ...]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.utility.days import made_up_day
from bench.utility.designs import Told, clipped_only, shipped, thresholded, true_week, wikimedia
from services.stats.releases.split import Split, declared_split

SEEDS = 20
SIZES = (300, 3_000, 30_000, 300_000)
DAYS = 7
TOP = 100
LARGE = 1000  # visitor-days a week: a route that the goal is about
VIEWS_MAX = (20, 100)  # page views of a visitor that count, beside the declared 50: the bound against the noise
ROUTES_MAX = (7, 10, 20)  # routes of a visitor, beside the declared 15


def main(arguments: Sequence[str]) -> None:
    seeds = int(arguments[0]) if arguments else SEEDS
    print(f"Median over {seeds} seeds of the relative error of a week, clipping included.\n")
    print(
        "| visitors a day | design | visitors | page views | top 100 routes | routes over 1000 | of them within 10 % |"
    )
    print("|---|---|---|---|---|---|---|")
    for visitors in map(int, arguments[1:] or SIZES):
        errors: dict[str, list[list[float]]] = {}
        for seed in range(seeds):
            for design, told in _week(visitors, seed).items():
                errors.setdefault(design, []).append(told)
        for design, rows in errors.items():
            middle = np.median(np.array(rows), axis=0)
            cells = " | ".join("-" if np.isnan(v) else f"{v:.2%}" for v in middle)
            print(f"| {visitors:,} | {design} | {cells} |", flush=True)


def _week(visitors: int, seed: int) -> Mapping[str, list[float]]:
    """Design -> errors: visitors, page views, median of the top routes and of the large ones, large ones within 10 %."""
    chance = np.random.default_rng([seed, visitors])
    days = [made_up_day(visitors, chance) for _ in range(DAYS)]
    true, split = true_week(days), declared_split()
    told = {
        "shipped": shipped(days, split, chance),
        "shipped, without its noise": clipped_only(days, split, chance),
        **{
            f"{most} page views": shipped(days, _with(split, "page_views", contribution_max=most), chance)
            for most in VIEWS_MAX
        },
        **{
            f"{most} routes": shipped(days, _with(split, "visitors_by_route", cells_max=most), chance)
            for most in ROUTES_MAX
        },
        "threshold of 10, exact": thresholded(days),
        "Wikimedia's parameters": wikimedia(days, chance),
    }
    return {design: _errors(week, true) for design, week in told.items()}


def _with(split: Split, name: str, **bounds: int) -> Split:
    """The same budget with another bound of one measure."""
    measures = tuple(replace(m, **bounds) if m.name == name else m for m in split.measures)  # type: ignore[arg-type]
    return replace(split, measures=measures)


def _errors(told: Told, true: Told) -> list[float]:
    top = np.argsort(-true.by_route)[:TOP]
    off = np.abs(told.by_route - true.by_route) / np.maximum(true.by_route, 1)
    large = true.by_route > LARGE
    return [
        abs(told.visitors / true.visitors - 1),
        abs(told.page_views / true.page_views - 1),
        float(np.median(off[top])),
        float(np.median(off[large])) if large.any() else np.nan,
        float((off[large] <= 0.1).mean()) if large.any() else np.nan,
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
