"""What the unit of privacy means for a person, who is several units: the figures that are printed beside it."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

__all__ = ["PSEUDONYMS", "fraction", "guess_accuracy", "person"]

PSEUDONYMS = (1, 2)  # a day: one device at home; a telephone beside it, or another network


def person(rho: Fraction, days: int, pseudonyms: int) -> dict[str, Any]:
    """Group privacy of zCDP: g units a day cost g^2 rho; days add up (Bun, Steinke 2016, Proposition 27)."""
    cost = rho * pseudonyms**2 * days
    return {
        "pseudonyms_a_day": pseudonyms,
        "days": days,
        "rho_zcdp": fraction(cost),
        "best_guess_right": guess_accuracy(cost),
    }


def guess_accuracy(rho: Fraction) -> float:
    """How often the best attacker is right who guesses, from even odds, whether a unit is in: Phi(sqrt(2 rho) / 2).

    Source: Dong, Roth, Su, "Gaussian Differential Privacy", 2022: a rho-zCDP Gaussian has mu = sqrt(2 rho).
    """
    return round(0.5 * (1 + math.erf(math.sqrt(2 * rho) / 2 / math.sqrt(2))), 4)


def fraction(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"
