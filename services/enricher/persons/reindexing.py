"""Makes the look-ups of persons anew when the form of values has changed: a new version, or another region of phones.

Person by person, in order with erasures, while the service runs; a run that is killed is gone on with.
"""

from __future__ import annotations

import sqlalchemy as sa

from services.enricher import records
from services.enricher.persons.directory import Directory
from services.enricher.rights.ordering import in_order, require_current
from services.enricher.rights.signals import Signals
from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.stop import Stop

__all__ = ["Reindexing"]

CHUNK_PERSONS = 500  # of one transaction


class Reindexing:
    def __init__(self, engine: sa.Engine, directory: Directory, signals: Signals, clock: Clock) -> None:
        self._engine = engine
        self._directory = directory
        self._signals = signals
        self._clock = clock

    def run(self, stop: Stop) -> int:
        """Returns how many persons were indexed anew. Raises `Transient`, `Tampered`."""
        total = 0
        while not stop.is_set and (done := in_order(self._signals, self._clock, self._chunk)):
            total += done
        return total

    def _chunk(self) -> int:
        with transaction(self._engine) as connection:
            require_current(connection, self._signals)
            subjects = self._outdated(connection)
            self._directory.index_anew(connection, subjects)
        return len(subjects)

    def _outdated(self, connection: sa.Connection) -> list[str]:
        """At most CHUNK_PERSONS of one other form: the index leads to them."""
        table = records.profiles
        edges = connection.execute(sa.select(sa.func.min(table.c.form), sa.func.max(table.c.form))).one()
        others = [form for form in edges if form not in {None, self._directory.form}]
        if not others:
            return []
        query = sa.select(table.c.subject).where(table.c.form == others[0]).order_by(table.c.subject)
        return list(connection.execute(query.limit(CHUNK_PERSONS)).scalars())
