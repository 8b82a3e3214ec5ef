"""Attacks on the internal figures. Each is also run against a weaker rule, which it must break.

The list of `exports.md`, where each attack is, and the weaker design that it breaks:

| attack | test | broken design |
|---|---|---|
| differencing totals and rows, singles and pairs | test_differencing_totals_and_rows | no complementary suppression |
| complementary suppression | the same; tests/unit/stats/figures/test_disclosure.py | the same |
| differencing of days | test_internal_answers.py, overlapping ranges | the rule applied to what a range holds |
| today's snapshots, polling | test_polling_today | a fresh draw each time |
| sybil probe with k - 1 | test_sybil_probe_from_one_network | no networks, no margin |
| calibrated fakes | test_calibrated_fakes... | a fixed threshold |
| averaging | test_averaging_the_same_question | a fresh draw each time |
| ratios and percentiles of small cells | test_internal_answers.py | exact values, no least number of requests |
| platform less the other tenants | test_internal_answers.py | summed before the rule |
| linking across days and tenants | test_pseudonyms_attacked.py | one key for all |
| brute force of the address space | test_pseudonyms_attacked.py | a digest without a key |
| a sketch kept by mistake | test_pseudonyms_attacked.py, test_after_a_close.py | a `uniq` state that stays |
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from statistics import mean

import numpy as np
import pytest

from services.stats.figures.cubes import OTHER, Cube
from services.stats.figures.disclosure import STRICT, THRESHOLD, Rule
from tests.parts.people import PAIR, SINGLE, TOTAL, Person, crowd, shown

KEYS = 120
NO_COMPLEMENT = replace(STRICT, complete=False)
NO_MARGIN = replace(STRICT, margin=1)


def _town(seed: int, pairs: bool) -> list[Person]:
    """Some hundred visitors over values, some popular and a few that are rare."""
    draw = np.random.default_rng(seed)
    count = int(draw.integers(60, 500))
    countries = draw.choice(5, count, p=[0.6, 0.25, 0.1, 0.04, 0.01])
    devices = draw.choice(["desktop", "mobile", "tablet"], count, p=[0.55, 0.4, 0.05])
    return [
        Person(n + 1, f"c{c}", str(d) if pairs else "") for n, (c, d) in enumerate(zip(countries, devices, strict=True))
    ]


def _left_over(persons: Sequence[Person], cube: Cube, key: int, rule: Rule) -> list[int]:
    """What differencing leaves: of every total that a reader knows, how many people are in no row that is shown.

    A slice in which nothing is shown gives nothing to subtract.
    """
    named = {cell for cell in shown(persons, cube, key, rule) if OTHER not in cell}
    slices: dict[tuple[str, str], tuple[set[int], list[bool]]] = defaultdict(lambda: (set(), []))
    for p in persons:
        knowable = [("", "")] if cube is SINGLE else [(p.dim1, ""), ("", p.dim2)]
        for known in knowable:
            slices[known][1].append((p.dim1, p.dim2) in named)
            if (p.dim1, p.dim2) not in named:
                slices[known][0].add(p.visitor)
    return [len(hidden) for hidden, visible in slices.values() if hidden and any(visible)]


@pytest.mark.parametrize("cube", [SINGLE, PAIR], ids=lambda cube: str(cube.name))
def test_differencing_totals_and_rows(cube: Cube) -> None:
    """Total minus rows leaves nobody, or at least ten people; in a pair along both of its dimensions."""
    towns = [_town(seed, cube is PAIR) for seed in range(40)]
    left = [n for seed, town in enumerate(towns) for n in _left_over(town, cube, seed, STRICT)]
    weak = [n for seed, town in enumerate(towns) for n in _left_over(town, cube, seed, NO_COMPLEMENT)]
    assert len(left) > 20
    assert min(left) >= THRESHOLD
    assert sum(n < THRESHOLD for n in weak) > 10  # complementary suppression: the weaker rule gives them away


def _told_apart(without: Sequence[Person], victim: Person, rule: Rule) -> float:
    """For how many keys the published figure betrays whether the victim was there."""
    return mean(shown(without, TOTAL, key, rule) != shown([*without, victim], TOTAL, key, rule) for key in range(KEYS))


VICTIM = Person(99_999, network=60_000)


def test_sybil_probe_from_one_network() -> None:
    """Thirteen fakes from one machine never bring the victim's cell to light."""
    fakes = [Person(n, network=5) for n in range(1, 14)]
    assert _told_apart(fakes, VICTIM, STRICT) == 0
    calibrated = [Person(n, network=5) for n in range(1, 10)]
    assert _told_apart(calibrated, VICTIM, replace(NO_MARGIN, networks=False)) == 1


@pytest.mark.parametrize("fakes", range(THRESHOLD - 1, THRESHOLD + 8))
def test_calibrated_fakes_from_as_many_networks(fakes: int) -> None:
    """Whatever number of fakes is chosen, four keys in five answer the same with and without the victim."""
    assert _told_apart(crowd(fakes), VICTIM, STRICT) < 0.35


def test_calibrated_fakes_succeed_against_a_fixed_threshold() -> None:
    """k - 1 fakes and no margin: the cell appears exactly when the victim is there."""
    assert _told_apart(crowd(THRESHOLD - 1), VICTIM, NO_MARGIN) == 1


def test_averaging_the_same_question() -> None:
    """Asked a hundred times, the answer is the same; rounding drawn anew each time would average out."""
    asked = crowd(33)
    same_key = {shown(asked, TOTAL, 7)["", ""] for _ in range(20)}
    fresh = [shown(asked, TOTAL, key)["", ""] for key in range(KEYS)]
    assert len(same_key) == 1
    assert abs(mean(fresh) - 33) < 0.6


def test_the_rounding_of_one_cell_says_nothing_of_another() -> None:
    """Cells of the same size are rounded by draws of their own: one known cell does not calibrate the others."""
    cells = shown([p for c in range(12) for p in crowd(33, f"c{c:02}", first=100 * c)], SINGLE, 7)
    assert set(cells.values()) == {30, 35}


def test_polling_today() -> None:
    """Snapshots before and after one arrival: mostly nothing moves. With fresh draws the arrival would show."""
    moved = mean(shown(crowd(40), TOTAL, key) != shown(crowd(41), TOTAL, key) for key in range(KEYS))
    assert moved < 0.35
    polls = range(1000, 1000 + 2 * KEYS)
    before, after = (mean(shown(crowd(n), TOTAL, key)["", ""] for key in polls) for n in (40, 41))
    assert 0.4 < after - before < 1.6


def test_absent_and_too_few_look_the_same() -> None:
    """Nobody from Belgium, or nine people: the same rows have names."""
    base = [*crowd(60, "FR"), *crowd(30, "CH", first=200), *crowd(9, "LU", first=300), *crowd(9, "DE", first=400)]
    nobody, nine = (set(shown(persons, SINGLE, 3)) for persons in (base, [*base, *crowd(9, "BE", first=500)]))
    assert nobody == nine == {("FR", ""), ("CH", ""), (OTHER, "")}
