"""Sums, intervals and statuses of stored noisy days."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from typing import Any

from services.stats.releases.contents import NOT_DRAWN, Contents, Missing
from services.stats.releases.period import Period
from services.stats.releases.split import declared_split
from services.stats.releases.tables import frame_of, half_width, tables_of
from services.stats.releases.vectors import NoisySum

D1, D2, D3 = (date(2026, 11, n) for n in (1, 2, 3))
INTERVAL = "2026-11-01/2026-11-03"


def rows(
    table: str,
    *sums: NoisySum,
    daily: Sequence[tuple[date, NoisySum]] = (),
    missing: Sequence[Missing] = (),
) -> list[dict[str, Any]]:
    """Of one table of a release with these sums."""
    contents = Contents("club", ["club"], Period(D1, D3), [], sums, daily, missing, "", 0)
    declared = {t.name: t for t in tables_of(declared_split(), contents.measures)}
    return frame_of(declared[table], contents, declared_split()).to_dicts()


def test_a_sum_has_the_variance_of_its_days() -> None:
    """Two days of sigma 13: 1.96 x 13 x sqrt 2, rounded out."""
    (row,) = rows("totals", NoisySum("visitors", (), 2, 96, 2 * 169))
    half = math.ceil(1.959964 * 13 * math.sqrt(2))
    assert row == {
        "period": INTERVAL, "measure": "visitors", "days": 2, "value": 96, "value_lo": 96 - half, "value_hi": 96 + half,
        "obs_status": "A",
    }  # fmt: skip


def test_the_interval_holds_19_of_20_true_values() -> None:
    """Exactly, from the discrete Gaussian's own probabilities; one less on each side would not."""
    weights = {k: math.exp(-k * k / (2 * 13**2)) for k in range(-200, 201)}
    half = half_width(169)
    inside = [sum(w for k, w in weights.items() if abs(k) <= h) / sum(weights.values()) for h in (half, half - 1)]
    assert inside[0] >= 0.95 > inside[1] - 0.005


def test_a_missing_day_has_a_reason_and_no_number() -> None:
    """Never 0 and never an empty cell; a value whose interval reaches zero says so."""
    cells = [(D1, NoisySum("visitors", (), 1, 100, 169)), (D3, NoisySum("visitors", (), 1, -4, 169))]
    missing = [Missing("club", D2, NOT_DRAWN)]
    assert [(r["day"], r["days"], r["value"], r["obs_status"]) for r in rows("daily", daily=cells, missing=missing)] == [
        (D1, 1, 100, "A"), (D3, 1, -4, "U"),
    ]  # fmt: skip
    assert rows("missing_days", missing=missing) == [{"tenant": "club", "day": D2, "reason": NOT_DRAWN}]


def test_cells_have_a_table_of_their_measure() -> None:
    """Named by its keys, in the order in which they are told; a measure that was not drawn has no table."""
    measure = "visitors_by_country_and_device"
    tables = {t.name: t for t in tables_of(declared_split(), {"visitors", measure})}
    assert tables.keys() == {"totals", "daily", "missing_days", measure}
    cells = [NoisySum(measure, (country, "mobile"), 3, 9, 3 * 256) for country in ("CG", "CD")]
    told = {"period": INTERVAL, "device": "mobile", "days": 3, "value": 9, "value_lo": 9 - 55, "value_hi": 9 + 55}
    assert rows(measure, *cells) == [{**told, "country": c, "obs_status": "U"} for c in ("COD", "COG")]
