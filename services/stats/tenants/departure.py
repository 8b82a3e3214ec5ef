"""What the statistics plane has of a tenant that leaves: events and keys of its open days, keyed accounts, figures,
noisy figures, counts of its sources.

Nothing more of it is counted by then (`Pipeline`); what was being counted is in the store before anything is deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from services.runtime.clickhouse import Analytics, sql
from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.departures import Departures, TenantStore, naming, without_tenant
from services.runtime.log.interface import EventLog
from services.runtime.retention.terms import GONE
from services.stats.access.records import api_keys, dashboard_sessions
from services.stats.collection.records import counts, sources
from services.stats.days.forgetting import clear_old_parts, delete_events
from services.stats.days.ledgers import end_offsets, reached
from services.stats.days.periods import PeriodKeys, TenantPeriod, named
from services.stats.days.states import Offsets, TenantDay
from services.stats.engine import engine_errors
from services.stats.figures.cells import delete_tenant, kept_of, shown_of
from services.stats.pseudonyms.active import delete_active
from services.stats.pseudonyms.keyring import Keyring
from services.stats.store import SQL
from services.stats.tenants.registry import Tenants

__all__ = ["OF_TENANTS", "Leaving", "StatisticsOf", "records_stores"]

# Tables of the records whose rows name their tenant, in this order: each row goes before the one that it names.
_NAMES = (
    "live_totals",
    "route_proposals",
    "release_vectors",
    "release_days",
    "publications",
    "releases",
    "route_tables",
    "days",
)
OF_TENANTS = tuple(sa.table(name, sa.column("tenant", sa.String)) for name in _NAMES)


@dataclass(frozen=True)
class StatisticsOf:
    """The stores of one tenant. `analytics`: a client of the caller's own."""

    analytics: Analytics
    records: sa.Engine
    keyring: Keyring
    period_keys: PeriodKeys
    clock: Clock

    def stores(self) -> Sequence[TenantStore]:
        """Keys first: whatever happens then, no pseudonym can be computed again."""
        return [
            TenantStore("day keys", lambda t: len(self.keyring.days(t)), self._destroy_day_keys),
            TenantStore("period keys", lambda t: len(list(self.period_keys.open(t))), self._destroy_period_keys),
            TenantStore("events", self._events, self._delete_events),
            TenantStore("active_accounts", self._active, self._delete_active),
            TenantStore("cells", lambda t: shown_of(self.analytics, t), self._delete_cells),
            TenantStore("kept cells", lambda t: kept_of(self.records, t), self._delete_cells),
            *records_stores(self.records),
        ]

    def _destroy_day_keys(self, tenant: str) -> None:
        for day in self.keyring.days(tenant):
            self.keyring.destroy(tenant, day)

    def _destroy_period_keys(self, tenant: str) -> None:
        for of in list(self.period_keys.open(tenant)):
            self.period_keys.destroy(of)

    @engine_errors()
    def _events(self, tenant: str) -> int:
        found = self.analytics.frame(sql(SQL, "event_days"))
        return int(found.filter(found["tenant_name"] == tenant)["rows"].sum())

    @engine_errors()
    def _delete_events(self, tenant: str) -> None:
        found = self.analytics.frame(sql(SQL, "event_days"))
        pairs = [TenantDay(of, day) for of, day, _ in found.iter_rows() if of == tenant]
        if pairs:
            delete_events(self.analytics, pairs)
            clear_old_parts(self.analytics, self.clock)

    @engine_errors()
    def _active(self, tenant: str) -> int:
        found = self.analytics.frame(sql(SQL, "held_active"))
        return int(found.filter(found["tenant_name"] == tenant)["rows"].sum())

    @engine_errors()
    def _delete_active(self, tenant: str) -> None:
        found = self.analytics.frame(sql(SQL, "held_active"))
        for of, period, _ in found.iter_rows():
            if of == tenant:
                delete_active(self.analytics, self.clock, TenantPeriod(tenant, named(period)))

    @engine_errors()
    def _delete_cells(self, tenant: str) -> None:
        delete_tenant(self.analytics, self.records, tenant)


def records_stores(records: sa.Engine) -> Sequence[TenantStore]:
    """Those that need no more than the records."""
    return [
        *(_table(records, table) for table in OF_TENANTS),
        _counts(records),
        _table(records, sources),
        _named_in(records, "api_keys", api_keys, api_keys.c.id),
        _named_in(records, "users", dashboard_sessions.users, dashboard_sessions.users.c.name),
    ]


class Leaving:
    """Tenants on their way out. Use from one thread."""

    def __init__(self, departures: Departures, tenants: Tenants, log: EventLog, analytics: Analytics) -> None:
        self._departures, self._tenants = departures, tenants
        self._log, self._analytics = log, analytics
        self._ends: dict[str, Offsets] = {}

    @engine_errors()
    def step(self) -> None:
        """Deletes everything of who has left, once what was read of them before is counted: a worker follows the
        registry before each batch, so it takes nothing of theirs later. Raises `Transient`."""
        for tenant in (tenant.id for tenant in self._tenants.all() if tenant.status in GONE):
            if self._is_counted(tenant):
                self._departures.carry_out(tenant)

    def _is_counted(self, tenant: str) -> bool:
        ends = self._ends.setdefault(tenant, end_offsets(self._log))
        there = reached(self._analytics) if ends else {}
        return all(there.get(key, 0) >= end for key, end in ends.items())


def _table(records: sa.Engine, table: sa.TableClause) -> TenantStore:
    return _rows(records, table.name, table, lambda tenant: table.c.tenant == tenant)


def _counts(records: sa.Engine) -> TenantStore:
    def mine(tenant: str) -> sa.ColumnElement[bool]:
        return counts.c.source.in_(sa.select(sources.c.source).where(sources.c.tenant == tenant))

    return _rows(records, counts.name, counts, mine)


def _rows(
    records: sa.Engine, name: str, table: sa.TableClause, of: Callable[[str], sa.ColumnElement[bool]]
) -> TenantStore:
    def count(tenant: str) -> int:
        with transaction(records) as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(table).where(of(tenant))).scalar_one()

    def delete(tenant: str) -> None:
        with transaction(records) as connection:
            connection.execute(table.delete().where(of(tenant)))

    return TenantStore(name, count, delete)


def _named_in(records: sa.Engine, name: str, table: sa.Table, key: sa.Column[Any]) -> TenantStore:
    """People and programs that may see this tenant: they lose it, and go when they have no other."""

    def count(tenant: str) -> int:
        with transaction(records) as connection:
            return naming(connection, table, tenant)

    def delete(tenant: str) -> None:
        with transaction(records) as connection:
            without_tenant(connection, table, key, tenant)

    return TenantStore(name, count, delete)
