"""Everything that is kept of a person, table by table: the one list, for whoever deletes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from services.enricher import records
from services.enricher.access.records import notes
from services.enricher.retention.records import isolated_activity, last_heard

__all__ = ["OF_PERSONS", "count_destroyed", "delete_persons"]

# The key first: whatever happens then, the rest is unreadable.
OF_PERSONS: Mapping[str, sa.Table] = {
    "person_keys": records.person_keys,
    "activity": records.activity,
    "notes": notes,
    "isolated_activity": isolated_activity,
    "look_ups": records.look_ups,
    "profiles": records.profiles,
    "last_heard": last_heard,
    "subjects": records.subjects,
}


def delete_persons(connection: sa.Connection, subjects: Sequence[str]) -> dict[str, int]:
    """How many rows went, by table. On SQLite call `vault.scrub` after the commit."""
    counts = dict.fromkeys(OF_PERSONS, 0)
    for part in records.chunks(subjects):
        for name, table in OF_PERSONS.items():
            counts[name] += connection.execute(sa.delete(table).where(table.c.subject.in_(part))).rowcount
    count_destroyed(connection, counts["person_keys"])
    return counts


def count_destroyed(connection: sa.Connection, keys: int) -> None:
    """Older backups still have them, until the next rotation: it looks at this count."""
    if keys:
        records.add_to_counter(connection, records.KEYS_DESTROYED, keys)
