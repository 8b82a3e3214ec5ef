"""What a release is made of, read from the ledger in one transaction: nothing of it depends on the time of building."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

import sqlalchemy as sa

from services.runtime.errors import Fatal
from services.stats.releases.ledger import STORED, Charge, NoisyCell, charges, noisy_cells
from services.stats.releases.period import Period

__all__ = ["Contents", "read_contents"]

LOST = "lost: the service stopped between charging and storing; a charged day is never drawn again"
NOT_DRAWN = "not drawn: the day was not closed yet, or the tenant had not opted in to releases when it closed"


@dataclass(frozen=True)
class Contents:
    tenant: str
    period: Period
    days: Sequence[Charge]  # drawn and stored, in order
    cells: Sequence[NoisyCell]
    missing: Sequence[tuple[date, str]]  # with the reason
    created: str  # when the last of its days was stored
    days_charged: int  # of the tenant, ever, by then
    rho_charged: Fraction  # sum of theirs

    @property
    def measures(self) -> list[str]:
        return sorted({cell.measure for cell in self.cells})

    @property
    def digest(self) -> str:
        """Equal for equal contents; a day that is stored later makes another release of the period."""
        told = [str(self.tenant), *map(str, self.period.days), *map(str, self.missing), self.created]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def read_contents(connection: sa.Connection, tenant: str, period: Period) -> Contents:
    """Raises `Fatal` when no day of the period was drawn."""
    ledger = charges(connection, tenant)
    inside = [c for c in ledger if period.first <= c.day <= period.last]
    stored = [c for c in inside if c.state == STORED]
    if not stored:
        raise Fatal(
            f"No day of {period.first} to {period.last} was drawn for {tenant}: "
            "it has to be opted in (voile tenant show) and its days closed (voile stats close)."
        )
    created = max(str(c.stored_at) for c in stored)
    so_far = [c for c in ledger if c.charged_at <= created]
    return Contents(
        tenant=tenant,
        period=period,
        days=stored,
        cells=noisy_cells(connection, tenant, period.first, period.last),
        missing=_missing(period, inside),
        created=created,
        days_charged=len(so_far),
        rho_charged=sum((c.rho for c in so_far), start=Fraction(0)),
    )


def _missing(period: Period, inside: Sequence[Charge]) -> list[tuple[date, str]]:
    states = {c.day: c.state for c in inside}
    return [(day, LOST if day in states else NOT_DRAWN) for day in period.days if states.get(day) != STORED]
