"""An audit of the installed mechanism with the power to see a tenth: does anybody learn more than its noise allows?

4000 canary tenants go through the bounding statement, its assertion and the sampler as a closing day's do, half of
them with a canary, at a total of rho = 1/2: at the budget of a real day no number of tenants that a machine can draw
would tell sigma from 0.9 sigma. An attacker who knows everything but who has the canary guesses by one threshold fixed
before; how often it is right bounds mu of Gaussian differential privacy from below.

1. Scale the shares of the split to the total. 2. Write the canaries' events. 3. Bound and prove, by the shipped
statements. 4. Draw, by the shipped sampler, `draws` times. 5. Of each measure, and of all together: bound the rates of
true and of false alarms (Clopper-Pearson), and with them mu. 6. What exceeds the declared mu is a violation.

Sources: Nasr et al., "Tight Auditing of Differentially Private Machine Learning", 2023 (mu from both rates); Clopper
and Pearson, 1934; Dong, Roth, Su, "Gaussian Differential Privacy", 2022.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from statistics import NormalDist

import numpy as np

from services.runtime.clickhouse import Analytics
from services.stats.days.states import TenantDay
from services.stats.releases.audit_canaries import CANARIES, Canary, put_canaries, tenants_of
from services.stats.releases.bounding import Secret, bounded_sums
from services.stats.releases.noise import Noise, Vectors, discrete_gaussian
from services.stats.releases.split import Split, declared_split

__all__ = ["ALPHA", "DRAWS", "TENANTS", "WHOLE", "Finding", "audit", "audit_split", "rate_bounds"]

RHO = Fraction(1, 2)
TENANTS = 4000
DRAWS = 16  # of every tenant's day, as if it were so many days: 64 000 guesses see 0.9 sigma by five deviations
ALPHA = 1e-3  # of each bound; both must fail for a false alarm, which is some millionths
WHOLE = "all measures together"
_HALVINGS = 40  # of the range of a rate: to 1e-12


@dataclass(frozen=True)
class Finding:
    """`mu`: declared. `estimate`, `at_least`: seen; `at_least` above `mu` is a violation. `right`: share of guesses."""

    canary: str
    measure: str
    mu: float
    estimate: float
    at_least: float
    right: float

    @property
    def violation(self) -> bool:
        return self.at_least > self.mu


def audit(
    analytics: Analytics, seed: int, *, tenants: int = TENANTS, draws: int = DRAWS, noise: Noise | None = None
) -> list[Finding]:
    """Runs on an empty store. `seed` says which tenants have a canary and which of its cells are kept; the noise is
    fresh at each run. `noise`: for tests, in place of the shipped sampler. Raises `Fatal` when a bound is broken."""
    split = audit_split()
    noise = noise or discrete_gaussian(split)
    chance = np.random.default_rng(seed)
    found = []
    for canary in CANARIES:
        there = chance.permutation(tenants) % 2 == 0
        put_canaries(analytics, canary, there)
        sums = _bounded(analytics, split, canary, tenants, Secret.of(chance.bytes(16)))
        found += _findings(split, canary, there, _guesses(split, canary, sums, noise, draws))
    return found


def audit_split() -> Split:
    """The declared one with every share scaled so that a day spends `RHO`."""
    split = declared_split()
    factor = RHO / split.rho_day_max
    measures = tuple(replace(measure, rho=measure.rho * factor) for measure in split.measures)
    return Split(RHO, split.delta, measures)


def rate_bounds(hits: int, of: int, alpha: float = ALPHA) -> tuple[float, float]:
    """Lower and upper bound of a rate that was seen `hits` times in `of`, each wrong with chance `alpha`."""
    lower = 0.0 if hits == 0 else _solve(lambda p: 1 - _at_most(hits - 1, of, p), alpha)
    upper = 1.0 if hits == of else _solve(lambda p: 1 - _at_most(hits, of, p), 1 - alpha)
    return lower, upper


def _bounded(analytics: Analytics, split: Split, canary: Canary, tenants: int, secret: Secret) -> dict[str, np.ndarray]:
    """Measure -> exact sums, one row a tenant and one column a cell."""
    pairs = tenants_of(canary, tenants)
    sums = bounded_sums(analytics, split, dict.fromkeys(pairs, canary.catalogues), secret)
    return {name: _rows(sums, pairs, name) for name in canary.catalogues}


def _rows(sums: Mapping[TenantDay, Vectors], pairs: Sequence[TenantDay], measure: str) -> np.ndarray:
    return np.array([sums[pair][measure] for pair in pairs], dtype=np.int64)


def _guesses(
    split: Split, canary: Canary, sums: Mapping[str, np.ndarray], noise: Noise, draws: int
) -> dict[str, np.ndarray]:
    """Measure -> the attacker's score of each tenant in each draw, standard deviation 1 if the noise is as declared.

    The score adds up the cells with the weights that the canary's own contributions give (Neyman-Pearson for a
    Gaussian); everybody else in the tenant is known and taken off.
    """
    scores: dict[str, list[np.ndarray]] = {name: [] for name in sums}
    for _ in range(draws):
        drawn = noise.draw({name: rows.ravel().tolist() for name, rows in sums.items()})
        for name, rows in sums.items():
            values = np.array(drawn[name]).reshape(rows.shape) - canary.others(name)
            weights = canary.weights(name)
            scores[name].append(values @ weights / split[name].sigma / math.sqrt(weights @ weights))
    return {name: np.array(score) for name, score in scores.items()}


def _findings(split: Split, canary: Canary, there: np.ndarray, scores: Mapping[str, np.ndarray]) -> list[Finding]:
    declared = {name: math.sqrt(2 * split[name].rho_spent) for name in scores}
    whole = math.sqrt(sum(mu * mu for mu in declared.values()))
    together = np.sum([mu * scores[name] for name, mu in declared.items()], axis=0) / whole
    found = [_finding(canary.name, name, declared[name], score, there) for name, score in scores.items()]
    return [*found, _finding(canary.name, WHOLE, whole, together, there)]


def _finding(canary: str, measure: str, mu: float, score: np.ndarray, there: np.ndarray) -> Finding:
    said = score > mu / 2  # fixed before: half-way between both means
    hits, alarms = int(said[:, there].sum()), int(said[:, ~there].sum())
    with_it, without = said[:, there].size, said[:, ~there].size
    quantile = NormalDist().inv_cdf
    at_least = _bounded_quantile(rate_bounds(hits, with_it)[0]) - _bounded_quantile(rate_bounds(alarms, without)[1])
    estimate = quantile((hits + 0.5) / (with_it + 1)) - quantile((alarms + 0.5) / (without + 1))
    right = (hits / with_it + 1 - alarms / without) / 2
    return Finding(canary, measure, round(mu, 4), round(estimate, 4), round(at_least, 4), round(right, 4))


def _bounded_quantile(rate: float) -> float:
    return NormalDist().inv_cdf(min(max(rate, 1e-12), 1 - 1e-12))


def _at_most(hits: int, of: int, rate: float) -> float:
    """Chance of at most `hits` of `of` at `rate`."""
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, of + 1)))])  # of the factorials
    k = np.arange(hits + 1)
    terms = logs[of] - logs[k] - logs[of - k] + k * math.log(rate) + (of - k) * math.log1p(-rate)
    return float(min(1.0, np.exp(terms).sum()))


def _solve(increasing: Callable[[float], float], target: float) -> float:
    """The rate at which `increasing` reaches `target`, by halving."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if increasing(middle) < target else (low, middle)
    return (low + high) / 2
