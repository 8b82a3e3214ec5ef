"""What a release is made of, read from the ledger in one transaction: nothing of it depends on the time of building."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import NamedTuple

import sqlalchemy as sa

from services.runtime.errors import Fatal
from services.stats.releases.ledger import STORED, Charge, charges
from services.stats.releases.period import Period
from services.stats.releases.split import Split
from services.stats.releases.vectors import NoisySum, NoisyVector, add_up, kept_days, noisy_vectors

__all__ = ["PLATFORM", "REASONS", "Contents", "Missing", "not_drawn", "read_contents"]

PLATFORM = ""  # stands for a tenant's id where the sums are of every tenant that opted in to them
LOST = "lost: the service stopped between charging and storing; a charged day is never drawn again"
NOT_DRAWN = "not drawn: the day was not closed yet, or the tenant had not opted in to releases when it closed"
NOT_THIS = "not in it: the tenant had not opted in to this kind of release when the day was drawn"
GONE = "deleted: the term of its noisy figures was over when the release was built"
REASONS = frozenset({LOST, NOT_DRAWN, NOT_THIS, GONE})


class Missing(NamedTuple):
    tenant: str
    day: date
    reason: str


@dataclass(frozen=True)
class Contents:
    """`tenant`: whose release; `PLATFORM` for the sums of `tenants`. `sums`: over the whole period; `daily`: the
    totals of each day."""

    tenant: str
    tenants: Sequence[str]
    period: Period
    charges: Sequence[Charge]  # drawn, stored and in the sums, by day and tenant
    sums: Sequence[NoisySum]
    daily: Sequence[tuple[date, NoisySum]]
    missing: Sequence[Missing]
    drawn: str  # when the last of its days was stored; never told, as it depends on who came
    days_charged_max: int  # of these tenants, from the first day of each through its last day

    @property
    def created(self) -> str:
        """The end of its last day, ISO 8601, UTC (ADR 0261)."""
        return f"{max(charge.day for charge in self.charges) + timedelta(days=1)}T00:00:00+00:00"

    @property
    def days(self) -> list[date]:
        """Days that are there, of at least one tenant."""
        return sorted({charge.day for charge in self.charges})

    @property
    def measures(self) -> list[str]:
        return sorted({cell.measure for cell in self.sums})

    @property
    def routes(self) -> set[str]:
        return {cell.key[0] for cell in self.sums if cell.measure == "visitors_by_route"}

    @property
    def digest(self) -> str:
        """Equal for equal contents; a day that is stored later makes another release of the period."""
        told = [self.tenant, *self.tenants, *map(str, self.period.days), *map(str, self.missing), self.drawn]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def read_contents(connection: sa.Connection, tenant: str, period: Period, split: Split) -> Contents:
    """Raises `Fatal` when no day of the period was drawn."""
    ledger = charges(connection, None if tenant == PLATFORM else tenant)
    inside = [c for c in ledger if period.first <= c.day <= period.last]
    kept = kept_days(connection, {c.tenant for c in inside}, period.first, period.last)
    there = [c for c in inside if c.state == STORED and _takes_part(c, tenant) and (c.tenant, c.day) in kept]
    if not there:
        raise Fatal(
            f"No day of {period.first} to {period.last} was drawn for {tenant or 'the platform'}: "
            "it has to be opted in (voile tenant show) and its days closed (voile stats close)"
            + (", and their term not be over (voile retention report)." if inside else ".")
        )
    tenants = sorted({c.tenant for c in there})
    drawn, last = max(str(c.stored_at) for c in there), max(c.day for c in there)
    named = [m.name for m in split.measures if tenant != PLATFORM or "route" not in m.keys]
    return Contents(
        tenant=tenant,
        tenants=tenants,
        period=period,
        charges=there,
        sums=add_up(connection, _vectors(connection, there, period, named)),
        daily=_daily(connection, there, period, [m.name for m in split.measures if not m.keys]),
        missing=_missing(period, tenants, inside, there, kept),
        drawn=drawn,
        days_charged_max=_days_charged_max([c for c in ledger if c.tenant in tenants and c.charged_at <= drawn], last),
    )


def not_drawn(connection: sa.Connection, tenant: str, period: Period, today: date) -> list[date]:
    """Days of the period that are over and could be drawn yet: since the tenant's first drawn day, and never charged.

    A release without them tells its readers that nobody came on them, or that they are not closed (ADR 0261).
    """
    ledger = charges(connection, None if tenant == PLATFORM else tenant)
    charged = {(c.tenant, c.day) for c in ledger}
    firsts = {c.tenant: c.day for c in reversed(ledger) if _takes_part(c, tenant)}
    over = [day for day in period.days if day < today]
    return [d for d in over if any(first <= d and (name, d) not in charged for name, first in firsts.items())]


def _days_charged_max(before: Sequence[Charge], last: date) -> int:
    """Every day through `last` since the tenant's first one. Those that were charged by then are not counted: a day
    without a row is charged after the next one that has some, so their number tells on which days somebody came."""
    firsts: dict[str, date] = {}
    for charge in before:
        firsts[charge.tenant] = min(charge.day, firsts.get(charge.tenant, charge.day))
    return sum((last - first).days + 1 for first in firsts.values() if first <= last)


def _takes_part(charge: Charge, tenant: str) -> bool:
    return charge.platform if tenant == PLATFORM else charge.own


def _vectors(
    connection: sa.Connection, there: Sequence[Charge], period: Period, measures: Sequence[str]
) -> Iterator[NoisyVector]:
    """Those of the charges alone: a tenant may have opted in on some days and not on others."""
    wanted = {(c.tenant, c.day) for c in there}
    found = noisy_vectors(connection, sorted({c.tenant for c in there}), period.first, period.last, measures)
    return (vector for vector in found if (vector.tenant, vector.day) in wanted)


def _daily(
    connection: sa.Connection, there: Sequence[Charge], period: Period, measures: Sequence[str]
) -> list[tuple[date, NoisySum]]:
    by_day = groupby(_vectors(connection, there, period, measures), key=lambda vector: vector.day)
    return [(day, cell) for day, vectors in by_day for cell in add_up(connection, list(vectors))]


def _missing(
    period: Period,
    tenants: Sequence[str],
    inside: Sequence[Charge],
    there: Sequence[Charge],
    kept: Collection[tuple[str, date]],
) -> list[Missing]:
    charged = {(c.tenant, c.day): c for c in inside}
    shown = {(c.tenant, c.day) for c in there}
    return [
        Missing(tenant, day, _reason(charged.get((tenant, day)), (tenant, day) in kept))
        for day in period.days
        for tenant in tenants
        if (tenant, day) not in shown
    ]


def _reason(charge: Charge | None, is_kept: bool) -> str:
    if charge is None:
        return NOT_DRAWN
    if charge.state != STORED:
        return LOST
    return NOT_THIS if is_kept else GONE
