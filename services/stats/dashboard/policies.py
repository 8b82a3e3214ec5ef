"""What the public page says and has said: each text once, with when it began to hold. Nothing of a person is in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.runtime.clock import Clock
from services.runtime.database import insert_into, transaction
from services.stats.dashboard.records import policies as table

__all__ = ["Held", "Policies", "Texts"]

Texts = Mapping[str, Any]  # code of a language -> the text as JSON takes it


@dataclass(frozen=True, slots=True)
class Held:
    """One text, from `since` (UTC) until the next one; `until` None: it holds. `number` counts from 1."""

    number: int
    since: datetime
    until: datetime | None


class Policies:
    """Every method is one transaction; raises `Transient`."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    def keep(self, texts: Texts) -> bool:
        """Unless it is what holds already: then nothing is written. Returns whether it is new. Two processes that
        start at once write one."""
        written = json.dumps(texts, ensure_ascii=False, sort_keys=True)
        digest = hashlib.sha256(written.encode()).hexdigest()
        newest = sa.select(table.c.number, table.c.digest).order_by(table.c.number.desc()).limit(1)
        with transaction(self._engine) as connection:
            last = connection.execute(newest).one_or_none()
            if last is not None and last.digest == digest:
                return False
            row = {
                "number": last.number + 1 if last else 1,
                "since": self._clock.now().isoformat(timespec="seconds"),
                "digest": digest,
                "texts": written,
            }
            written_row = insert_into(connection, table).values(row).on_conflict_do_nothing().returning(table.c.number)
            return connection.execute(written_row).first() is not None  # a count PostgreSQL's driver does not give

    def history(self) -> list[Held]:
        """The newest first; empty before the first `keep`."""
        query = sa.select(table.c.number, table.c.since).order_by(table.c.number)
        with transaction(self._engine) as connection:
            rows = [(number, datetime.fromisoformat(since)) for number, since in connection.execute(query)]
        ends = [*(since for _, since in rows), None][1:]
        held = [Held(number, since, until) for (number, since), until in zip(rows, ends, strict=True)]
        return held[::-1]

    def texts(self, number: int) -> Texts | None:
        with transaction(self._engine) as connection:
            found = connection.execute(sa.select(table.c.texts).where(table.c.number == number)).scalar()
        return json.loads(found) if found is not None else None
