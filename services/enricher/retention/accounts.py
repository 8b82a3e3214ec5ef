"""The end of an account: nothing was heard of it for its term, neither an access nor a word of its tenant.

While linked activity of a person is kept, or a legal hold stands, the account is kept with it. Who nobody ever said
anything of counts from the first time that this is noticed: the time of the first access is not in the directory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from services.enricher import records
from services.enricher.persons.tables import delete_persons
from services.enricher.persons.vault import scrub
from services.enricher.records import activity, profiles, subjects
from services.enricher.retention.held import held_subjects
from services.enricher.retention.records import isolated_activity, last_heard
from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.retention.keeping import Held
from services.runtime.retention.terms import OVER_ALL, Terms

__all__ = ["AccountsKeeper"]

KIND = "accounts"
_Silent = tuple[str, str, datetime]  # tenant, subject, when something was heard last


@dataclass(frozen=True, slots=True)
class AccountsKeeper:
    """Counts persons."""

    engine: sa.Engine
    clock: Clock
    kind: str = KIND

    def held(self, terms: Terms, now: datetime) -> Sequence[Held]:
        counted = sa.select(subjects.c.tenant, sa.func.count().label("persons")).group_by(subjects.c.tenant)
        with transaction(self.engine) as connection:
            persons = {row.tenant: row.persons for row in connection.execute(counted)}
            oldest, over = dict[str, datetime](), dict[str, int]()
            for tenant, silent in _by_tenant(connection, terms):
                oldest[tenant] = min(heard for _, _, heard in silent)
                over[tenant] = len(_over(silent, terms, now))
        return [Held(tenant, count, oldest.get(tenant), over.get(tenant, 0)) for tenant, count in persons.items()]

    def remove(self, terms: Terms, now: datetime) -> Mapping[str, int]:
        """As an erasure deletes, without its signal: a person who comes back is a new one."""
        removed: dict[str, int] = {}
        with transaction(self.engine) as connection:
            _begin_counting(connection, now)
            for tenant, silent in _by_tenant(connection, terms):
                if over := _over(silent, terms, now):
                    delete_persons(connection, _with_joined(connection, over))
                    removed[tenant] = len(over)
        if removed:
            scrub(self.engine, self.clock)
        return removed


def _begin_counting(connection: sa.Connection, now: datetime) -> None:
    """For those whose account nobody has described and whose activity is not there, or not yet."""
    table = subjects.join(profiles, profiles.c.subject == subjects.c.subject)
    unknown = (profiles.c.updated_ms == 0, ~_has(activity), ~_has(isolated_activity), ~_has(last_heard))
    fresh = sa.select(subjects.c.subject, sa.literal(now.date(), sa.Date)).select_from(table).where(*unknown)
    connection.execute(sa.insert(last_heard).from_select(["subject", "day"], fresh))


def _by_tenant(connection: sa.Connection, terms: Terms) -> Iterator[tuple[str, list[_Silent]]]:
    """Persons without activity (of a tenant that has left: all), by tenant."""
    table = subjects.outerjoin(profiles, profiles.c.subject == subjects.c.subject).outerjoin(
        last_heard, last_heard.c.subject == subjects.c.subject
    )
    columns = (subjects.c.tenant, subjects.c.subject, profiles.c.updated_ms, last_heard.c.day)
    stands = subjects.c.merged_into.is_(None)  # who has become another goes with them
    silent = sa.and_(stands, ~_has(activity), ~_has(isolated_activity), subjects.c.subject.not_in(held_subjects()))
    silent = silent | subjects.c.tenant.in_(terms.gone)
    known = sa.or_(profiles.c.updated_ms > 0, last_heard.c.day.is_not(None), subjects.c.tenant.in_(terms.gone))
    query = sa.select(*columns).select_from(table).where(silent, known).order_by(subjects.c.tenant)
    rows = [(row.tenant, row.subject, _heard(row)) for row in connection.execute(query)]
    return ((tenant, list(group)) for tenant, group in groupby(rows, lambda row: row[0]))


def _over(silent: Sequence[_Silent], terms: Terms, now: datetime) -> list[str]:
    cutoff = terms.cutoff(KIND, now, silent[0][0])
    return [subject for _, subject, heard in silent if heard < cutoff or cutoff == OVER_ALL]


def _heard(row: Any) -> datetime:
    said = datetime.fromtimestamp((row.updated_ms or 0) / 1000, UTC)
    if row.day is None:
        return said
    return max(said, datetime(row.day.year, row.day.month, row.day.day, tzinfo=UTC) + timedelta(days=1))  # its end


def _with_joined(connection: sa.Connection, over: Sequence[str]) -> list[str]:
    """With all that have become them."""
    found = list(over)
    for part in records.chunks(over):
        joined = sa.select(subjects.c.subject).where(subjects.c.merged_into.in_(part))
        found += connection.execute(joined).scalars()
    return list(dict.fromkeys(found))


def _has(table: sa.Table) -> sa.ColumnElement[bool]:
    """Of the person, or of an account that has become theirs."""
    joined = subjects.alias("joined")
    same = sa.or_(joined.c.subject == subjects.c.subject, joined.c.merged_into == subjects.c.subject)
    return sa.exists().where(table.c.subject == joined.c.subject, same).correlate(subjects)
