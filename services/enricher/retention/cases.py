"""The end of rights cases: some years after they were closed their files, evidence and documents go, with the keys that
their words are sealed under. What an erasure has done stays known (table `cases`), so that it is never done again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from services.enricher.rights.records import case_callbacks, case_documents, case_files, case_steps, worker_receipts
from services.enricher.rights.sealing import PERSON, TEXTS, CaseSeal
from services.runtime.database import transaction
from services.runtime.keys import KeyService
from services.runtime.retention.keeping import Held
from services.runtime.retention.rows import Dated, RowsKeeper
from services.runtime.retention.terms import Terms

__all__ = ["CasesKeeper"]

_PARTS = (case_steps, case_documents, case_callbacks, case_files)
_MS = Dated(lambda ms: datetime.fromtimestamp(ms / 1000, UTC), lambda at: int(at.timestamp() * 1000))
_NOBODY = sa.literal("").label("tenant")  # a tenant that has left: the proof that requests were honoured stays
_CLOSED = sa.select(_NOBODY, case_files.c.closed_ms.label("at")).where(case_files.c.closed_ms.is_not(None))


@dataclass(frozen=True, slots=True)
class CasesKeeper:
    """Counts closed cases; an open one has no term."""

    engine: sa.Engine
    keys: KeyService
    kind: str = "cases"

    def held(self, terms: Terms, now: datetime) -> Sequence[Held]:
        return self._rows.held(terms, now)

    def remove(self, terms: Terms, now: datetime) -> Mapping[str, int]:
        """Keys first: a crash in between leaves words that nobody can read, and the next round deletes them."""
        seal = CaseSeal(self.keys)
        for case in self._over(terms, now):
            seal.destroy(case, TEXTS)
            seal.destroy(case, PERSON)
        return self._rows.remove(terms, now)

    @property
    def _rows(self) -> RowsKeeper:
        return RowsKeeper(self.kind, self.engine, _CLOSED, _MS, _delete)

    def _over(self, terms: Terms, now: datetime) -> Sequence[str]:
        with transaction(self.engine) as connection:
            return _closed_before(connection, _MS.write(terms.cutoff(self.kind, now)))


def _closed_before(connection: sa.Connection, before: int) -> Sequence[str]:
    return connection.execute(sa.select(case_files.c.case).where(case_files.c.closed_ms < before)).scalars().all()


def _delete(connection: sa.Connection, _tenants: Sequence[str], before: int) -> None:
    for case in _closed_before(connection, before):
        for table in _PARTS:
            connection.execute(sa.delete(table).where(table.c.case == case))
        mine = (worker_receipts.c.case == case) | worker_receipts.c.case.startswith(f"{case}/", autoescape=True)
        connection.execute(sa.delete(worker_receipts).where(mine))
