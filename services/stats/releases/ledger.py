"""The ledger of releases: a (tenant, day) is charged once, durably, before its noise is drawn.

1. `charge` commits the row, or says that it is there. 2. The noise is drawn. 3. `store` commits the noisy
cells together with the row's new state. A process that dies between 1 and 3 loses that day's release;
nothing leads back from `charged` to a second draw, so nobody can average noise away by stopping Voile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

import sqlalchemy as sa

from services.runtime.database import transaction
from services.runtime.errors import Fatal
from services.stats.records import days, metadata
from services.stats.releases.split import Split

__all__ = [
    "CHARGED",
    "STORED",
    "Charge",
    "NoisyCell",
    "charge",
    "charge_of",
    "charges",
    "days_without_rows",
    "noisy_cells",
    "store",
]

CHARGED = "charged"
STORED = "stored"

_days = sa.Table(
    "release_days",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("rho", sa.String, nullable=False),  # exact fraction as text
    sa.Column("delta", sa.String, nullable=False),
    sa.Column("epsilon", sa.Float),  # of rho at delta, as the library converted it when the day was drawn
    sa.Column("charged_at", sa.String, nullable=False),
    sa.Column("stored_at", sa.String),
)
_cells = sa.Table(
    "release_cells",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("measure", sa.String, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
    sa.Column("sigma", sa.Integer, nullable=False),
    sa.ForeignKeyConstraint(["tenant", "day"], ["release_days.tenant", "release_days.day"]),
)


@dataclass(frozen=True)
class Charge:
    """One row of the ledger. `epsilon` and `stored_at` are None for a day that was lost."""

    tenant: str
    day: date
    state: str
    rho: Fraction
    delta: Fraction
    epsilon: float | None
    charged_at: str  # ISO 8601, UTC
    stored_at: str | None


@dataclass(frozen=True)
class NoisyCell:
    day: date
    measure: str
    value: int
    sigma: int


def charge(records: sa.Engine, tenant: str, day: date, split: Split, now: datetime) -> bool:
    """Charges the day; durable when it returns. False when the day was charged before: do not draw."""
    row = {"state": CHARGED, "rho": str(split.rho_drawn), "delta": str(split.delta), "charged_at": now.isoformat()}
    try:
        with transaction(records) as connection:
            connection.execute(sa.insert(_days).values(tenant=tenant, day=day, **row))
    except sa.exc.IntegrityError:
        return False
    return True


def store(
    records: sa.Engine, tenant: str, day: date, noisy: Mapping[str, int], *, split: Split, epsilon: float, now: datetime
) -> None:
    """The noisy cells and the row's new state in one transaction. Raises `Fatal` on a day not charged or stored."""
    cells = [
        {"tenant": tenant, "day": day, "measure": m.name, "value": noisy[m.name], "sigma": m.sigma} for m in split.drawn
    ]
    to_store = (_days.c.tenant == tenant) & (_days.c.day == day) & (_days.c.state == CHARGED)
    with transaction(records) as connection:
        changed = connection.execute(
            sa.update(_days).where(to_store).values(state=STORED, stored_at=now.isoformat(), epsilon=epsilon)
        )
        if changed.rowcount != 1:
            raise Fatal(f"The release of {tenant} on {day} is stored already or was never charged; nothing was stored.")
        connection.execute(sa.insert(_cells), cells)


def charge_of(connection: sa.Connection, tenant: str, day: date) -> Charge | None:
    found = connection.execute(sa.select(_days).where((_days.c.tenant == tenant) & (_days.c.day == day))).first()
    return _charge(found) if found else None


def charges(connection: sa.Connection, tenant: str) -> Sequence[Charge]:
    """Every day of the tenant that was ever charged, in order."""
    rows = connection.execute(sa.select(_days).where(_days.c.tenant == tenant).order_by(_days.c.day))
    return [_charge(row) for row in rows]


def days_without_rows(connection: sa.Connection, tenant: str, last: date) -> Sequence[date]:
    """Days from the tenant's first charged one up to `last` that no row ever came for and that are not charged."""
    charged = {c.day for c in charges(connection, tenant)}
    if not charged:
        return []
    known = set(connection.scalars(sa.select(days.c.day).where(days.c.tenant == tenant))) | charged
    first = min(charged)
    span = (first + timedelta(n) for n in range((last - first).days + 1))
    return [day for day in span if day not in known]


def noisy_cells(connection: sa.Connection, tenant: str, first: date, last: date) -> Sequence[NoisyCell]:
    query = (
        sa.select(_cells.c.day, _cells.c.measure, _cells.c.value, _cells.c.sigma)
        .where((_cells.c.tenant == tenant) & _cells.c.day.between(first, last))
        .order_by(_cells.c.day, _cells.c.measure)
    )
    return [NoisyCell(*row) for row in connection.execute(query)]


def _charge(row: sa.Row[tuple[object, ...]]) -> Charge:
    values = dict(row._mapping)
    return Charge(**{**values, "rho": Fraction(values["rho"]), "delta": Fraction(values["delta"])})
