"""Attacks on releases: each fails on the shipped design, and succeeds on a weaker one of the kind in use elsewhere.

Where thousands of draws are needed they come from the shipped distribution by its exact probabilities, seeded
(released.py); ledger, package and bounding are the real ones (also test_release_stores.py). Figures: `pytest -s`.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from services.stats.releases.person import guess_accuracy
from tests.privacy.released import (
    SPLIT,
    TOLERANCE,
    TRIALS,
    VISITORS,
    best_right,
    coin,
    discrete_gaussian_of,
    right_of,
    told,
)

RHO_DAY = float(SPLIT.rho_day_max)
DAYS = 30


@pytest.fixture
def chance() -> np.random.Generator:
    return np.random.default_rng(20261123)


def whole_day(there: np.ndarray, chance: np.random.Generator, days: int = 1, group: int = 1) -> np.ndarray:
    """The best attacker's score after `days`, who knows every other visitor and every cell that the target may be in:
    `group` pseudonyms of it add the bounds to each measure. Standard deviation 1, mean sqrt(2 rho) group sqrt(days)."""
    score = np.zeros(there.size)
    for measure in SPLIT.measures:
        shift = group * measure.contribution_max
        cells = discrete_gaussian_of(measure.sigma, (days * measure.cells_max, there.size), chance)
        score += (cells + shift * there).sum(axis=0) * shift / measure.sigma**2
    return score


def mean_of_present(days: int = 1, group: int = 1) -> float:
    return sum(days * m.cells_max * (group * m.contribution_max) ** 2 / m.sigma**2 for m in SPLIT.measures)


def test_averaging_a_thousand_requests_gives_one_request(chance: np.random.Generator) -> None:
    """The stored noisy value is the answer each time. A design that draws for each answer tells the exact count."""
    exact = chance.integers(0, 1000, 500)
    stored = exact + discrete_gaussian_of(VISITORS, 500, chance)
    answered_once = np.repeat(stored[None, :], 1000, axis=0).mean(axis=0).round() == exact
    fresh = exact + discrete_gaussian_of(VISITORS, (1000, 500), chance)
    answered_anew = fresh.mean(axis=0).round() == exact
    told(exact_of_stored=answered_once.mean(), exact_of_fresh=answered_anew.mean())
    assert answered_once.mean() < 0.1
    assert answered_anew.mean() > 0.7


def test_differencing_periods_gives_the_stored_day_and_no_more(chance: np.random.Generator) -> None:
    """All 465 periods of a month, solved for one day by least squares. With noise of its own in each period the day
    comes out far below the noise of one draw."""
    there, target = coin(chance, 4000), 14
    ends = np.array([[first <= day <= last for day in range(DAYS)] for first, last in _spans()], dtype=float)
    solve = np.linalg.pinv(ends)[target]
    noisy_days = discrete_gaussian_of(VISITORS, (DAYS, there.size), chance).astype(float)
    noisy_days[target] += there
    weak = ends @ (np.eye(DAYS)[target][:, None] * there) + discrete_gaussian_of(
        VISITORS, (len(ends), there.size), chance
    )
    of_stored, of_fresh = solve @ (ends @ noisy_days), solve @ weak
    assert np.allclose(of_stored, noisy_days[target]), "the day's stored value, and nothing beyond it"
    spread = np.std(of_stored - there), np.std(of_fresh - there)
    told(sigma_left_of_stored=spread[0], sigma_left_of_fresh=spread[1])
    assert spread[0] > 0.95 * VISITORS
    assert spread[1] < 0.4 * VISITORS


def test_differencing_tenants_and_the_platform(chance: np.random.Generator) -> None:
    """The platform less every other tenant is the tenant's own noisy value. Where totals that are large enough are exact
    (thresholding), it is the small tenant's exact count."""
    counts = chance.integers(100, 5000, (200, 9)).astype(float)
    small = chance.integers(0, 10, 200)
    noisy, noisy_small = (
        counts + discrete_gaussian_of(VISITORS, counts.shape, chance),
        small + discrete_gaussian_of(VISITORS, 200, chance),
    )
    platform = noisy.sum(axis=1) + noisy_small
    left = platform - noisy.sum(axis=1)
    assert (left == noisy_small).all()
    thresholded = counts.sum(axis=1) + small - counts.sum(axis=1)
    told(exact_of_stored=(left == small).mean(), exact_of_thresholded=(thresholded == small).mean())
    assert (left == small).mean() < 0.1
    assert (thresholded == small).all()


def test_membership_of_a_planted_visitor(chance: np.random.Generator) -> None:
    """Who uses every bound to the full, before an attacker who knows all the rest: right no more often than declared.
    With page views that nothing bounds, one visitor with five thousand of them is seen."""
    there = coin(chance)
    right = right_of(there, whole_day(there, chance), mean_of_present() / 2)
    sigma = SPLIT["page_views"].sigma
    unbounded = 5000 * there + discrete_gaussian_of(sigma, there.size, chance)
    weak = right_of(there, unbounded, 2500)
    told(right=right, declared=best_right(RHO_DAY), right_without_bound=weak)
    assert right < best_right(RHO_DAY) + TOLERANCE
    assert right > 0.52, "the attacker of this test attacks"
    assert weak > 0.9


