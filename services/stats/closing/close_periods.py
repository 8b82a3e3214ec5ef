"""Closing a week or a month: one figure out, the keyed accounts gone. Idempotent, and resumable when killed anywhere.

For each (tenant, period) that is over, whose days are all closed:

1. count the accounts, by the disclosure rule, and keep the figure in the records;
2. publish it;
3. delete the accounts, and wait until they have left the disk;
4. destroy the period's key: a period that has none is done.

After 1 the period takes part no more, and no key is made for it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import polars as pl
import sqlalchemy as sa

from services.runtime.clickhouse import Analytics
from services.runtime.clock import Clock
from services.runtime.database import Lease
from services.runtime.errors import Transient
from services.stats.days.periods import PeriodKeys, TenantPeriod, over
from services.stats.days.states import CLOSING, DROPPED, OPEN, PUBLISHED, Days, TenantDay
from services.stats.engine import engine_errors
from services.stats.figures.cells import is_kept, keep_period, kept_period, kept_periods, publish_period
from services.stats.figures.cubes import PERIOD_CUBES
from services.stats.figures.disclosure import publish_sums
from services.stats.pseudonyms.active import count_active, delete_active
from services.stats.pseudonyms.digests import account_pseudonyms

__all__ = ["STEPS", "PeriodCloser", "close_due_periods", "is_closed", "publish_periods"]

LEASE_S = 300  # far longer than the longest step: one figure of one tenant
_LEASE = "stats-periods"


@dataclass(frozen=True)
class PeriodCloser:
    """All that closing a period needs. `objectors`: a tenant's accounts with an objection in force."""

    analytics: Analytics
    records: sa.Engine
    keys: PeriodKeys
    objectors: Callable[[str], Sequence[str]]
    clock: Clock
    holder: str = "stats"


def count_accounts(closer: PeriodCloser, of: TenantPeriod) -> None:
    """1. Objections are honoured once more: one may have come when its worker was down."""
    if is_closed(closer.records, of):
        return
    key = closer.keys.existing(of)
    assert key is not None, "the key is destroyed last"
    objected = account_pseudonyms(key, of.tenant, closer.objectors(of.tenant)).tolist()
    if objected:
        delete_active(closer.analytics, closer.clock, of, objected)
    sums, cube = _sums(of, count_active(closer.analytics, of)), PERIOD_CUBES[of.period.kind]
    keep_period(closer.records, of, publish_sums(sums, _nobody, cube, {(of.tenant, of.period.first): key}))


def publish(closer: PeriodCloser, of: TenantPeriod) -> None:
    """2. From the records into the statistics store."""
    publish_period(closer.analytics, of, kept_period(closer.records, of))


def delete_accounts(closer: PeriodCloser, of: TenantPeriod) -> None:
    """3."""
    delete_active(closer.analytics, closer.clock, of)


def destroy_key(closer: PeriodCloser, of: TenantPeriod) -> None:
    """4."""
    closer.keys.destroy(of)


Step = Callable[[PeriodCloser, TenantPeriod], None]
STEPS: Sequence[Step] = (count_accounts, publish, delete_accounts, destroy_key)


@engine_errors()
def close_due_periods(closer: PeriodCloser, zone: ZoneInfo, steps: Sequence[Step] = STEPS) -> list[TenantPeriod]:
    """Closes what is over and has no open day left. Returns what it closed. Raises `Transient` when another closer is
    at work."""
    due = [of for of in closer.keys.open() if over(of.period, closer.clock.now(), zone)]
    waiting = _with_open_days(closer.records) if due else []
    ready = [of for of in due if not any(t == of.tenant and d in of.period for t, d in waiting)]
    if not ready:
        return []
    lease = Lease(closer.records, _LEASE, closer.holder, LEASE_S)
    try:
        for of in ready:
            if not lease.acquire(closer.clock.now()):
                raise Transient("Another process is closing weeks and months.", retry_after_s=60)
            for step in steps:
                step(closer, of)
    finally:
        lease.release()
    return ready


def publish_periods(analytics: Analytics, records: sa.Engine) -> int:
    """Every figure in the records into a store that lost its own. Returns how many there are."""
    published = 0
    for of, cells in kept_periods(records):
        publish_period(analytics, of, cells)
        published += 1
    return published


def is_closed(records: sa.Engine, of: TenantPeriod) -> bool:
    """Whether the period's accounts were counted: nobody is noted in it any more."""
    return is_kept(records, of)


def _with_open_days(records: sa.Engine) -> list[TenantDay]:
    return [day.pair for day in Days(records).listed(OPEN, CLOSING, PUBLISHED, DROPPED)]


def _sums(of: TenantPeriod, accounts: int) -> pl.DataFrame:
    """One exact cell: its people are accounts, so there are as many accounts as people. Networks are not known."""
    cell = {"tenant": of.tenant, "day": of.period.first, "dim1": "", "dim2": "", "people": accounts, "networks": 0}
    return pl.DataFrame([{**cell, "accounts": accounts}])


def _nobody(cells: pl.DataFrame) -> pl.DataFrame:
    """A total has no rows that merge, so nobody is asked for."""
    raise AssertionError(f"{cells.height} cells of a total")
