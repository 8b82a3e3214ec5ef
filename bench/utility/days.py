"""Made-up days of a tenant: who came, how many pages each saw, and which.

Pages a visitor: a log-normal with a mean of 5 and a heavy tail, 2 % of the visitors see more than 20 (published figures of
web logs have means of 2 to 6). Routes: 300 of a table, by Zipf's law of exponent 1.05; a fifth of a visitor's views are of
three favourites of its own; a tenth of all views are of what is in no table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["ROUTES", "Day", "made_up_day"]

ROUTES = 300
ZIPF = 1.05
VIEWS_MU, VIEWS_SIGMA, VIEWS_MAX = 0.9, 1.0, 2000
FAVOURITES, FAVOURITE_SHARE, OUTSIDE_SHARE = 3, 0.2, 0.1


@dataclass(frozen=True)
class Day:
    """`views`: page views of each visitor. `visitor`, `route`: the distinct pairs, by visitor."""

    views: np.ndarray
    visitor: np.ndarray
    route: np.ndarray

    @property
    def by_route(self) -> np.ndarray:
        """Exact visitors of each route."""
        return np.bincount(self.route, minlength=ROUTES)


def made_up_day(visitors: int, chance: np.random.Generator) -> Day:
    views = 1 + np.floor(chance.lognormal(VIEWS_MU, VIEWS_SIGMA, visitors)).astype(np.int64)
    views = np.minimum(views, VIEWS_MAX)
    who = np.repeat(np.arange(visitors), views)
    routes = _zipf(who.size, chance)
    favourite = chance.random(who.size) < FAVOURITE_SHARE
    own = _zipf(visitors * FAVOURITES, chance).reshape(visitors, FAVOURITES)
    routes[favourite] = own[who[favourite], chance.integers(0, FAVOURITES, favourite.sum())]
    inside = chance.random(who.size) >= OUTSIDE_SHARE
    pairs = np.unique(who[inside] * ROUTES + routes[inside])
    return Day(views, pairs // ROUTES, pairs % ROUTES)


def _zipf(size: int, chance: np.random.Generator) -> np.ndarray:
    weights = np.arange(1, ROUTES + 1) ** -ZIPF
    return np.searchsorted(np.cumsum(weights) / weights.sum(), chance.random(size))
