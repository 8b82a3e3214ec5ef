"""Sums, intervals and statuses of stored noisy days."""

from __future__ import annotations

import math
from datetime import date

import pytest

from services.stats.releases.ledger import NoisyCell
from services.stats.releases.period import Period
from services.stats.releases.tables import daily, half_width, neutralised, totals

D1, D2, D3 = (date(2026, 11, n) for n in (1, 2, 3))
CELLS = [NoisyCell(D1, "visitors", 100, 13), NoisyCell(D3, "visitors", -4, 13)]


def test_a_sum_has_the_variance_of_its_days() -> None:
    """Two days of sigma 13: 1.96 x 13 x sqrt 2, rounded out."""
    (row,) = totals(["visitors"], CELLS).to_dicts()
    half = math.ceil(1.959964 * 13 * math.sqrt(2))
    assert row == {
        "measure": "visitors", "days": 2, "value": 96, "value_lo": 96 - half, "value_hi": 96 + half, "obs_status": "A",
    }  # fmt: skip


def test_the_interval_holds_19_of_20_true_values() -> None:
    """Exactly, from the discrete Gaussian's own probabilities; one less on each side would not."""
    weights = {k: math.exp(-k * k / (2 * 13**2)) for k in range(-200, 201)}
    half = half_width([13])
    inside = [sum(w for k, w in weights.items() if abs(k) <= h) / sum(weights.values()) for h in (half, half - 1)]
    assert inside[0] >= 0.95 > inside[1] - 0.005


def test_every_day_has_a_row_and_a_missing_one_no_number() -> None:
    """A missing day is empty, never 0; a value whose interval reaches zero says so."""
    rows = daily(Period(D1, D3), ["visitors"], CELLS).to_dicts()
    assert [(row["day"], row["value"], row["obs_status"]) for row in rows] == [
        (D1, 100, "A"), (D2, None, "O"), (D3, -4, "U"),
    ]  # fmt: skip


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_text_starts_a_formula(start: str) -> None:
    """Spreadsheets run what starts so."""
    assert neutralised(f"{start}cmd|'/c calc'!A1") == f"'{start}cmd|'/c calc'!A1"
    assert neutralised("/members/{id}") == "/members/{id}"
