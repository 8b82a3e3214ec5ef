"""What each design tells of a week: totals and visitor-days by route."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.utility.days import ROUTES, Day
from services.stats.releases.split import Split
from tests.parts.gaussian import discrete_gaussian_of

__all__ = ["Told", "bounded_routes", "clipped_only", "shipped", "thresholded", "true_week", "wikimedia"]

THRESHOLD = 10  # visitors of a day, as the internal rule; exact above it
WIKIMEDIA_RHO, WIKIMEDIA_PAGES, WIKIMEDIA_THRESHOLD = 0.015, 10, 90  # a device's day; of what is released


@dataclass(frozen=True)
class Told:
    """A week. `by_route`: visitor-days; what is not released is 0."""

    visitors: float
    page_views: float
    by_route: np.ndarray


def true_week(days: Sequence[Day]) -> Told:
    return Told(sum(d.views.size for d in days), sum(d.views.sum() for d in days), sum(d.by_route for d in days))  # type: ignore[arg-type]


def shipped(days: Sequence[Day], split: Split, chance: np.random.Generator) -> Told:
    """Bounds, and the noise of `split`, day by day."""
    clipped = clipped_only(days, split, chance)
    noise = {m.name: _noise(m.sigma, len(days), ROUTES if m.keys else 1, chance) for m in split.measures}
    return Told(
        clipped.visitors + noise["visitors"][0],
        clipped.page_views + noise["page_views"][0],
        clipped.by_route + noise["visitors_by_route"],
    )


def clipped_only(days: Sequence[Day], split: Split, chance: np.random.Generator) -> Told:
    """What the bounds take away, without noise."""
    most, cells = split["page_views"].contribution_max, split["visitors_by_route"].cells_max
    return Told(
        sum(day.views.size for day in days),
        sum(np.minimum(day.views, most).sum() for day in days),
        sum(bounded_routes(day, cells, chance) for day in days),  # type: ignore[arg-type]
    )


def thresholded(days: Sequence[Day]) -> Told:
    """Exact counts of routes with at least `THRESHOLD` visitors that day; no guarantee of any kind."""
    by_route = sum(np.where(day.by_route >= THRESHOLD, day.by_route, 0) for day in days)
    exact = true_week(days)
    return Told(exact.visitors, exact.page_views, by_route)  # type: ignore[arg-type]


def wikimedia(days: Sequence[Day], chance: np.random.Generator) -> Told:
    """Their published parameters: all of rho on pages, the first ten distinct ones of a device's day, a cell is told when it
    is at least 90 with its noise. They tell no totals: these are the sums of what is told, as visitors by page."""
    sigma = np.sqrt(WIKIMEDIA_PAGES / (2 * WIKIMEDIA_RHO))
    by_route = np.zeros(ROUTES)
    for day in days:
        noisy = bounded_routes(day, WIKIMEDIA_PAGES, chance) + discrete_gaussian_of(sigma, ROUTES, chance)
        by_route += np.where(noisy >= WIKIMEDIA_THRESHOLD, noisy, 0)
    return Told(np.nan, np.nan, by_route)


def bounded_routes(day: Day, cells_max: int, chance: np.random.Generator) -> np.ndarray:
    """Visitors of each route, at most `cells_max` routes of a visitor, chosen at random: sql/bounded_units.sql on arrays."""
    order = np.lexsort((chance.random(day.visitor.size), day.visitor))
    visitor = day.visitor[order]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(visitor)) + 1]) if visitor.size else np.zeros(0, int)
    rank = np.arange(visitor.size) - np.repeat(starts, np.diff([*starts, visitor.size]))
    kept: np.ndarray = np.bincount(day.route[order][rank < cells_max], minlength=ROUTES)
    return kept


def _noise(sigma: int, days: int, cells: int, chance: np.random.Generator) -> np.ndarray:
    drawn: np.ndarray = discrete_gaussian_of(sigma, (days, cells), chance).sum(axis=0)
    return drawn
