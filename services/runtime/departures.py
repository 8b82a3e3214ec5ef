"""A tenant leaves: everything that one plane has of it goes, with counts before and after in every store.

1. count what there is, and keep the counts; 2. delete, store by store; 3. count again; 4. keep that; 5. tell the
identity plane on `privacy-receipt.v1`. Each may be done again: a process that was killed anywhere goes on from there,
and the counts of the beginning stay those of the beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.errors import Transient
from services.runtime.log.interface import EventLog
from services.runtime.logs import get_logger
from services.runtime.receipts import COMPLETED, Receipt, receipt_message

__all__ = [
    "FINISHED",
    "Departures",
    "Left",
    "TenantStore",
    "case_of",
    "delete_store",
    "departure_table",
    "naming",
    "without_tenant",
]

FINISHED = ""  # the store of the receipt that comes last: every other one was told before


@dataclass(frozen=True, slots=True)
class TenantStore:
    """One place where a plane keeps something of a tenant. `delete` returns when it is gone, and may run again."""

    name: str
    count: Callable[[str], int]
    delete: Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Left:
    """What one store had of the tenant, and has now."""

    store: str
    before: int
    after: int


def case_of(tenant: str) -> str:
    """Under which receipts speak of it. An id is given once: who has left keeps it."""
    return f"tenant/{tenant}"


def departure_table(metadata: sa.MetaData) -> sa.Table:
    """For a plane's own records. `after` and `done_ms`: none until the tenant's rows were counted again."""
    return sa.Table(
        "departures",
        metadata,
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("store", sa.String, primary_key=True),
        sa.Column("before", sa.BigInteger, nullable=False),
        sa.Column("after", sa.BigInteger),
        sa.Column("done_ms", sa.BigInteger),
        sa.Column("told_ms", sa.BigInteger),
    )


@dataclass(frozen=True)
class Departures:
    """Of one plane. Use under a lease, or from one process: two would do the same twice. Without `log` nobody is told:
    the identity plane asks its own."""

    plane: str
    stores: Sequence[TenantStore]
    engine: sa.Engine
    table: sa.Table
    log: EventLog | None
    clock: Clock
    begin: Callable[[sa.Connection], None] = field(default=lambda _: None)
    """Called first in the transaction of step 1: what must be over before anything is deleted."""

    def carry_out(self, tenant: str) -> Sequence[Left]:
        """Does nothing for a tenant that is done here. Raises `Transient`: call again."""
        if not self._told(tenant):
            if not self._is_done(tenant):
                self._note_before(tenant)
                for store in self.stores:
                    delete_store(store, tenant)
                self._note_after(tenant)
            self._tell(tenant)
        return self.counted(tenant)

    def counted(self, tenant: str) -> Sequence[Left]:
        with transaction(self.engine) as connection:
            rows = connection.execute(sa.select(self.table).where(self.table.c.tenant == tenant)).all()
        order = {store.name: number for number, store in enumerate(self.stores)}
        lefts = [Left(row.store, row.before, row.after) for row in rows if row.after is not None]
        return sorted(lefts, key=lambda left: order.get(left.store, len(order)))

    def _note_before(self, tenant: str) -> None:
        """The first counts stay: what a process that died had deleted already was there before."""
        with transaction(self.engine) as connection:
            self.begin(connection)
            known = set(connection.execute(sa.select(self.table.c.store).where(self._of(tenant))).scalars())
        rows = [
            {"tenant": tenant, "store": s.name, "before": s.count(tenant)} for s in self.stores if s.name not in known
        ]
        if rows:
            with transaction(self.engine) as connection:
                connection.execute(sa.insert(self.table), rows)

    def _note_after(self, tenant: str) -> None:
        after = {store.name: store.count(tenant) for store in self.stores}
        if left := sorted(name for name, rows in after.items() if rows):
            raise Transient(f"Rows of a tenant that leaves are still in {', '.join(left)}; they are deleted again.")
        with transaction(self.engine) as connection:
            done = {"after": 0, "done_ms": _ms(self.clock.now())}
            connection.execute(sa.update(self.table).where(self._of(tenant)).values(done))

    def _tell(self, tenant: str) -> None:
        counted = self.counted(tenant)
        whole = Left(FINISHED, sum(left.before for left in counted), 0)
        if self.log is not None:
            self.log.send([receipt_message(self._receipt(tenant, left)) for left in counted])
            self.log.send([receipt_message(self._receipt(tenant, whole))])
        with transaction(self.engine) as connection:
            told = {"told_ms": _ms(self.clock.now())}
            connection.execute(sa.update(self.table).where(self._of(tenant)).values(told))
        get_logger().info("a tenant has left", tenant=tenant, rows=whole.before)

    def _receipt(self, tenant: str, left: Left) -> Receipt:
        now = self.clock.now()
        return Receipt(case_of(tenant), self.plane, COMPLETED, now, left.store, left.before, left.after)

    def _told(self, tenant: str) -> bool:
        return self._all(tenant, self.table.c.told_ms)

    def _is_done(self, tenant: str) -> bool:
        return self._all(tenant, self.table.c.done_ms)

    def _all(self, tenant: str, column: sa.Column[Any]) -> bool:
        """Whether every store has it: a store that a newer version added has not."""
        has = sa.select(self.table.c.store).where(self._of(tenant), column.is_not(None))
        with transaction(self.engine) as connection:
            return {store.name for store in self.stores} <= set(connection.execute(has).scalars())

    def _of(self, tenant: str) -> sa.ColumnElement[bool]:
        return self.table.c.tenant == tenant


def delete_store(store: TenantStore, tenant: str) -> None:
    """Step 2, of one store."""
    store.delete(tenant)


def without_tenant(connection: sa.Connection, table: sa.Table, key: sa.Column[Any], tenant: str) -> None:
    """Rows of `table` whose column `tenants` (a JSON list) names the tenant lose it; those that name nobody else go."""
    rows: Iterable[Any] = connection.execute(sa.select(key, table.c.tenants)).all()
    for name, tenants in rows:
        if tenant in tenants:
            others = [other for other in tenants if other != tenant]
            at = key == name
            change = sa.update(table).where(at).values(tenants=others) if others else sa.delete(table).where(at)
            connection.execute(change)


def naming(connection: sa.Connection, table: sa.Table, tenant: str) -> int:
    """How many rows' `tenants` name it."""
    return sum(tenant in tenants for (tenants,) in connection.execute(sa.select(table.c.tenants)))


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
