"""The noise is an exact discrete Gaussian of the declared scale, and OpenDP's accounting agrees."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest

from services.runtime.errors import Fatal
from services.stats.releases import noise as noise_module
from services.stats.releases.noise import discrete_gaussian
from services.stats.releases.split import Measure, Split, declared_split

DRAWS = 20_000
# Fixed tolerances. Var of a sample variance of a Gaussian is 2 sigma^4 / n: 1 % here, so 5 % is five of them.
VARIANCE_TOLERANCE = 0.05
CHI_SQUARE_MAX = 100.0  # 40 bins: mean 39, sd 8.8; beyond 100 has a chance under 1e-6


def sample(count: int, sigma_factor: float = 1.0) -> list[int]:
    """`count` draws of the visitors' mechanism on a true value of 0."""
    import opendp.prelude as dp

    dp.enable_features("contrib")
    (visitors,) = [m for m in declared_split().drawn if m.name == "visitors"]
    mechanism = noise_module._gaussian(dp, visitors.sigma * sigma_factor)
    return [int(v) for v in mechanism([0] * count)]


def chi_square(values: list[int], sigma: int) -> float:
    """Against the exact probabilities, 39 inner integers and the rest as one bin."""
    weights = {k: math.exp(-k * k / (2 * sigma * sigma)) for k in range(-12 * sigma, 12 * sigma + 1)}
    total = sum(weights.values())
    seen = Counter(v if abs(v) <= 19 else None for v in values)
    expected = {k: len(values) * weights[k] / total for k in range(-19, 20)}
    rest = len(values) - sum(expected.values())
    return sum((seen[k] - e) ** 2 / e for k, e in expected.items()) + (seen[None] - rest) ** 2 / rest


def variance_off(values: list[int], sigma: int) -> float:
    return abs(sum(v * v for v in values) / len(values) / sigma**2 - 1)


def test_the_noise_has_the_declared_distribution() -> None:
    """Mean, variance and shape, at fixed tolerances."""
    values = sample(DRAWS)
    assert abs(sum(values) / DRAWS) < 6 * 13 / math.sqrt(DRAWS)
    assert variance_off(values, 13) < VARIANCE_TOLERANCE
    assert chi_square(values, 13) < CHI_SQUARE_MAX


def test_a_scale_that_is_a_tenth_too_small_is_noticed() -> None:
    """The switch: the same test on sigma x 0.9 fails."""
    values = sample(DRAWS, sigma_factor=0.9)
    assert variance_off(values, 13) > VARIANCE_TOLERANCE
    assert chi_square(values, 13) > CHI_SQUARE_MAX


def test_each_draw_is_fresh() -> None:
    """Two draws of the same sums differ, else one could be subtracted from the other."""
    noise = discrete_gaussian(declared_split())
    sums = {"visitors": 1000, "page_views": 5000}
    assert len({tuple(sorted(noise.draw(sums).items())) for _ in range(5)}) > 1


def test_opendp_spends_no_more_than_the_share() -> None:
    """A share that its scale does not keep is refused before anything is drawn."""
    split = declared_split()
    discrete_gaussian(split)

    class TooSmall(Measure):
        sigma = 12  # what a mistaken rounding would give

    wrong = TooSmall(**split.drawn[0].__dict__)
    with pytest.raises(Fatal, match="more than its share"):
        discrete_gaussian(replace(split, measures=(wrong,)))


def test_epsilon_is_the_library_s_and_between_the_known_bounds() -> None:
    """rho + 2 sqrt(rho ln 1/delta) is the textbook's upper bound; the design gives 1.00 for rho = 0.02."""
    line = Measure("all", "All", 1, 1, Fraction(1, 50), True)
    whole = discrete_gaussian(Split(Fraction(1, 50), Fraction(1, 10**7), (line,)))
    assert whole.epsilon == pytest.approx(1.00, abs=0.01)
    textbook = 0.02 + 2 * math.sqrt(0.02 * math.log(1e7))
    assert whole.epsilon < textbook
    assert discrete_gaussian(declared_split()).epsilon < whole.epsilon
