"""The log of what partners took: who, by which key, which file of which version, when, how many bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.stats.delivery.partners import Asker
from services.stats.delivery.records import acts
from services.stats.delivery.records import downloads as table

__all__ = ["ROWS", "Download", "Downloads", "delete_before"]

SHOWN_MAX = 200  # of a page or command: the newest

_BOTH = sa.union_all(sa.select(table.c.at), sa.select(acts.c.at)).subquery()
ROWS = sa.select(sa.literal("").label("tenant"), _BOTH.c.at)
"""Everything that has this log's term, as retention counts it: of no tenant in particular."""


@dataclass(frozen=True, slots=True)
class Download:
    """`key` or `person` is empty. `bytes`: what was sent; whether it arrived only the partner knows."""

    at: datetime
    partner: str
    key: str
    person: str
    name: str
    version: str
    file: str
    bytes: int


class Downloads:
    """Every method is one transaction; raises `Transient`."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    def note(self, asker: Asker, name: str, version: str, file: str, size: int) -> None:
        """Before the first byte is sent: what is not written down is not sent."""
        row = {
            **{"at": int(self._clock.now().timestamp()), "partner": asker.partner, "key": asker.key},
            **{"person": asker.person, "name": name, "version": version, "file": file, "bytes": size},
        }
        with transaction(self._engine) as connection:
            connection.execute(sa.insert(table).values(row))

    def listed(self, partner: str | None = None, limit: int = SHOWN_MAX) -> Sequence[Download]:
        """A partner's, or everybody's: the newest first."""
        query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
        chosen = query if partner is None else query.where(table.c.partner == partner)
        with transaction(self._engine) as connection:
            rows = connection.execute(chosen).all()
        return [
            Download(datetime.fromtimestamp(r.at, UTC), r.partner, r.key, r.person, r.name, r.version, r.file, r.bytes)
            for r in rows
        ]


def delete_before(connection: sa.Connection, _tenants: Sequence[str], before: int) -> None:
    """Downloads and acts older than `before` (seconds)."""
    for log in (table, acts):
        connection.execute(sa.delete(log).where(log.c.at < before))