def test_one_run_audit_finds_no_more_than_epsilon(chance: np.random.Generator) -> None:
    """One release with 4000 canaries, guessed where the score is most telling (Steinke, Nasr, Jagielski 2023): the
    epsilon that the guesses prove stays under the declared one, and exceeds it without the bound on page views."""
    there = coin(chance, 4000)
    shipped = _epsilon_proved(there, whole_day(there, chance), mean_of_present() / 2)
    views = 5000 * there + discrete_gaussian_of(SPLIT["page_views"].sigma, there.size, chance)
    weak = _epsilon_proved(there, views, 2500)
    told(epsilon_proved=shipped, epsilon_without_bound=weak)
    assert shipped < 1.0 < weak


@pytest.mark.parametrize(("pseudonyms", "printed"), [(1, 0.708), (2, 0.863)])
def test_a_loyal_visitor_is_found_as_often_as_is_printed(
    chance: np.random.Generator, pseudonyms: int, printed: float
) -> None:
    """Thirty days, every day to the bounds, under one or two pseudonyms a day: what `person_level` prints is what the best
    attacker reaches, so it is neither broken nor an exaggeration."""
    there = coin(chance, 5000)
    score = whole_day(there, chance, DAYS, pseudonyms)
    right = right_of(there, score, mean_of_present(DAYS, pseudonyms) / 2)
    claimed = guess_accuracy(DAYS * pseudonyms**2 * SPLIT.rho_day_max)
    told(right=right, printed=claimed)
    assert claimed == pytest.approx(printed, abs=0.001)
    assert claimed - 0.03 < right < claimed + 5 * 0.5 / math.sqrt(there.size)


def test_a_loyal_visitor_against_sticky_noise(chance: np.random.Generator) -> None:
    """The weaker twin: noise that is the same for a cell on every day (keyed by the cell, as in query engines with sticky
    noise) falls out of the difference of two days, of which the visitor missed one."""
    there = coin(chance)
    sticky = discrete_gaussian_of(VISITORS, there.size, chance)
    right = right_of(there, (sticky + there) - sticky, 0.5)
    fresh = right_of(
        there, discrete_gaussian_of(VISITORS, there.size, chance) + there - discrete_gaussian_of(VISITORS, there.size, chance), 0.5
    )  # fmt: skip
    told(right_with_fresh_noise=fresh, right_with_sticky_noise=right)
    assert fresh < best_right(RHO_DAY) + TOLERANCE
    assert right == 1.0


def test_one_address_with_many_agents(chance: np.random.Generator) -> None:
    """Ten agents are ten pseudonyms, and cost as the group figure says: g^2 rho. Without the bound on each, ten agents of
    a thousand pages each are certain."""
    there, agents = coin(chance), 10
    right = right_of(there, whole_day(there, chance, group=agents), mean_of_present(group=agents) / 2)
    claimed = guess_accuracy(agents**2 * SPLIT.rho_day_max)
    views = agents * 1000 * there + discrete_gaussian_of(SPLIT["page_views"].sigma, there.size, chance)
    weak = right_of(there, views, agents * 500)
    told(right=right, printed=claimed, right_without_bound=weak)
    assert right < claimed + TOLERANCE
    assert weak > 0.999 > claimed + TOLERANCE


def test_least_squares_reconstruction(chance: np.random.Generator) -> None:
    """200 people with a secret bit (saw a page or not). Free queries over subsets, answered with noise of 4, give the
    bits away; a release has one cell for the page and no subsets, so the best guess is the share of who saw it."""
    people, queries = 200, 1600
    bits = chance.random(people) < 0.5
    subsets = (chance.random((queries, people)) < 0.5).astype(float)
    answers = subsets @ bits + discrete_gaussian_of(4, queries, chance)
    free = np.linalg.lstsq(subsets, answers, rcond=None)[0] > 0.5
    cell = bits.sum() + discrete_gaussian_of(SPLIT["visitors_by_route"].sigma, 1, chance)[0]
    released = np.full(people, np.linalg.lstsq(np.ones((1, people)), [float(cell)], rcond=None)[0] > 0.5)[0]
    told(right_of_free_queries=(free == bits).mean(), right_of_a_release=(released == bits).mean())
    assert (free == bits).mean() > 0.95
    assert (released == bits).mean() < 0.6


def _spans() -> list[tuple[int, int]]:
    return [*combinations(range(DAYS), 2), *((day, day) for day in range(DAYS))]


def _epsilon_proved(there: np.ndarray, score: np.ndarray, threshold: float, alpha: float = 1e-3) -> float:
    """The largest epsilon (delta 0) that the guesses on the 400 most telling canaries refute, at 1 - alpha."""
    order = np.argsort(-np.abs(score - threshold))[:400]
    right = int((there[order] == (score[order] > threshold)).sum())
    epsilons = np.linspace(0, 8, 801)
    chances = [_at_least(right, order.size, 1 / (1 + math.exp(-e))) for e in epsilons]
    return float(max((e for e, p in zip(epsilons, chances, strict=True) if p < alpha), default=0.0))


def _at_least(hits: int, of: int, rate: float) -> float:
    logs = [math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1) for k in range(hits, of + 1)]
    return math.fsum(
        math.exp(log + k * math.log(rate) + (of - k) * math.log1p(-rate))
        for k, log in zip(range(hits, of + 1), logs, strict=True)
    )


def test_the_attackers_noise_is_the_shipped_one(chance: np.random.Generator) -> None:
    """Its variance is that of the declared scale, at five deviations."""
    draws = discrete_gaussian_of(VISITORS, TRIALS, chance)
    assert abs(draws.var() / VISITORS**2 - 1) < 5 * math.sqrt(2 / TRIALS)
