"""The terms of what the identity plane keeps: linked activity with its three ends, accounts, grants, reasons."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import sqlalchemy as sa

from services.enricher.access.records import grants
from services.enricher.retention.accounts import AccountsKeeper
from services.enricher.retention.activity import LinkedKeeper
from services.enricher.retention.cases import CasesKeeper
from services.enricher.retention.held import held_subjects
from services.enricher.retention.reasons import ReasonsKeeper
from services.enricher.retention.records import isolated_activity
from services.enricher.tenants.registry import Tenant
from services.runtime.clock import Clock
from services.runtime.keys import KeyService
from services.runtime.log.interface import EventLog
from services.runtime.retention.keeping import Keeper
from services.runtime.retention.rows import Dated, RowsKeeper
from services.runtime.retention.terms import Standing
from services.runtime.retention.topics import TopicKeeper

__all__ = ["keepers", "standing_of"]


def keepers(engine: sa.Engine, log: EventLog, keys: KeyService, clock: Clock) -> Sequence[Keeper]:
    """One for each type of data of this plane."""
    columns = (isolated_activity.c.tenant, isolated_activity.c.isolated.label("at"))
    isolated = sa.select(*columns).where(isolated_activity.c.subject.not_in(held_subjects()))
    allowed = sa.select(grants.c.tenant, grants.c.ends_ms.label("at"))
    return (
        TopicKeeper("account-words", "account", log),
        LinkedKeeper(engine),
        RowsKeeper("isolated", engine, isolated, _DAYS, _delete_isolated),
        AccountsKeeper(engine, clock),
        RowsKeeper("grants", engine, allowed, _MS, _delete_grants),
        ReasonsKeeper(keys),
        CasesKeeper(engine, keys),
    )


def standing_of(tenant: Tenant) -> Standing:
    return Standing(tenant.status, tenant.retention, tenant.ends)


_DAYS = Dated(lambda day: datetime(day.year, day.month, day.day, tzinfo=UTC), lambda at: at.date())
_MS = Dated(lambda ms: datetime.fromtimestamp(ms / 1000, UTC), lambda at: int(at.timestamp() * 1000))


def _delete_isolated(connection: sa.Connection, tenants: Sequence[str], before: date) -> None:
    table = isolated_activity
    free = table.c.subject.not_in(held_subjects())
    connection.execute(sa.delete(table).where(table.c.tenant.in_(tenants), table.c.isolated < before, free))


def _delete_grants(connection: sa.Connection, tenants: Sequence[str], before: int) -> None:
    connection.execute(sa.delete(grants).where(grants.c.tenant.in_(tenants), grants.c.ends_ms < before))
