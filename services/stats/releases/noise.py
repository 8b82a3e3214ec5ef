"""Exact discrete Gaussian noise, by OpenDP, and OpenDP's own conversion of rho to (epsilon, delta).

OpenDP is imported where it is used: it takes a second and 155 MB, and only a closing day needs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

from services.runtime.errors import Fatal
from services.stats.releases.split import Measure, Split

__all__ = ["Noise", "Vectors", "discrete_gaussian"]

Vectors = Mapping[str, Sequence[int]]  # measure -> one number a cell, in the order of its catalogue
_ROUNDING = 1e-12  # OpenDP computes in doubles and rounds up; the split itself is exact


@dataclass(frozen=True)
class Noise:
    """What is ready to draw, by measure. `epsilon`: rho -> the epsilon of a whole draw at the split's delta."""

    mechanisms: Mapping[str, Callable[[list[int]], Sequence[int]]]
    epsilon: Callable[[Fraction], float]

    def draw(self, sums: Vectors) -> dict[str, list[int]]:
        """`sums` with fresh noise in every cell, one call of the sampler a measure. Not repeatable, by design."""
        return {name: [int(v) for v in self.mechanisms[name](list(vector))] for name, vector in sums.items()}


def discrete_gaussian(split: Split) -> Noise:
    """Everything that can fail happens here, before a day is charged.

    Raises `Fatal` when OpenDP accounts for more than a measure's rho.
    """
    import opendp.prelude as dp  # see the module's docstring

    dp.enable_features("contrib")
    mechanisms = {measure.name: _mechanism(dp, measure) for measure in split.measures}
    return Noise(mechanisms, cache(lambda rho: _epsilon(dp, rho, split.delta)))


def _mechanism(dp: Any, measure: Measure) -> Any:
    mechanism = _gaussian(dp, float(measure.sigma))
    spent = mechanism.map(math.sqrt(measure.sensitivity_squared))
    if spent > float(measure.rho) * (1 + _ROUNDING):
        raise Fatal(f"OpenDP accounts {spent:.6f} for {measure.name}, more than its share; nothing was drawn.")
    return mechanism


def _gaussian(dp: Any, scale: float) -> Any:
    return dp.m.make_gaussian(dp.vector_domain(dp.atom_domain(T=int)), dp.l2_distance(T=float), scale=scale)


def _epsilon(dp: Any, rho: Fraction, delta: Fraction) -> float:
    """Source: Canonne, Kamath, Steinke 2020, Proposition 7, as `make_zCDP_to_approxDP` computes it.

    It depends on rho alone; a Gaussian of scale 1 spends rho at distance sqrt(2 rho), here rounded up.
    """
    distance = math.nextafter(math.sqrt(2 * rho), math.inf)
    curve = dp.c.make_zCDP_to_approxDP(_gaussian(dp, 1.0)).map(distance)
    return float(curve.epsilon(delta=float(delta)))
