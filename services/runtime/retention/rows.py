"""Rows of a plane's records that have a term."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.runtime.database import transaction
from services.runtime.retention.keeping import Held
from services.runtime.retention.terms import Terms

__all__ = ["Dated", "RowsKeeper"]

TENANTS_AT_ONCE = 500  # parameters of one statement


@dataclass(frozen=True, slots=True)
class Dated:
    """How a table says when: `read` what it stores, `write` what to compare it with."""

    read: Callable[[Any], datetime]
    write: Callable[[datetime], Any]


@dataclass(frozen=True, slots=True)
class RowsKeeper:
    """`rows` selects `tenant` and `at` of every row. `delete` gets tenants, and the cut-off in the table's own form."""

    kind: str
    engine: sa.Engine
    rows: sa.Select[Any]
    dated: Dated
    delete: Callable[[sa.Connection, Sequence[str], Any], None]

    def held(self, terms: Terms, now: datetime) -> Sequence[Held]:
        there = self.rows.subquery()
        columns = (there.c.tenant, sa.func.count().label("rows"), sa.func.min(there.c.at).label("oldest"))
        with transaction(self.engine) as connection:
            found = connection.execute(sa.select(*columns).group_by(there.c.tenant)).all()
            over = dict(self._over(connection, terms, now, [row.tenant for row in found]))
        return [Held(row.tenant, row.rows, self.dated.read(row.oldest), over.get(row.tenant, 0)) for row in found]

    def remove(self, terms: Terms, now: datetime) -> Mapping[str, int]:
        there = self.rows.subquery()
        with transaction(self.engine) as connection:
            tenants = list(connection.execute(sa.select(there.c.tenant).distinct()).scalars())
            over = dict(self._over(connection, terms, now, tenants))
            for cutoff, group in _groups(terms, self.kind, now, list(over)):
                self.delete(connection, group, self.dated.write(cutoff))
        return over

    def _over(
        self, connection: sa.Connection, terms: Terms, now: datetime, tenants: Sequence[str]
    ) -> Iterator[tuple[str, int]]:
        there = self.rows.subquery()
        for cutoff, group in _groups(terms, self.kind, now, tenants):
            at = (there.c.tenant.in_(group), there.c.at < self.dated.write(cutoff))
            query = sa.select(there.c.tenant, sa.func.count()).where(*at).group_by(there.c.tenant)
            yield from ((tenant, rows) for tenant, rows in connection.execute(query))


def _groups(terms: Terms, kind: str, now: datetime, tenants: Sequence[str]) -> Iterator[tuple[datetime, list[str]]]:
    for cutoff, group in terms.by_cutoff(kind, now, tenants).items():
        for start in range(0, len(group), TENANTS_AT_ONCE):
            yield cutoff, group[start : start + TENANTS_AT_ONCE]
