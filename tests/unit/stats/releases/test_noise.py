"""The noise is an exact discrete Gaussian of the declared scale, and OpenDP's accounting agrees."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import dp_accounting
import pytest
from dp_accounting import pld, rdp

from services.runtime.errors import Fatal
from services.stats.releases import noise as noise_module
from services.stats.releases.noise import discrete_gaussian
from services.stats.releases.split import Measure, declared_split

DRAWS = 20_000
# Fixed tolerances. Var of a sample variance of a Gaussian is 2 sigma^4 / n: 1 % here, so 5 % is five of them.
VARIANCE_TOLERANCE = 0.05
CHI_SQUARE_MAX = 100.0  # 40 bins: mean 39, sd 8.8; beyond 100 has a chance under 1e-6


def sample(count: int, sigma_factor: float = 1.0) -> list[int]:
    """`count` draws of the visitors' mechanism on a true value of 0."""
    import opendp.prelude as dp

    dp.enable_features("contrib")
    mechanism = noise_module._gaussian(dp, declared_split()["visitors"].sigma * sigma_factor)
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
    sums = {"visitors": [1000], "visitors_by_referrer_class": [5, 0, 0, 7, 0, 0]}
    drawn = [noise.draw(sums) for _ in range(5)]
    assert {name: {len(d[name]) for d in drawn} for name in sums} == {
        "visitors": {1},
        "visitors_by_referrer_class": {6},
    }
    assert len({str(d) for d in drawn}) > 1


def test_opendp_spends_no_more_than_the_share() -> None:
    """A share that its scale does not keep is refused before anything is drawn."""
    split = declared_split()
    discrete_gaussian(split)

    class TooSmall(Measure):
        sigma = 12  # what a mistaken rounding would give

    wrong = TooSmall(**split["visitors"].__dict__)
    with pytest.raises(Fatal, match="more than its share"):
        discrete_gaussian(replace(split, measures=(wrong,)))


def test_epsilon_is_the_library_s_and_between_the_known_bounds() -> None:
    """rho + 2 sqrt(rho ln 1/delta) is the textbook's upper bound; the design gives 1.00 for rho = 0.02."""
    whole = discrete_gaussian(declared_split()).epsilon(Fraction(1, 50))
    assert whole == pytest.approx(1.00, abs=0.01)
    textbook = 0.02 + 2 * math.sqrt(0.02 * math.log(1e7))
    assert whole < textbook
    assert discrete_gaussian(declared_split()).epsilon(Fraction(1, 100)) < whole


@pytest.mark.parametrize("rho", [Fraction(1, 50), Fraction(6, 10), Fraction(24, 10)])
def test_a_second_library_agrees_on_epsilon(rho: Fraction) -> None:
    """Google's dp-accounting: its Renyi accountant bounds any zCDP mechanism and may be looser, its privacy loss
    distribution is exact for one Gaussian and must be below."""
    told = discrete_gaussian(declared_split()).epsilon(rho)
    renyi = rdp.RdpAccountant().compose(dp_accounting.ZCDpEvent(float(rho))).get_epsilon(1e-7)
    gaussian = dp_accounting.GaussianDpEvent(math.sqrt(1 / (2 * float(rho))))
    exact = pld.PLDAccountant(value_discretization_interval=1e-3).compose(gaussian).get_epsilon(1e-7)
    assert exact < told <= renyi * 1.001
    assert renyi == pytest.approx(told, rel=0.02)
