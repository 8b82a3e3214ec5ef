"""Exact discrete Gaussian noise, by OpenDP, and OpenDP's own conversion of rho to (epsilon, delta).

OpenDP is imported where it is used: it takes a second and 155 MB, and only a closing day needs it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from services.runtime.errors import Fatal
from services.stats.releases.split import Measure, Split

__all__ = ["Noise", "discrete_gaussian"]

_ROUNDING = 1e-12  # OpenDP computes in doubles and rounds up; the split itself is exact


@dataclass(frozen=True)
class Noise:
    """What is ready to draw, by measure, and the epsilon of the whole draw at the split's delta."""

    mechanisms: Mapping[str, Any]
    epsilon: float

    def draw(self, sums: Mapping[str, int]) -> dict[str, int]:
        """`sums` (measure -> exact bounded sum) with fresh noise. Not repeatable, by design."""
        return {name: int(mechanism([sums[name]])[0]) for name, mechanism in self.mechanisms.items()}


def discrete_gaussian(split: Split) -> Noise:
    """Everything that can fail happens here, before a day is charged.

    Raises `Fatal` when OpenDP accounts for more than a measure's rho.
    """
    import opendp.prelude as dp  # see the module's docstring

    dp.enable_features("contrib")
    mechanisms = {measure.name: _mechanism(dp, measure) for measure in split.drawn}
    return Noise(mechanisms, _epsilon(dp, split.rho_drawn, split.delta))


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
