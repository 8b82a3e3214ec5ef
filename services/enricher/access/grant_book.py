"""Grants as they are stored: one person, one purpose, one ticket, for a while. Whether one holds, `grants` decides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, overload

import sqlalchemy as sa

from services.enricher.access import records as access_records
from services.enricher.access.decisions import GrantFacts
from services.runtime.database import transaction

__all__ = ["ID_PATTERN", "NOT_JUSTIFIED", "VERDICTS", "Grant", "GrantBook", "to_ms", "to_time"]

KEPT = timedelta(days=30)  # the audit log keeps what happened; the row is for its holder's list and for the review
ID_PATTERN = re.compile(r"[0-9a-f]{32}")
NOT_JUSTIFIED = "not-justified"
VERDICTS = ("justified", NOT_JUSTIFIED)
_TABLE = access_records.grants


@dataclass(frozen=True, slots=True)
class Grant:
    """`subject` is the directory's random id, `pseudonym` the audit log's. Times have their zone.

    `since` to `until` (None: up to when it is looked at) is what may be seen of the person. `entry` is the position in
    the audit log where the reason stands sealed. `verdict` is what the
    `reviewer` of a broken glass found.
    """

    id: str
    actor: str
    tenant: str
    subject: str
    pseudonym: str
    purpose: str
    ticket: str
    starts: datetime
    ends: datetime
    since: datetime
    until: datetime | None = None
    entry: int | None = None
    ended: datetime | None = None
    ended_by: str = ""
    approver: str = ""
    break_glass: bool = False
    reviewer: str = ""
    reviewed: datetime | None = None
    verdict: str = ""

    def runs(self, now: datetime) -> bool:
        """For display; the policies decide with `facts`."""
        return self.ended is None and self.starts <= now < self.ends

    @property
    def is_revoked(self) -> bool:
        """Somebody else ended it."""
        return self.ended_by not in {"", self.actor}

    def facts(self) -> GrantFacts:
        ended = self.ended is not None
        return GrantFacts(self.actor, self.pseudonym, self.starts, self.ends, ended, self.break_glass)


class GrantBook:
    """Every method is one transaction; raises `Transient` when the records are away."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, grant: Grant) -> None:
        with transaction(self._engine) as connection:
            self.add_with(connection, grant)

    def add_with(self, connection: sa.Connection, grant: Grant) -> None:
        """In the caller's transaction. What ended long ago is forgotten, but for a broken glass nobody reviewed."""
        over = _TABLE.c.ends_ms < to_ms(grant.starts - KEPT)
        settled = sa.not_(_TABLE.c.break_glass) | _TABLE.c.reviewed_ms.is_not(None)
        connection.execute(sa.delete(_TABLE).where(over, settled))
        connection.execute(sa.insert(_TABLE).values(_row(grant)))

    def get(self, grant: str) -> Grant | None:
        if not ID_PATTERN.fullmatch(grant):
            return None
        with transaction(self._engine) as connection:
            row = connection.execute(sa.select(_TABLE).where(_TABLE.c.id == grant)).one_or_none()
        return _grant(row) if row else None

    def held_by(self, actor: str, since: datetime) -> Sequence[Grant]:
        """The actor's grants that ended after `since` or still run, newest first."""
        return self._all(_TABLE.c.actor == actor, _TABLE.c.ends_ms > to_ms(since))

    def running(self, now: datetime) -> Sequence[Grant]:
        """Everybody's, newest first."""
        at = to_ms(now)
        return self._all(_TABLE.c.ended_ms.is_(None), _TABLE.c.starts_ms <= at, _TABLE.c.ends_ms > at)

    def broken(self, since: datetime) -> Sequence[Grant]:
        """Glass that was broken after `since`, or that nobody reviewed yet, newest first."""
        recent = _TABLE.c.starts_ms > to_ms(since)
        return self._all(_TABLE.c.break_glass, _TABLE.c.reviewed_ms.is_(None) | recent)

    def unreviewed(self) -> Sequence[str]:
        """The tenant of each broken glass that nobody reviewed."""
        query = sa.select(_TABLE.c.tenant).where(_TABLE.c.break_glass, _TABLE.c.reviewed_ms.is_(None))
        with transaction(self._engine) as connection:
            return list(connection.execute(query).scalars())

    def unreviewed_of(self, actor: str) -> int:
        """How many broken glasses of this person nobody reviewed."""
        mine = (_TABLE.c.break_glass, _TABLE.c.reviewed_ms.is_(None), _TABLE.c.actor == actor)
        with transaction(self._engine) as connection:
            return connection.execute(sa.select(sa.func.count()).where(*mine)).scalar_one()

    def end(self, grant: str, now: datetime, by: str) -> None:
        self._set(grant, _TABLE.c.ended_ms.is_(None), ended_ms=to_ms(now), ended_by=by)

    def review(self, grant: str, now: datetime, by: str, verdict: str) -> bool:
        """False when somebody was faster."""
        unseen = _TABLE.c.break_glass & _TABLE.c.reviewed_ms.is_(None)
        return self._set(grant, unseen, reviewed_ms=to_ms(now), reviewer=by, verdict=verdict)

    def _set(self, grant: str, where: sa.ColumnElement[bool], **values: object) -> bool:
        with transaction(self._engine) as connection:
            return connection.execute(sa.update(_TABLE).where(_TABLE.c.id == grant, where).values(values)).rowcount == 1

    def _all(self, *where: sa.ColumnElement[bool]) -> Sequence[Grant]:
        with transaction(self._engine) as connection:
            rows = connection.execute(sa.select(_TABLE).where(*where).order_by(_TABLE.c.starts_ms.desc())).all()
        return [_grant(row) for row in rows]


_TEXTS = ("id", "actor", "tenant", "subject", "pseudonym", "purpose", "ticket")
_LATER_TEXTS = ("ended_by", "approver", "reviewer", "verdict")  # NULL until then
_TIMES = ("starts", "ends", "since", "until", "ended", "reviewed")


def _row(grant: Grant) -> dict[str, Any]:
    texts = {name: getattr(grant, name) for name in _TEXTS}
    later = {name: getattr(grant, name) or None for name in _LATER_TEXTS}
    times = {f"{name}_ms": to_ms(at) if (at := getattr(grant, name)) else None for name in _TIMES}
    return {**texts, **later, **times, "break_glass": grant.break_glass, "entry": grant.entry}


def _grant(row: Any) -> Grant:
    texts: dict[str, Any] = {name: getattr(row, name) for name in _TEXTS}
    later: dict[str, Any] = {name: getattr(row, name) or "" for name in _LATER_TEXTS}
    times: dict[str, Any] = {name: to_time(getattr(row, f"{name}_ms")) for name in _TIMES}
    return Grant(**texts, **later, **times, break_glass=row.break_glass, entry=row.entry)


def to_ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


@overload
def to_time(ms: int) -> datetime: ...
@overload
def to_time(ms: None) -> None: ...
def to_time(ms: int | None) -> datetime | None:
    """UTC; None stays None."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
