"""What the identity plane has of a tenant that leaves.

Cases and the audit log stay for terms of their own: they are the proof of what was done, and name nobody in clear.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import sqlalchemy as sa

from services.enricher import records
from services.enricher.access.records import access_requests, api_keys, console_sessions, grants
from services.enricher.persons.directory import index_key
from services.enricher.persons.tables import OF_PERSONS, count_destroyed
from services.enricher.persons.vault import scrub
from services.enricher.retention.records import activity_counts
from services.enricher.rights.signals import Signals
from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.departures import TenantStore, naming, without_tenant
from services.runtime.keys import KeyService

__all__ = ["KEPT", "OF_TENANTS", "tenant_stores"]

# Rows that name the tenant themselves; `subjects` goes last, the others of a person are found by it.
OF_TENANTS: Mapping[str, sa.Table] = {
    "activity_counts": activity_counts,
    "grants": grants,
    "access_requests": access_requests,
    "api_keys": api_keys,
}
KEPT = {
    "cases": "evidence of requests, under pseudonyms",
    "case_files": "the same",
    "holds": "why something was kept, under pseudonyms; none stands when a tenant leaves",
    "departures": "this very bookkeeping",
    "tenant_certificates": "the proof",
}


def tenant_stores(engine: sa.Engine, keys: KeyService, signals: Signals, clock: Clock) -> Sequence[TenantStore]:
    """The keys of persons first: whatever happens then, the rest is unreadable."""
    persons = [_table(engine, name, table, lambda: scrub(engine, clock)) for name, table in OF_PERSONS.items()]
    others = [_table(engine, name, table) for name, table in OF_TENANTS.items()]
    return [*persons, *others, _people(engine), _index(keys), _signals(signals)]


def _table(engine: sa.Engine, name: str, table: sa.Table, after: Callable[[], None] = lambda: None) -> TenantStore:
    def count(tenant: str) -> int:
        with transaction(engine) as connection:
            return connection.execute(
                sa.select(sa.func.count()).select_from(table).where(_of(table, tenant))
            ).scalar_one()

    def delete(tenant: str) -> None:
        with transaction(engine) as connection:
            gone = connection.execute(sa.delete(table).where(_of(table, tenant))).rowcount
            count_destroyed(connection, gone if table is records.person_keys else 0)
        after()

    return TenantStore(name, count, delete)


def _of(table: sa.Table, tenant: str) -> sa.ColumnElement[bool]:
    if "tenant" in table.c:
        return table.c.tenant == tenant
    mine = sa.select(records.subjects.c.subject).where(records.subjects.c.tenant == tenant)
    return table.c.subject.in_(mine)


def _people(engine: sa.Engine) -> TenantStore:
    """Who may sign in for this tenant: they lose it, and go when they have no other."""
    users = console_sessions.users

    def count(tenant: str) -> int:
        with transaction(engine) as connection:
            return naming(connection, users, tenant)

    def delete(tenant: str) -> None:
        with transaction(engine) as connection:
            without_tenant(connection, users, users.c.name, tenant)

    return TenantStore("users", count, delete)


def _index(keys: KeyService) -> TenantStore:
    """Without it nobody can tell whether a value was ever among those looked up."""
    return TenantStore(
        "index key",
        lambda tenant: int(keys.get(index_key(tenant)) is not None),
        lambda tenant: keys.destroy(index_key(tenant)),
    )


def _signals(signals: Signals) -> TenantStore:
    """Account ids in objections, restrictions and erasures: nothing of the tenant can come back that they would keep
    out. The topic is compacted within a day; see what the certificate says ends later."""
    return TenantStore("privacy-signal.v1", signals.count_of, signals.withdraw_all)
