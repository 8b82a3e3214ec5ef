"""What releases have spent: by tenant and month, from the ledger."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from itertools import groupby

import sqlalchemy as sa

from services.runtime.database import transaction
from services.stats.releases.ledger import STORED, Charge, charges

__all__ = ["Month", "spent"]


@dataclass(frozen=True, slots=True)
class Month:
    """`drawn`: days with noisy figures; `lost`: charged, and stopped before they were stored; `not_drawn`: days since
    the tenant's first one that were never charged: not closed yet, or it had not opted in. `rho` and `epsilon` (at the
    split's delta): of somebody who came on each charged day, under one pseudonym a day."""

    tenant: str
    first: date
    drawn: int
    lost: int
    not_drawn: int
    rho: Fraction
    epsilon: float


def spent(
    records: sa.Engine, tenants: Collection[str] | None, today: date, epsilon: Callable[[Fraction], float]
) -> Sequence[Month]:
    """By tenant, the newest month first. `tenants` None: all. `epsilon`: of a rho."""
    with transaction(records) as connection:
        found = charges(connection)
    mine = sorted((c for c in found if tenants is None or c.tenant in tenants), key=lambda c: (c.tenant, c.day))
    months: list[Month] = []
    for tenant, rows in groupby(mine, key=lambda charge: charge.tenant):
        months += reversed(_months(tenant, list(rows), today, epsilon))
    return months


def _months(tenant: str, rows: Sequence[Charge], today: date, epsilon: Callable[[Fraction], float]) -> list[Month]:
    by_day = {charge.day: charge for charge in rows}
    days = [rows[0].day + timedelta(n) for n in range((max(today, rows[-1].day) - rows[0].day).days)]
    span = sorted({*days, *by_day})
    return [
        _month(tenant, first, [by_day.get(day) for day in of], epsilon)
        for first, of in groupby(span, key=lambda day: day.replace(day=1))
    ]


def _month(tenant: str, first: date, of: Sequence[Charge | None], epsilon: Callable[[Fraction], float]) -> Month:
    there = [charge for charge in of if charge is not None]
    drawn = sum(charge.state == STORED for charge in there)
    rho = sum((charge.rho for charge in there), start=Fraction(0))
    lost, not_drawn = len(there) - drawn, len(of) - len(there)
    return Month(tenant, first, drawn, lost, not_drawn, rho, epsilon(rho) if rho else 0.0)
