"""Records with stored noisy days, as closing leaves them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from services.runtime.database import open_records, upgrade
from services.stats.records import MIGRATIONS
from services.stats.releases.catalogues import catalogues_of
from services.stats.releases.ledger import Scopes, charge, store
from services.stats.releases.split import declared_split
from services.stats.releases.vectors import add_up, noisy_vectors

FIRST = date(2026, 11, 1)
EPSILON = 0.4829
OWN = Scopes(own=True)
NAMED = ("visitors", "page_views", "visitors_by_referrer_class")


class NoisyCell(NamedTuple):
    tenant: str
    day: date
    measure: str
    key: tuple[str, ...]
    value: int
    sigma: int


def new_records(folder: Path) -> sa.Engine:
    return upgraded(f"sqlite:///{folder}/statistics.db")


def upgraded(url: str) -> sa.Engine:
    engine = open_records(url)
    upgrade(engine, MIGRATIONS)
    return engine


def closed_at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC) + timedelta(days=1)


def charge_day(engine: sa.Engine, tenant: str, day: date, scopes: Scopes = OWN, at: datetime | None = None) -> bool:
    split = declared_split()
    told = {"rho": split.rho_of(NAMED), "delta": split.delta, "scopes": scopes}
    return charge(engine, tenant, day, **told, now=at or closed_at(day))  # type: ignore[arg-type]


def store_day(
    engine: sa.Engine, tenant: str, day: date, noisy: Mapping[str, Sequence[int]], routes: Sequence[str] = ()
) -> None:
    split = declared_split()
    told = {"split": split, "catalogues": catalogues_of(split, routes), "epsilon": EPSILON, "now": closed_at(day)}
    store(engine, tenant, day, noisy, **told)  # type: ignore[arg-type]


def store_days(
    engine: sa.Engine,
    tenant: str,
    days: Iterable[date],
    visitors: int = 500,
    routes: Sequence[str] = (),
    scopes: Scopes = OWN,
) -> None:
    """Totals, referrer classes, and 10, 20, ... visitors of `routes`, which are in order."""
    for day in days:
        assert charge_day(engine, tenant, day, scopes)
        noisy = {
            "visitors": [visitors + day.day],
            "page_views": [visitors * 4 - day.day],
            "visitors_by_referrer_class": [1, 200, 30, -4, 50, 6],
        }
        by_route = {"visitors_by_route": [10 * n for n, _ in enumerate(routes, 1)]} if routes else {}
        store_day(engine, tenant, day, noisy | by_route, routes)


def noisy_cells(connection: sa.Connection, tenant: str, first: date, last: date) -> list[NoisyCell]:
    """Every noisy number of the tenant's days, one by one: sums of one vector each."""
    return [
        NoisyCell(tenant, vector.day, cell.measure, cell.key, cell.value, vector.sigma)
        for vector in noisy_vectors(connection, [tenant], first, last)
        for cell in add_up(connection, [vector])
    ]
