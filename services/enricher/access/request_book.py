"""Requests for access that wait for a second person, as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from services.enricher.access import records as access_records
from services.enricher.access.grant_book import ID_PATTERN, to_ms, to_time
from services.runtime.database import transaction

__all__ = ["APPROVED", "REFUSED", "STARTED", "TERM", "WAITING", "WITHDRAWN", "AccessRequest", "RequestBook"]

TERM = timedelta(hours=24)  # a request that nobody answered, or took up, within a day is over
KEPT = timedelta(days=30)  # the audit log keeps what happened; the row is for the lists of who asked and who answers
WAITING, APPROVED, REFUSED, WITHDRAWN, STARTED = "waiting", "approved", "refused", "withdrawn", "started"
_TABLE = access_records.access_requests


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """`asked_entry` and `answer_entry` are positions in the audit log, where the reasons stand sealed."""

    id: str
    actor: str
    tenant: str
    subject: str
    pseudonym: str
    purpose: str
    ticket: str
    minutes: int
    days: int
    until: datetime | None
    asked: datetime
    expires: datetime
    asked_entry: int
    state: str = WAITING
    approver: str = ""
    answer_entry: int | None = None

    def is_open(self, now: datetime) -> bool:
        """Waits for an answer, or to be taken up."""
        return self.state in {WAITING, APPROVED} and now < self.expires


class RequestBook:
    """Every method is one transaction, but for `move_with`; raises `Transient` when the records are away."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def add(self, request: AccessRequest) -> None:
        with transaction(self.engine) as connection:
            connection.execute(sa.delete(_TABLE).where(_TABLE.c.expires_ms < to_ms(request.asked - KEPT)))
            connection.execute(sa.insert(_TABLE).values(_row(request)))

    def get(self, request: str) -> AccessRequest | None:
        found = self._all(_TABLE.c.id == request) if ID_PATTERN.fullmatch(request) else []
        return found[0] if found else None

    def asked_by(self, actor: str, since: datetime) -> Sequence[AccessRequest]:
        """Newest first."""
        return self._all(_TABLE.c.actor == actor, _TABLE.c.asked_ms > to_ms(since))

    def waiting(self, now: datetime) -> Sequence[AccessRequest]:
        """Everybody's, newest first."""
        return self._all(_TABLE.c.state == WAITING, _TABLE.c.expires_ms > to_ms(now))

    def move(self, request: str, state: str, to: str, now: datetime, **values: object) -> bool:
        with transaction(self.engine) as connection:
            return self.move_with(connection, request, state, to, now, **values)

    def move_with(
        self, connection: sa.Connection, request: str, state: str, to: str, now: datetime, **values: object
    ) -> bool:
        """From `state` to `to`; False when it is over or somebody was faster."""
        at = (_TABLE.c.id == request, _TABLE.c.state == state, _TABLE.c.expires_ms > to_ms(now))
        return connection.execute(sa.update(_TABLE).where(*at).values(state=to, **values)).rowcount == 1

    def _all(self, *where: sa.ColumnElement[bool]) -> Sequence[AccessRequest]:
        with transaction(self.engine) as connection:
            rows = connection.execute(sa.select(_TABLE).where(*where).order_by(_TABLE.c.asked_ms.desc())).all()
        return [_request(row) for row in rows]


_PLAIN = (
    "id", "actor", "tenant", "subject", "pseudonym", "purpose", "ticket", "minutes", "days", "asked_entry", "state",
    "answer_entry",
)  # fmt: skip
_TIMES = ("until", "asked", "expires")


def _row(request: AccessRequest) -> dict[str, Any]:
    plain = {name: getattr(request, name) for name in _PLAIN}
    times = {f"{name}_ms": to_ms(at) if (at := getattr(request, name)) else None for name in _TIMES}
    return {**plain, **times, "approver": request.approver or None}


def _request(row: Any) -> AccessRequest:
    plain = {name: getattr(row, name) for name in _PLAIN}
    times: dict[str, Any] = {name: to_time(getattr(row, f"{name}_ms")) for name in _TIMES}
    return AccessRequest(**plain, **times, approver=row.approver or "")
