"""What to expect of a tenant's releases before it opts in: the error of each measure, and what a person risks.

Errors are those of the noise, which is known exactly; the tenant's size is given, or read from published cells. Nothing
here looks at an event, so planning costs no budget.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from services.stats.days.states import TenantDay
from services.stats.figures.cells import kept_cells, newest_kept
from services.stats.releases.person import PSEUDONYMS, person
from services.stats.releases.split import Measure, Split
from services.stats.releases.tables import half_width

__all__ = ["PERIODS", "expected_errors", "person_level", "visitors_published"]

PERIODS: Mapping[str, int] = {"day": 1, "week": 7, "month": 30}
DAYS_READ = 28  # four whole weeks: what a day of the tenant is like on average
SHARES = (1.0, 0.1, 0.01)  # of the day's visitors: in a cell with all of them, a tenth, a hundredth


@dataclass(frozen=True)
class Expected:
    """Half the width of the 95 % interval of one cell, and it relative to cells of different size.

    `relative`: share of the day's visitors that the cell holds -> error of such a cell, 0.05 is 5 %.
    """

    measure: str
    period: str
    half_width: int
    relative: Mapping[float, float]


def expected_errors(split: Split, visitors: float) -> list[Expected]:
    """Noise only, of a tenant with `visitors` a day, over a day, a week and a month."""
    return [
        Expected(measure.name, period, half_width(days * measure.sigma**2), _relative(measure, days, visitors))
        for measure in split.measures
        for period, days in PERIODS.items()
    ]


def person_level(split: Split, routes: bool) -> list[dict[str, Any]]:
    """What the releases of a day, a week and a month cost a person of one or two pseudonyms a day, at most."""
    rho = split.rho_of({m.name for m in split.measures if routes or "route" not in m.keys})
    return [person(rho, days, pseudonyms) for days in PERIODS.values() for pseudonyms in PSEUDONYMS]


def visitors_published(records: sa.Engine, tenant: str) -> float | None:
    """Visitors a day, on average over the newest `DAYS_READ` closed days that told them; None when none did."""
    days = newest_kept(records, tenant, DAYS_READ)
    cells = kept_cells(records, [TenantDay(tenant, day) for day in days])
    told = cells.filter((cells["cube"] == "total") & (cells["measure"] == "visitors"))["value"]
    return float(told.mean()) if len(told) else None  # type: ignore[arg-type]


def _relative(measure: Measure, days: int, visitors: float) -> dict[float, float]:
    """Of a cell in which each of its visitors adds 1: for page views that is the least."""
    half = half_width(days * measure.sigma**2)
    shares = SHARES if measure.keys else SHARES[:1]
    return {share: half / (days * visitors * share) if visitors else math.inf for share in shares}
