"""The state of every (tenant, day): open -> closing -> published -> events_dropped -> closed.

A state only ever advances, and the last one outlives the day's key: a row that comes later is late for ever.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from services.runtime.database import insert_into, transaction
from services.stats.records import days as table

__all__ = [
    "CLOSED",
    "CLOSING",
    "DROPPED",
    "OPEN",
    "PUBLISHED",
    "Day",
    "Days",
    "Offsets",
    "TenantDay",
    "closes_at",
    "due",
]

OPEN: Final = "open"
CLOSING: Final = "closing"
PUBLISHED: Final = "published"
DROPPED: Final = "events_dropped"
CLOSED: Final = "closed"
_ORDER = (OPEN, CLOSING, PUBLISHED, DROPPED, CLOSED)

AFTER_DAY = timedelta(hours=12)  # collectors that were offline for a night still count
AFTER_IMPORT = timedelta(hours=24)  # an import of a past day may take this long

Offsets = Mapping[str, int]  # "topic id/partition" -> end offset


class TenantDay(NamedTuple):
    tenant: str
    day: date


@dataclass(frozen=True, slots=True)
class Day:
    """One row of the records; times are UTC."""

    tenant: str
    day: date
    state: str
    first_row_at: datetime
    cutoffs: Offsets | None
    rows: int
    objected: int
    late: int
    closed_at: datetime | None

    @property
    def pair(self) -> TenantDay:
        return TenantDay(self.tenant, self.day)


class Days:
    """Reads and advances states; every call is one transaction."""

    def __init__(self, records: sa.Engine) -> None:
        self._records = records

    def state(self, tenant: str, day: date) -> str | None:
        """None for a day nobody has heard of."""
        with transaction(self._records) as connection:
            where = (table.c.tenant == tenant) & (table.c.day == day)
            state: str | None = connection.execute(sa.select(table.c.state).where(where)).scalar()
            return state

    def seen(self, pairs: Iterable[TenantDay], now: datetime) -> None:
        """Opens what is new; `now` becomes the time of its first row. Known days keep their state."""
        rows = [{"tenant": t, "day": d, "state": OPEN, "first_row_at": now.isoformat()} for t, d in pairs]
        if rows:
            with transaction(self._records) as connection:
                connection.execute(insert_into(connection, table).on_conflict_do_nothing(), rows)

    def listed(self, *states: str, through: date | None = None) -> list[Day]:
        """Days in one of `states` (all when none is named), by day and tenant."""
        query = sa.select(table).order_by(table.c.day, table.c.tenant)
        if states:
            query = query.where(table.c.state.in_(states))
        if through is not None:
            query = query.where(table.c.day <= through)
        with transaction(self._records) as connection:
            return [_day(row._mapping) for row in connection.execute(query)]

    def advance(self, pairs: Sequence[TenantDay], to: str, **values: Any) -> None:
        """Sets `to` where the day stands before it; `values` are the same for every pair."""
        if pairs:
            before = sa.or_(*(table.c.state == state for state in _ORDER[: _ORDER.index(to)]))
            with transaction(self._records) as connection:
                self._update(connection, pairs, before, {"state": to, **_stored(values)})

    def note(self, pairs: Sequence[TenantDay], **values: Any) -> None:
        """Writes `values` without a change of state."""
        if pairs:
            with transaction(self._records) as connection:
                self._update(connection, pairs, sa.true(), _stored(values))

    def count(self, column: str, numbers: Mapping[TenantDay, int]) -> None:
        """Adds numbers to `rows`, `objected` or `late`."""
        with transaction(self._records) as connection:
            self._set(connection, column, table.c[column] + sa.bindparam("n"), numbers)

    def put(self, column: str, numbers: Mapping[TenantDay, int]) -> None:
        """Sets `rows`, `objected` or `late`."""
        with transaction(self._records) as connection:
            self.put_in(connection, column, numbers)

    def put_in(self, connection: sa.Connection, column: str, numbers: Mapping[TenantDay, int]) -> None:
        """`put` inside the caller's transaction."""
        self._set(connection, column, sa.bindparam("n"), numbers)

    @staticmethod
    def _set(connection: sa.Connection, column: str, value: Any, numbers: Mapping[TenantDay, int]) -> None:
        if numbers:
            where = (table.c.tenant == sa.bindparam("t")) & (table.c.day == sa.bindparam("d"))
            rows = [{"t": t, "d": d, "n": n} for (t, d), n in numbers.items()]
            connection.execute(sa.update(table).where(where).values({column: value}), rows)

    @staticmethod
    def _update(connection: sa.Connection, pairs: Sequence[TenantDay], only: Any, values: Mapping[str, Any]) -> None:
        where = (table.c.tenant == sa.bindparam("t")) & (table.c.day == sa.bindparam("d")) & only
        update = sa.update(table).where(where).values(**values)
        connection.execute(update, [{"t": t, "d": d} for t, d in pairs])


def closes_at(day: Day, zone: ZoneInfo) -> datetime:
    """When a day closes by itself: 12 h after its end; 24 h after its first row if that came later."""
    ends = datetime.combine(day.day + timedelta(days=1), time(0), zone)
    return ends + AFTER_DAY if day.first_row_at <= ends + AFTER_DAY else day.first_row_at + AFTER_IMPORT


def due(day: Day, now: datetime, zone: ZoneInfo) -> bool:
    return now >= closes_at(day, zone)


def _stored(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: json.dumps(dict(v)) if isinstance(v, Mapping) else v for name, v in values.items()}


def _day(row: Mapping[Any, Any]) -> Day:
    return Day(
        tenant=row["tenant"],
        day=row["day"],
        state=row["state"],
        first_row_at=datetime.fromisoformat(row["first_row_at"]),
        cutoffs=json.loads(row["cutoffs"]) if row["cutoffs"] else None,
        rows=row["rows"],
        objected=row["objected"],
        late=row["late"],
        closed_at=datetime.fromisoformat(row["closed_at"]) if row["closed_at"] else None,
    )
