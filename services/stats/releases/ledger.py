"""The ledger of releases: a (tenant, day) is charged once, durably, before its noise is drawn.

1. `charge` commits the row, or says that it is there. 2. The noise is drawn. 3. `store` commits the noisy
cells together with the row's new state. A process that dies between 1 and 3 loses that day's release;
nothing leads back from `charged` to a second draw, so nobody can average noise away by stopping Voile.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

import sqlalchemy as sa

from services.runtime.database import transaction
from services.runtime.errors import Fatal
from services.stats.days.states import TenantDay
from services.stats.records import days, metadata
from services.stats.releases.catalogues import Catalogue
from services.stats.releases.split import Split
from services.stats.releases.vectors import put_vectors

__all__ = [
    "CHARGED",
    "STORED",
    "Charge",
    "Scopes",
    "charge",
    "charged_among",
    "charges",
    "days_without_rows",
    "ever_charged",
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
    # What the tenant had opted in to when the day was drawn: its own releases, and the sums of the platform.
    sa.Column("own", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("platform", sa.Boolean, nullable=False, server_default=sa.false()),
)


class Scopes(NamedTuple):
    """Which releases a tenant opted in to; its noise is drawn for either, once."""

    own: bool = False
    platform: bool = False


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
    own: bool
    platform: bool


def charge(
    records: sa.Engine, tenant: str, day: date, *, rho: Fraction, delta: Fraction, scopes: Scopes, now: datetime
) -> bool:
    """Charges the day; durable when it returns. False when the day was charged before: do not draw."""
    row = {
        **{"state": CHARGED, "rho": str(rho), "delta": str(delta), "charged_at": now.isoformat()},
        **{"own": scopes.own, "platform": scopes.platform},
    }
    try:
        with transaction(records) as connection:
            connection.execute(sa.insert(_days).values(tenant=tenant, day=day, **row))
    except sa.exc.IntegrityError:
        return False
    return True


def store(
    records: sa.Engine,
    tenant: str,
    day: date,
    noisy: Mapping[str, Sequence[int]],
    *,
    split: Split,
    catalogues: Mapping[str, Catalogue],
    epsilon: float,
    now: datetime,
) -> None:
    """The noisy cells and the row's new state in one transaction. Raises `Fatal` on a day not charged or stored."""
    to_store = (_days.c.tenant == tenant) & (_days.c.day == day) & (_days.c.state == CHARGED)
    with transaction(records) as connection:
        changed = connection.execute(
            sa.update(_days).where(to_store).values(state=STORED, stored_at=now.isoformat(), epsilon=epsilon)
        )
        if changed.rowcount != 1:
            raise Fatal(f"The release of {tenant} on {day} is stored already or was never charged; nothing was stored.")
        put_vectors(connection, tenant, day, noisy, split=split, catalogues=catalogues)


def charges(connection: sa.Connection, tenant: str | None = None) -> Sequence[Charge]:
    """Every day of the tenant, or of all, that was ever charged, by day and tenant."""
    query = sa.select(_days).order_by(_days.c.day, _days.c.tenant)
    rows = connection.execute(query if tenant is None else query.where(_days.c.tenant == tenant))
    return [_charge(row) for row in rows]


def charged_among(connection: sa.Connection, pairs: Collection[TenantDay]) -> set[TenantDay]:
    """Which of `pairs` were ever charged."""
    query = sa.select(_days.c.tenant, _days.c.day).where(_days.c.day.in_({pair.day for pair in pairs}))
    return {TenantDay(*row) for row in connection.execute(query)} & set(pairs)


def ever_charged(connection: sa.Connection) -> Sequence[str]:
    """Tenants with a day in the ledger."""
    return list(connection.scalars(sa.select(_days.c.tenant).distinct().order_by(_days.c.tenant)))


def days_without_rows(connection: sa.Connection, tenant: str, last: date) -> Sequence[date]:
    """Days from the tenant's first charged one up to `last` that no row ever came for and that are not charged."""
    charged = set(connection.scalars(sa.select(_days.c.day).where(_days.c.tenant == tenant)))
    if not charged:
        return []
    known = set(connection.scalars(sa.select(days.c.day).where(days.c.tenant == tenant))) | charged
    first = min(charged)
    span = (first + timedelta(n) for n in range((last - first).days + 1))
    return [day for day in span if day not in known]


def _charge(row: sa.Row[tuple[object, ...]]) -> Charge:
    values = dict(row._mapping)
    return Charge(**{**values, "rho": Fraction(values["rho"]), "delta": Fraction(values["delta"])})
