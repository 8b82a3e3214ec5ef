"""Grants as they are stored: one person, one purpose, one ticket, for a while. Whether one holds, `grants` decides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from services.enricher import access_records
from services.enricher.decisions import GrantFacts
from services.runtime.database import transaction

__all__ = ["Grant", "GrantBook"]

KEPT = timedelta(days=30)  # the audit log keeps what happened; the row is only for its holder's list
ID_PATTERN = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Grant:
    """`subject` is the directory's random id, `pseudonym` the audit log's. Times have their zone."""

    id: str
    actor: str
    tenant: str
    subject: str
    pseudonym: str
    purpose: str
    ticket: str
    starts: datetime
    ends: datetime
    ended: datetime | None = None

    def runs(self, now: datetime) -> bool:
        """For display; the policies decide with `facts`."""
        return self.ended is None and self.starts <= now < self.ends

    def facts(self) -> GrantFacts:
        return GrantFacts(self.actor, self.pseudonym, self.starts, self.ends, self.ended is not None)


class GrantBook:
    """Every method is one transaction; raises `Transient` when the records are away."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, grant: Grant) -> None:
        table = access_records.grants
        with transaction(self._engine) as connection:
            connection.execute(sa.delete(table).where(table.c.ends_ms < _ms(grant.starts - KEPT)))
            connection.execute(sa.insert(table).values(_row(grant)))

    def get(self, grant: str) -> Grant | None:
        if not ID_PATTERN.fullmatch(grant):
            return None
        with transaction(self._engine) as connection:
            table = access_records.grants
            row = connection.execute(sa.select(table).where(table.c.id == grant)).one_or_none()
        return _grant(row) if row else None

    def held_by(self, actor: str, since: datetime) -> Sequence[Grant]:
        """The actor's grants that ended after `since` or still run, newest first."""
        table = access_records.grants
        at = (table.c.actor == actor, table.c.ends_ms > _ms(since))
        with transaction(self._engine) as connection:
            rows = connection.execute(sa.select(table).where(*at).order_by(table.c.starts_ms.desc())).all()
        return [_grant(row) for row in rows]

    def end(self, grant: str, now: datetime) -> None:
        table = access_records.grants
        at = (table.c.id == grant, table.c.ended_ms.is_(None))
        with transaction(self._engine) as connection:
            connection.execute(sa.update(table).where(*at).values(ended_ms=_ms(now)))


def _row(grant: Grant) -> dict[str, Any]:
    return {
        "id": grant.id,
        "actor": grant.actor,
        "tenant": grant.tenant,
        "subject": grant.subject,
        "pseudonym": grant.pseudonym,
        "purpose": grant.purpose,
        "ticket": grant.ticket,
        "starts_ms": _ms(grant.starts),
        "ends_ms": _ms(grant.ends),
    }


def _grant(row: Any) -> Grant:
    texts = (row.id, row.actor, row.tenant, row.subject, row.pseudonym, row.purpose, row.ticket)
    ended = None if row.ended_ms is None else _time(row.ended_ms)
    return Grant(*texts, _time(row.starts_ms), _time(row.ends_ms), ended)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
