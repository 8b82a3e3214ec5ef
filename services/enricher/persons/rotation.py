"""Rotation of the key that wraps the keys of persons, so that older backups of these open nobody.

The steps; each may be done twice, by any process, while the enricher runs:
1. a new key-encryption key is made, and from then on wraps new keys, 2. the keys of all persons are wrapped
anew, in chunks, 3. the older key-encryption keys are destroyed ("closed"). Sealed data is not touched.
What is left to do is read from what is there, never from notes: a killed rotation is gone on with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from services.enricher import records
from services.enricher.persons.vault import KeyRow, Vault, kek_name, kek_numbers, set_current
from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.keys import KeyService

__all__ = ["KeyStatus", "Rotation"]

CHUNK_KEYS = 2000  # of one transaction: the enricher waits some tens of milliseconds for it on SQLite


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """`current`: the number of the key-encryption key that wraps new keys, since `since` (None: since the beginning).
    `persons`: keys of persons by the key-encryption key that wraps them. `older`: those that still exist and wrap or
    wrapped some before. `destroyed`: keys of persons destroyed since `since`, which backups from before still hold."""

    current: int
    since: datetime | None
    persons: Mapping[str, int]
    older: tuple[str, ...]
    destroyed: int

    @property
    def is_closed(self) -> bool:
        """Backups of person keys from before `since` open nobody."""
        return not self.older


class Rotation:
    def __init__(self, engine: sa.Engine, vault: Vault, keys: KeyService, clock: Clock) -> None:
        self._engine = engine
        self._vault = vault
        self._keys = keys
        self._clock = clock

    def status(self) -> KeyStatus:
        table, rotations = records.person_keys, records.key_rotations
        by_kek = sa.select(table.c.kek, sa.func.count()).group_by(table.c.kek)
        with transaction(self._engine) as connection:
            current = self._vault.current(connection)
            persons = {row.kek: int(row[1]) for row in connection.execute(by_kek)}
            last = connection.execute(sa.select(rotations).where(rotations.c.number == current)).one_or_none()
            destroyed = _destroyed(connection)
        older = tuple(kek_name(number) for number in kek_numbers(self._keys) if number < current)
        since = datetime.fromtimestamp(last.started_ms / 1000, UTC) if last else None
        return KeyStatus(current, since, persons, older, destroyed - (last.destroyed if last else 0))

    def rotate(self) -> int:
        """All three steps; one that was killed, or waits to be closed, is finished in place of a new one. Returns how
        many keys were wrapped anew. Raises `Tampered` when a key does not open, `Transient`."""
        if not self.status().older:
            self.begin()
        rewrapped = self.rewrap()
        self.close()
        return rewrapped

    def begin(self) -> None:
        """Step 1. The key is durable before anybody is told of it."""
        with transaction(self._engine) as connection:
            number = self._vault.current(connection) + 1
        self._keys.get_or_create(kek_name(number))
        with transaction(self._engine) as connection:
            set_current(connection, number)
            self._note_start(connection, number)

    def rewrap(self) -> int:
        """Step 2. Returns how many keys were wrapped anew by this call."""
        total = 0
        while done := self._rewrap_chunk():
            total += done
        return total

    def close(self) -> None:
        """Step 3, when nothing is wrapped by them any more: who makes a key now waits, so that none is missed."""
        with transaction(self._engine) as connection:
            number = self._vault.current(connection, alone=True)
            if _wrapped_otherwise(connection, number, limit=1):
                return
            for older in kek_numbers(self._keys):
                if older < number:
                    self._keys.destroy(kek_name(older))
            table = records.key_rotations
            open_ones = (table.c.number <= number, table.c.closed_ms.is_(None))
            connection.execute(sa.update(table).where(*open_ones).values(closed_ms=self._now_ms()))

    def keep_term(self, every: timedelta | None, keep_old: timedelta) -> int:
        """The work that comes round: finish what was begun; begin when somebody was erased since the last one and that
        is `every` ago (None: never by itself); close what was wrapped anew `keep_old` ago. Returns as `rewrap`."""
        if every is not None and self._is_due(every):
            self.begin()
        rewrapped = self.rewrap() if self.status().older else 0
        if self._may_close(keep_old):
            self.close()
        return rewrapped

    def _is_due(self, every: timedelta) -> bool:
        status = self.status()
        if status.older or not status.destroyed:
            return False
        return status.since is None or status.since + every <= self._clock.now()

    def _may_close(self, keep_old: timedelta) -> bool:
        table = records.key_rotations
        with transaction(self._engine) as connection:
            number = self._vault.current(connection)
            query = sa.select(table.c.rewrapped_ms).where(table.c.number == number, table.c.closed_ms.is_(None))
            done_ms = connection.execute(query).scalar_one_or_none()
        return done_ms is not None and done_ms + keep_old / timedelta(milliseconds=1) <= self._now_ms()

    def _rewrap_chunk(self) -> int:
        """An erasure may take a key meanwhile: only rows that are still there are written."""
        table = records.person_keys
        with transaction(self._engine) as connection:
            number = self._vault.current(connection)
            self._note_start(connection, number)
            rows = _wrapped_otherwise(connection, number, CHUNK_KEYS)
            fresh = self._vault.rewrap(rows, number)
            if fresh:
                at = (table.c.subject == sa.bindparam("of"), table.c.kek != kek_name(number))
                update = sa.update(table).where(*at).values(kek=kek_name(number), wrapped=sa.bindparam("fresh"))
                connection.execute(update, [{"of": subject, "fresh": wrapped} for subject, wrapped in fresh])
            self._note_rewrapped(connection, number, len(fresh))
        return len(fresh)

    def _note_start(self, connection: sa.Connection, number: int) -> None:
        """Once: also when the process that made the key was killed before it said so."""
        row = {"number": number, "started_ms": self._now_ms(), "destroyed": _destroyed(connection), "rewrapped": 0}
        insert = records.insert(connection, records.key_rotations).values(row)
        connection.execute(insert.on_conflict_do_nothing(index_elements=["number"]))

    def _note_rewrapped(self, connection: sa.Connection, number: int, rewrapped: int) -> None:
        table = records.key_rotations
        values = {"rewrapped": table.c.rewrapped + rewrapped, "rewrapped_ms": None if rewrapped else self._now_ms()}
        open_one = (table.c.number == number, table.c.rewrapped_ms.is_(None))
        connection.execute(sa.update(table).where(*open_one).values(values))

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


def _wrapped_otherwise(connection: sa.Connection, number: int, limit: int) -> list[KeyRow]:
    """At most `limit` rows of one key-encryption key that is not `number`: the index leads to them."""
    table = records.person_keys
    name = kek_name(number)
    edges = sa.select(sa.func.min(table.c.kek), sa.func.max(table.c.kek))
    others = [kek for kek in connection.execute(edges).one() if kek not in {None, name}]
    if not others:
        return []
    query = sa.select(table.c.subject, table.c.kek, table.c.wrapped).where(table.c.kek == others[0]).limit(limit)
    return [(row.subject, row.kek, row.wrapped) for row in connection.execute(query)]


def _destroyed(connection: sa.Connection) -> int:
    table = records.counters
    return connection.execute(sa.select(table.c.value).where(table.c.name == records.KEYS_DESTROYED)).scalar() or 0
