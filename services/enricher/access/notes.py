"""Notes to a ticket: what was found about one person, sealed under that person's key and erased with them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from services.enricher.access import records as access_records
from services.enricher.access.grant_book import Grant, to_ms, to_time
from services.enricher.persons.vault import Vault, bound_to
from services.runtime.database import transaction

__all__ = ["NOTES_SHOWN", "NOTE_CHARACTERS_MAX", "Note", "Notes"]

NOTE_CHARACTERS_MAX = 4000  # a page of text; a longer story belongs into the tracker
NOTES_SHOWN = 100  # of one person on one page, the newest
ID_BYTES = 16
_TABLE = access_records.notes


@dataclass(frozen=True, slots=True, repr=False)
class Note:
    """`text` may say anything about the person."""

    ticket: str
    actor: str
    written: datetime
    text: str


class Notes:
    """Every method is one transaction; raises `Transient` when the records are away, `Tampered`."""

    def __init__(self, engine: sa.Engine, vault: Vault, random: Callable[[int], str] = secrets.token_hex) -> None:
        self._engine, self._vault, self._random = engine, vault, random

    def write(self, grant: Grant, text: str, now: datetime) -> bool:
        """False when the person is gone."""
        note = self._random(ID_BYTES)
        with transaction(self._engine) as connection:
            key = self._vault.load(connection, [grant.subject]).get(grant.subject)
            if key is None:
                return False
            sealed = key.seal(_place(grant.tenant, grant.subject, note), text[:NOTE_CHARACTERS_MAX].encode())
            row = {"note": note, "tenant": grant.tenant, "subject": grant.subject, "ticket": grant.ticket}
            connection.execute(sa.insert(_TABLE).values(**row, actor=grant.actor, written_ms=to_ms(now), sealed=sealed))
        return True

    def of(self, subject: str, limit: int | None = None) -> Sequence[Note]:
        """Newest first; empty when there is no such person (any more)."""
        query = sa.select(_TABLE).where(_TABLE.c.subject == subject).order_by(_TABLE.c.written_ms.desc())
        with transaction(self._engine) as connection:
            key = self._vault.load(connection, [subject]).get(subject)
            rows = connection.execute(query.limit(limit)).all() if key else []
        if key is None:
            return []
        opened = [(row, key.open(_place(row.tenant, subject, row.note), row.sealed).decode()) for row in rows]
        return [Note(row.ticket, row.actor, to_time(row.written_ms), text) for row, text in opened]


def _place(tenant: str, subject: str, note: str) -> bytes:
    return bound_to("voile.note.1", tenant, subject, note)
