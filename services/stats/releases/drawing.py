"""A closing day's one draw: bound, charge, draw, store. The order is the privacy design."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from services.runtime.clickhouse import Analytics
from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.stats.releases.bounding import bounded_sums
from services.stats.releases.ledger import STORED, charge, charge_of, days_without_rows, store
from services.stats.releases.noise import discrete_gaussian
from services.stats.releases.split import Split, declared_split

__all__ = ["AlreadyCharged", "Drawn", "bound_and_draw", "draw_releases"]


@dataclass(frozen=True)
class Drawn:
    """The day's noise was drawn now and its noisy cells are stored."""

    cells: int


@dataclass(frozen=True)
class AlreadyCharged:
    """Nothing was drawn. `stored` False: a process ended between charge and store, the day's release is lost."""

    stored: bool


def bound_and_draw(
    analytics: Analytics, records: sa.Engine, tenant: str, day: date, clock: Clock, *, split: Split | None = None
) -> Drawn | AlreadyCharged:
    """Draws the noise of one (tenant, day), once for all time; call it again after a crash as you like.

    The caller has removed the rows of objectors, holds the closing lease and drops the events afterwards.

    1. Sum the bounded contributions and prove the bounds; nothing is charged when that fails.
    2. Charge the day, durably.
    3. Draw.
    4. Store the noisy values, and only those.
    """
    split = split or declared_split()
    if (earlier := _earlier(records, tenant, day)) is not None:
        return earlier
    noise = discrete_gaussian(split)
    sums = bounded_sums(analytics, split, tenant, day)  # 1
    if not charge(records, tenant, day, split, clock.now()):  # 2
        return _earlier(records, tenant, day) or AlreadyCharged(stored=False)
    noisy = noise.draw(sums)  # 3
    store(records, tenant, day, noisy, split=split, epsilon=noise.epsilon, now=clock.now())  # 4
    return Drawn(cells=len(noisy))


def draw_releases(
    analytics: Analytics,
    records: sa.Engine,
    opted_in: Callable[[str], bool],
    clock: Clock,
    closing: Iterable[tuple[str, date]],
) -> None:
    """Step 4 of closing: the draw of every closing (tenant, day) whose tenant opted in. Bears being called again.

    Days without a single row get their noise too, from the tenant's first drawn day on: if only days with
    rows had a value, having one would tell that somebody was there.
    """
    by_tenant: dict[str, set[date]] = {}
    for tenant, day in closing:
        if opted_in(tenant):
            by_tenant.setdefault(tenant, set()).add(day)
    for tenant, days in by_tenant.items():
        for day in sorted(days):
            bound_and_draw(analytics, records, tenant, day, clock)
        with transaction(records) as connection:
            silent = days_without_rows(connection, tenant, max(days))
        for day in silent:
            bound_and_draw(analytics, records, tenant, day, clock)


def _earlier(records: sa.Engine, tenant: str, day: date) -> AlreadyCharged | None:
    with transaction(records) as connection:
        found = charge_of(connection, tenant, day)
    return AlreadyCharged(stored=found.state == STORED) if found else None
