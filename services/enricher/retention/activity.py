"""The end of linked activity: deleted, counted and deleted, or isolated, as its tenant has it.

A block carries the day it expires on, by the term that held when it was written; a shorter term that came later
holds too, a longer one does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import sqlalchemy as sa

from services.enricher import records
from services.enricher.records import activity
from services.enricher.retention.held import held_subjects
from services.enricher.retention.records import activity_counts, isolated_activity, last_heard
from services.runtime.database import transaction
from services.runtime.retention.keeping import Held
from services.runtime.retention.kinds import End
from services.runtime.retention.terms import OVER_ALL, Terms

__all__ = ["LinkedKeeper"]

KIND = "linked"
_Over = sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class LinkedKeeper:
    """Counts rows (accesses), not blocks."""

    engine: sa.Engine
    kind: str = KIND

    def held(self, terms: Terms, now: datetime) -> Sequence[Held]:
        columns = (
            activity.c.tenant,
            sa.func.sum(activity.c.rows).label("rows"),
            sa.func.min(activity.c.day).label("day"),
        )
        with transaction(self.engine) as connection:
            found = connection.execute(sa.select(*columns).group_by(activity.c.tenant)).all()
            tenants = [row.tenant for row in found]
            over = {t: n for part, _ in _parts(terms, now, tenants) for t, n in _counted(connection, part).items()}
        return [Held(row.tenant, int(row.rows), _midnight(row.day), over.get(row.tenant, 0)) for row in found]

    def remove(self, terms: Terms, now: datetime) -> Mapping[str, int]:
        """Each group of tenants in a transaction: whatever happens to their blocks happens once."""
        with transaction(self.engine) as connection:
            tenants = list(connection.execute(sa.select(activity.c.tenant).distinct()).scalars())
        removed: dict[str, int] = {}
        for over, end in _parts(terms, now, tenants):
            with transaction(self.engine) as connection:
                if counts := _counted(connection, over):
                    _note_last_heard(connection, over)
                    _ENDS[end](connection, over, now.date())
                    _delete_blocks(connection, over)
                    removed |= counts
        return removed


def _parts(terms: Terms, now: datetime, tenants: Sequence[str]) -> list[tuple[_Over, End]]:
    """What is over, of tenants with the same term and the same end."""
    found: list[tuple[_Over, End]] = []
    for cutoff, group in terms.by_cutoff(KIND, now, tenants).items():
        for end in End:
            mine = [tenant for tenant in group if terms.end(KIND, tenant) is end]
            over = _expired(cutoff, now.date())
            found += [(sa.and_(activity.c.tenant.in_(part), over), end) for part in records.chunks(mine)]
    return found


def _expired(cutoff: datetime, today: date) -> _Over:
    """Of persons under a legal hold nothing is over, unless their tenant has left (which a hold holds up)."""
    shorter = activity.c.day < cutoff.date()
    if cutoff == OVER_ALL:
        return shorter
    return sa.and_(sa.or_(shorter, activity.c.expires <= today), activity.c.subject.not_in(held_subjects()))


def _counted(connection: sa.Connection, over: _Over) -> dict[str, int]:
    query = sa.select(activity.c.tenant, sa.func.sum(activity.c.rows)).where(over).group_by(activity.c.tenant)
    return {tenant: int(rows) for tenant, rows in connection.execute(query)}


def _delete_blocks(connection: sa.Connection, over: _Over) -> None:
    connection.execute(sa.delete(activity).where(over))


def _note_last_heard(connection: sa.Connection, over: _Over) -> None:
    newest = sa.select(activity.c.subject, sa.func.max(activity.c.day)).where(over).group_by(activity.c.subject)
    insert = records.insert(connection, last_heard).from_select(["subject", "day"], newest)
    later = sa.case((last_heard.c.day < insert.excluded.day, insert.excluded.day), else_=last_heard.c.day)
    connection.execute(insert.on_conflict_do_update(index_elements=["subject"], set_={"day": later}))


def _delete(_connection: sa.Connection, _over: _Over, _today: date) -> None:
    """Nothing is left of it."""


def _anonymise(connection: sa.Connection, over: _Over, _today: date) -> None:
    """Months, not days: of few people a day's count would be somebody's."""
    by_day = sa.select(activity.c.tenant, activity.c.day, sa.func.sum(activity.c.rows)).where(over)
    counts: dict[tuple[str, date], int] = {}
    for tenant, day, rows in connection.execute(by_day.group_by(activity.c.tenant, activity.c.day)):
        month = (tenant, day.replace(day=1))
        counts[month] = counts.get(month, 0) + int(rows)
    insert = records.insert(connection, activity_counts)
    more = {"rows": activity_counts.c.rows + insert.excluded.rows}
    rows_ = [{"tenant": tenant, "month": month, "rows": rows} for (tenant, month), rows in sorted(counts.items())]
    connection.execute(insert.on_conflict_do_update(index_elements=["tenant", "month"], set_=more), rows_)


def _isolate(connection: sa.Connection, over: _Over, today: date) -> None:
    names = ("block", "tenant", "subject", "day", "rows", "sealed")
    moved = sa.select(*(activity.c[name] for name in names), sa.literal(today, sa.Date)).where(over)
    connection.execute(sa.insert(isolated_activity).from_select([*names, "isolated"], moved))


_ENDS: Mapping[End, Callable[[sa.Connection, _Over, date], None]] = {
    End.DELETE: _delete,
    End.ANONYMISE: _anonymise,
    End.ISOLATE: _isolate,
}


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
