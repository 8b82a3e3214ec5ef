"""Where the identity plane stands."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from services.enricher import account_feed, pipeline
from services.enricher.records import activity, subjects
from services.runtime.database import transaction
from services.runtime.lag import lag
from services.runtime.log.interface import EventLog
from services.runtime.topics import TOPICS

__all__ = ["IdentityStatus", "identity_status"]


@dataclass(frozen=True, slots=True)
class IdentityStatus:
    """`lag`: records of both topics not taken in yet. `events_linked` and `persons` are what is there now."""

    lag: int
    events_linked: int
    persons: int


def identity_status(engine: sa.Engine, log: EventLog) -> IdentityStatus:
    """Reads the records and the log's offsets; also beside a running service."""
    with transaction(engine) as connection:
        linked = connection.scalar(sa.select(sa.func.coalesce(sa.func.sum(activity.c.rows), 0)))
        persons = connection.scalar(sa.select(sa.func.count()).select_from(subjects))
    behind = lag(log, pipeline.GROUP, TOPICS["access-log"].name) + lag(log, account_feed.GROUP, TOPICS["account"].name)
    return IdentityStatus(behind, int(linked or 0), int(persons or 0))
