"""The route table of a tenant as it stood before a day: the routes that its releases may name.

The registry says what a tenant's table is, not what it was. So each table is noted with the time of its change, and
what was accepted of Voile's proposals holds from the day after (proposals.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.stats.closing.proposals import AcceptedRoutes
from services.stats.days.states import TenantDay
from services.stats.records import days, metadata
from services.stats.releases.catalogues import route_names
from services.stats.tenants.registry import Tenant

__all__ = ["RouteTables", "route_tables"]

route_tables = sa.Table(
    "route_tables",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("since", sa.String, primary_key=True),  # UTC, ISO 8601: when the registry took it
    sa.Column("routes", sa.Text, nullable=False),  # JSON list of templates
)


class RouteTables:
    """Every call is one transaction or two; a store that is away is `Transient`."""

    def __init__(self, records: sa.Engine, clock: Clock, zone: ZoneInfo) -> None:
        self._records, self._clock, self._zone = records, clock, zone

    def note(self, tenants: Iterable[Tenant]) -> None:
        """Writes the tables that differ from what was noted last. Doing it again changes nothing."""
        with transaction(self._records) as connection:
            last = _newest(connection)
            rows = [
                {"tenant": tenant.id, "since": tenant.updated_at.isoformat(), "routes": json.dumps(tenant.routes)}
                for tenant in tenants
                if tenant.updated_at is not None and last.get(tenant.id, ()) != tenant.routes
            ]
            if rows:
                insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(route_tables)
                newest = insert.on_conflict_do_update(
                    index_elements=["tenant", "since"], set_={"routes": insert.excluded.routes}
                )
                connection.execute(newest, rows)

    def before(self, pairs: Iterable[TenantDay]) -> dict[TenantDay, tuple[str, ...]]:
        """Day -> routes as the pipeline writes them, of the table that stood before the day."""
        accepted = AcceptedRoutes(self._records, self._clock)
        accepted.follow()
        with transaction(self._records) as connection:
            return {
                pair: route_names([*self._own(connection, pair), *accepted.on(pair.tenant, pair.day)]) for pair in pairs
            }

    def _own(self, connection: sa.Connection, pair: TenantDay) -> tuple[str, ...]:
        stood = route_tables.c.since < self._began(connection, pair).isoformat()
        newest = (
            sa.select(route_tables.c.routes)
            .where((route_tables.c.tenant == pair.tenant) & stood)
            .order_by(route_tables.c.since.desc())
            .limit(1)
        )
        found = connection.execute(newest).scalar()
        return tuple(json.loads(found)) if found else ()

    def _began(self, connection: sa.Connection, pair: TenantDay) -> datetime:
        """When the day began for Voile, UTC: at midnight; with its first row when an import brought it afterwards."""
        start, end = (_midnight(pair.day + timedelta(days=n), self._zone) for n in (0, 1))
        this = (days.c.tenant == pair.tenant) & (days.c.day == pair.day)
        first = connection.execute(sa.select(days.c.first_row_at).where(this)).scalar()
        came = datetime.fromisoformat(first) if first else start
        return came if came > end else start


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(0), zone).astimezone(ZoneInfo("UTC"))


def _newest(connection: sa.Connection) -> dict[str, tuple[str, ...]]:
    rows = connection.execute(sa.select(route_tables).order_by(route_tables.c.since))
    return {row.tenant: tuple(json.loads(row.routes)) for row in rows}
