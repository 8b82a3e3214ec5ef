"""The record of what was done for partners: publish, withdraw, partners, keys, terms. Rows are only added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from services.runtime.database import transaction
from services.stats.delivery.records import acts as table

__all__ = ["SHOWN_MAX", "Act", "Done", "listed", "note"]

SHOWN_MAX = 200  # of a page or command: the newest


class Act(StrEnum):
    """What can be done."""

    PUBLISH = "publish"
    WITHDRAW = "withdraw"
    PARTNER_ADDED = "partner added"
    PARTNER_CHANGED = "partner changed"
    PARTNER_REMOVED = "partner removed"
    MEMBER_ADDED = "member added"
    MEMBER_REMOVED = "member removed"
    KEY_MADE = "key made"
    KEY_REVOKED = "key revoked"
    TERMS_SET = "terms set"
    TERMS_ACCEPTED = "terms accepted"
    HOOK_ADDED = "webhook added"
    HOOK_REMOVED = "webhook removed"


@dataclass(frozen=True, slots=True)
class Done:
    """`who`: somebody signed in, or `os:NAME` at the command line. `about`: a partner, a release with its version."""

    at: datetime
    who: str
    act: str
    about: str
    reason: str


def note(connection: sa.Connection, now: datetime, who: str, act: Act, about: str, *, reason: str = "") -> None:
    """Inside the transaction that does it: neither is there without the other."""
    row = {"at": int(now.timestamp()), "who": who, "act": act.value, "about": about, "reason": reason}
    connection.execute(sa.insert(table).values(row))


def listed(records: sa.Engine, limit: int = SHOWN_MAX) -> Sequence[Done]:
    """The newest first."""
    query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
    with transaction(records) as connection:
        return [_done(row) for row in connection.execute(query)]


def _done(row: sa.Row[Any]) -> Done:
    return Done(datetime.fromtimestamp(row.at, UTC), row.who, row.act, row.about, row.reason)
