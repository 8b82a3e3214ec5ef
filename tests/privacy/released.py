"""What attackers of releases have in common: seeded noise of the shipped distribution, and how often they are right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from services.stats.releases.audit import audit_split
from services.stats.releases.noise import Noise
from services.stats.releases.split import Split, declared_split
from tests.parts.gaussian import discrete_gaussian_of

__all__ = [
    "SPLIT",
    "TOLERANCE",
    "TRIALS",
    "VISITORS",
    "best_right",
    "coin",
    "discrete_gaussian_of",
    "right_of",
    "seeded_noise",
    "told",
]

SPLIT = declared_split()
VISITORS = SPLIT["visitors"].sigma
TRIALS = 20_000
TOLERANCE = 5 * 0.5 / math.sqrt(TRIALS)  # five standard deviations of a rate over TRIALS


def seeded_noise(chance: np.random.Generator, split: Split | None = None, factor: float = 1.0) -> Noise:
    """In place of the shipped sampler, for what must be repeatable; `factor` weakens it."""
    measures = (split or audit_split()).measures

    def mechanism(sigma: float):  # type: ignore[no-untyped-def]  # a closure as OpenDP's callables
        return lambda values: (np.asarray(values) + discrete_gaussian_of(sigma, len(values), chance)).tolist()

    return Noise({m.name: mechanism(m.sigma * factor) for m in measures}, lambda _rho: 1.0)


def right_of(there: np.ndarray, score: np.ndarray, threshold: float) -> float:
    """How often "the score is above `threshold`" says rightly who was there, both cases weighed alike."""
    said = score > threshold
    return float((said[there].mean() + (~said[~there]).mean()) / 2)


def best_right(rho: float) -> float:
    """How often any attacker can be right: the figure that packages print, unrounded."""
    return NormalDist().cdf(math.sqrt(2 * rho) / 2)


def coin(chance: np.random.Generator, size: int = TRIALS) -> np.ndarray:
    return chance.random(size) < 0.5


def told(**figures: float | Sequence[float]) -> None:
    """Figures for the note, with `-s`."""
    print(*(f"{name.replace('_', ' ')} {np.round(value, 4)}" for name, value in figures.items()), sep="; ")
