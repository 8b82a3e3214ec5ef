"""An empty statistics store gets its published cells back from the records: after a restore, a lost disk, a move to
another store."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from services.runtime.clickhouse import Analytics, sql
from services.runtime.clock import Clock
from services.runtime.database import Lease
from services.runtime.logs import get_logger
from services.stats.closing.close_periods import publish_periods
from services.stats.days.states import CLOSED, DROPPED, PUBLISHED, Days, TenantDay
from services.stats.figures.cells import kept_cells, publish_cells
from services.stats.store import SQL

__all__ = ["refill"]

PAIRS_AT_ONCE = 200  # parameters of a query, and some MB of cells
_LEASE_S = 600  # longer than the filling of a store of many years


def refill(analytics: Analytics, records: sa.Engine, clock: Clock) -> int:
    """Publishes the kept cells of every day whose cells are final, when the store has none at all. Returns of how
    many (tenant, day). Of several processes that start at once, one does it.

    Raises `Fatal` when the store does not give back what was written, `Transient` when the records are away.
    """
    if analytics.frame(sql(SQL, "count_final_cells"))["cells"].item():
        return 0
    pairs = [day.pair for day in Days(records).listed(PUBLISHED, DROPPED, CLOSED)]
    lease = Lease(records, "stats-refill", secrets.token_hex(8), _LEASE_S)
    if not lease.acquire(clock.now()):
        return 0
    try:
        for group in _groups(pairs):
            publish_cells(analytics, group, kept_cells(records, group))
        publish_periods(analytics, records)
    finally:
        lease.release()
    if pairs:
        get_logger().info("published figures were filled in from the records", count=len(pairs))
    return len(pairs)


def _groups(pairs: Sequence[TenantDay]) -> Iterator[Sequence[TenantDay]]:
    for first in range(0, len(pairs), PAIRS_AT_ONCE):
        yield pairs[first : first + PAIRS_AT_ONCE]
