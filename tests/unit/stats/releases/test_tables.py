"""Sums, intervals and statuses of stored noisy days."""

from __future__ import annotations

import math
from datetime import date

import pytest

from services.stats.releases.period import Period
from services.stats.releases.split import declared_split
from services.stats.releases.tables import by_key, daily, half_width, neutralised, tables_of, totals
from services.stats.releases.vectors import NoisySum

D1, D2, D3 = (date(2026, 11, n) for n in (1, 2, 3))
CELLS = [(D1, NoisySum("visitors", (), 1, 100, 169)), (D3, NoisySum("visitors", (), 1, -4, 169))]


def test_a_sum_has_the_variance_of_its_days() -> None:
    """Two days of sigma 13: 1.96 x 13 x sqrt 2, rounded out."""
    (row,) = totals(declared_split(), [NoisySum("visitors", (), 2, 96, 2 * 169)]).to_dicts()
    half = math.ceil(1.959964 * 13 * math.sqrt(2))
    assert row == {
        "measure": "visitors", "days": 2, "value": 96, "value_lo": 96 - half, "value_hi": 96 + half, "obs_status": "A",
    }  # fmt: skip


def test_the_interval_holds_19_of_20_true_values() -> None:
    """Exactly, from the discrete Gaussian's own probabilities; one less on each side would not."""
    weights = {k: math.exp(-k * k / (2 * 13**2)) for k in range(-200, 201)}
    half = half_width(169)
    inside = [sum(w for k, w in weights.items() if abs(k) <= h) / sum(weights.values()) for h in (half, half - 1)]
    assert inside[0] >= 0.95 > inside[1] - 0.005


def test_every_day_has_a_row_and_a_missing_one_no_number() -> None:
    """A missing day is empty, never 0; a value whose interval reaches zero says so."""
    rows = daily(Period(D1, D3), CELLS).to_dicts()
    assert [(row["day"], row["value"], row["obs_status"]) for row in rows] == [
        (D1, 100, "A"), (D2, None, "O"), (D3, -4, "U"),
    ]  # fmt: skip


def test_cells_have_a_table_of_their_measure() -> None:
    """Named by its keys; no name starts a formula; a measure that was not drawn has no table."""
    tables = {t.name: t for t in tables_of(declared_split(), {"visitors", "visitors_by_country_and_device"})}
    assert tables.keys() == {"totals", "daily", "visitors_by_country_and_device"}
    frame = by_key(
        tables["visitors_by_country_and_device"],
        [NoisySum("visitors_by_country_and_device", ("FR", "=1"), 3, 9, 3 * 256)],
    )
    assert frame.to_dicts() == [
        {"country": "FR", "device": "'=1", "days": 3, "value": 9, "value_lo": 9 - 55, "value_hi": 9 + 55, "obs_status": "U"}
    ]  # fmt: skip


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_text_starts_a_formula(start: str) -> None:
    """Spreadsheets run what starts so."""
    assert neutralised(f"{start}cmd|'/c calc'!A1") == f"'{start}cmd|'/c calc'!A1"
    assert neutralised("/members/{id}") == "/members/{id}"
