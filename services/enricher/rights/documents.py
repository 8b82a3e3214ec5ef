"""Documents of a case: certificates in clear (they name nobody), packages sealed, for a term, taken once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from services.enricher import records
from services.enricher.rights.records import case_documents
from services.enricher.rights.sealing import PERSON, CaseSeal
from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.errors import WrongUse

__all__ = ["Document", "Documents", "Gone"]


class Gone(WrongUse):
    """There is no such document, or it was taken, or its term is over."""


@dataclass(frozen=True, slots=True)
class Document:
    """What can be known of a document without opening it. `there`: it can be taken."""

    case: str
    name: str
    made: datetime
    sha256: str
    sealed: bool
    ends: datetime | None
    taken: datetime | None
    there: bool


class Documents:
    def __init__(self, engine: sa.Engine, seal: CaseSeal, clock: Clock) -> None:
        self._engine, self._seal, self._clock = engine, seal, clock

    def add(self, case: str, contents: Mapping[str, bytes]) -> None:
        """In clear, for as long as the case is kept; what is there already stays."""
        self._insert(case, contents, sealed=False, ends=None)

    def add_sealed(self, case: str, name: str, content: bytes, ends: datetime) -> None:
        """Under the case's key, to be taken once before `ends`."""
        self._insert(case, {name: content}, sealed=True, ends=ends)

    def listed(self, case: str) -> Sequence[Document]:
        table, now = case_documents, self._clock.now()
        columns = [column for column in table.c if column.name != "content"]
        query = sa.select(*columns, table.c.content.is_not(None).label("there")).where(table.c.case == case)
        with transaction(self._engine) as connection:
            rows = connection.execute(query.order_by(table.c.made_ms, table.c.name)).all()
        return [_document(row, now) for row in rows]

    def read(self, case: str, name: str) -> bytes:
        """One that is kept in clear. Raises `Gone`."""
        table = case_documents
        at = (table.c.case == case, table.c.name == name, table.c.sealed.is_(False))
        with transaction(self._engine) as connection:
            content: bytes | None = connection.execute(sa.select(table.c.content).where(*at)).scalar_one_or_none()
        if content is None:
            raise Gone("Case {case} has no such document.", case=case)
        return content

    def take(self, case: str, name: str) -> bytes:
        """One that is sealed: opened for this once, and nowhere any more when this returns. Raises `Gone`."""
        table, now = case_documents, self._clock.now()
        at = (table.c.case == case, table.c.name == name, table.c.sealed.is_(True), table.c.content.is_not(None))
        with transaction(self._engine) as connection:
            row = connection.execute(sa.select(table).where(*at).with_for_update()).one_or_none()
            if row is None or row.ends_ms <= _ms(now):
                raise Gone("The package was taken already, or its term is over; open another case for a new one.")
            content = self._seal.open(case, PERSON, name, row.content)
            done = sa.update(table).where(*at).values(content=None, taken_ms=_ms(now))
            connection.execute(done)
        if content is None:
            raise Gone("The key of the package was destroyed; open another case for a new one.")
        return content

    def end(self, case: str) -> bool:
        """Delete sealed documents whose term is over. True when none of the case's is there any more."""
        table, now = case_documents, self._clock.now()
        mine = (table.c.case == case, table.c.sealed.is_(True))
        with transaction(self._engine) as connection:
            connection.execute(sa.update(table).where(*mine, table.c.ends_ms <= _ms(now)).values(content=None))
            left = sa.select(table.c.name).where(*mine, table.c.content.is_not(None)).limit(1)
            return connection.execute(left).first() is None

    def _insert(self, case: str, contents: Mapping[str, bytes], *, sealed: bool, ends: datetime | None) -> None:
        now = _ms(self._clock.now())
        rows = [
            {
                "case": case,
                "name": name,
                "made_ms": now,
                "sha256": sha256(content).hexdigest(),
                "content": self._seal.seal(case, PERSON, name, content) if sealed else content,
                "sealed": sealed,
                "ends_ms": None if ends is None else _ms(ends),
                "taken_ms": None,
            }
            for name, content in contents.items()
        ]
        with transaction(self._engine) as connection:
            insert = records.insert(connection, case_documents)
            connection.execute(insert.on_conflict_do_nothing(index_elements=["case", "name"]), rows)


def _document(row: Any, now: datetime) -> Document:
    ends = None if row.ends_ms is None else _time(row.ends_ms)
    taken = None if row.taken_ms is None else _time(row.taken_ms)
    there = bool(row.there) and (ends is None or ends > now)
    return Document(row.case, row.name, _time(row.made_ms), row.sha256, bool(row.sealed), ends, taken, there)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
