"""What the other planes' workers answered to a signal, and which of them is still waited for.

A worker reads every signal before its next batch and answers after the batch in flight. Who runs says so every few
minutes. A worker that falls silent holds nothing back for ever: what it had in flight nobody can commit any more
(its log fences it), so after a while it is left out; a plane of which nobody answered is waited for until one does.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

import sqlalchemy as sa

from services.enricher import records
from services.enricher.rights.records import worker_receipts, workers
from services.enricher.rights.states import Kind
from services.runtime.database import transaction
from services.runtime.log.interface import EventLog, Follower
from services.runtime.receipts import PRESENT, PRESENT_EVERY, Receipt, receipts_of
from services.runtime.topics import TOPICS

__all__ = ["CONCERNED", "GONE_AFTER", "Receipts", "waited_for"]

GONE_AFTER = 3 * PRESENT_EVERY  # without a word: not running
_STATS, _INGEST = "stats", "ingest"
# Which planes have something of a person that a request of this kind is about. The identity plane orders itself
# (docs/adr/0032); an objection to linking concerns it alone.
CONCERNED: Mapping[Kind, frozenset[str]] = {
    Kind.ERASURE: frozenset({_STATS, _INGEST}),
    Kind.OBJECTION: frozenset({_STATS}),
    Kind.RESTRICTION: frozenset({_STATS}),
    Kind.WITHDRAWAL: frozenset({_STATS}),
}


class Receipts:
    """Follows the topic into the records; `follow` from any thread."""

    def __init__(self, engine: sa.Engine, log: EventLog) -> None:
        self._engine, self._log = engine, log
        self._lock = threading.Lock()
        self._follower: Follower | None = None  # opened by whoever needs it: most commands do not

    def follow(self) -> None:
        """Take in what was said since the last call. Raises `Transient`."""
        with self._lock:
            self._follower = self._follower or self._log.follower([TOPICS["privacy-receipt"].name])
            heard = receipts_of(self._follower.poll())
            self._take_in(heard)

    def _take_in(self, heard: Sequence[Receipt]) -> None:
        present = {r.worker: r for r in heard if r.state == PRESENT}
        answers = {(r.case, r.worker, r.store): r for r in reversed(heard) if r.state != PRESENT}
        if not heard:
            return
        with transaction(self._engine) as connection:  # sorted: several processes take the same in, from other places
            _note_presence(connection, [present[worker] for worker in sorted(present)])
            _keep_first(connection, [answers[place] for place in sorted(answers)])

    def of(self, case: str) -> Sequence[Receipt]:
        table = worker_receipts
        query = sa.select(table).where(table.c.case == case).order_by(table.c.worker, table.c.store)
        with transaction(self._engine) as connection:
            rows = connection.execute(query).all()
        return [Receipt(r.case, r.worker, r.state, _time(r.at_ms), r.store, r.deleted, r.remaining) for r in rows]

    def known(self) -> Mapping[str, datetime]:
        """Worker -> when it was last heard of."""
        with transaction(self._engine) as connection:
            return {row.worker: _time(row.seen_ms) for row in connection.execute(sa.select(workers))}

    def close(self) -> None:
        if self._follower is not None:
            self._follower.close()


def waited_for(
    kind: Kind, known: Mapping[str, datetime], answered: Collection[str], signalled: datetime, now: datetime
) -> list[str]:
    """The workers that have to answer yet; `PLANE` alone when nobody of a plane that is there has."""
    planes = CONCERNED.get(kind, frozenset())
    concerned = {worker: seen for worker, seen in known.items() if worker.partition("/")[0] in planes}
    silent = [w for w, seen in concerned.items() if w not in answered and _may_run(seen, signalled, now)]
    spoken = {worker.partition("/")[0] for worker in answered}
    missing = {worker.partition("/")[0] for worker in concerned} - spoken
    return sorted(silent) + sorted(plane for plane in missing if not any(w.startswith(plane) for w in silent))


def _may_run(seen: datetime, signalled: datetime, now: datetime) -> bool:
    """Heard of since the signal; or shortly before it, and not yet long ago."""
    return seen > signalled or (seen > signalled - GONE_AFTER and now < signalled + GONE_AFTER)


def _note_presence(connection: sa.Connection, present: Sequence[Receipt]) -> None:
    if not present:
        return
    insert = records.insert(connection, workers)
    newer = {"seen_ms": insert.excluded.seen_ms}
    rows = [{"worker": r.worker, "seen_ms": _ms(r.at)} for r in present]
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=["worker"], set_=newer, where=workers.c.seen_ms < insert.excluded.seen_ms
        ),
        rows,
    )


def _keep_first(connection: sa.Connection, answers: Sequence[Receipt]) -> None:
    """A worker that starts anew may say the same again, later."""
    if not answers:
        return
    rows = [
        {"case": r.case, "worker": r.worker, "store": r.store, "state": r.state}
        | {"deleted": r.deleted, "remaining": r.remaining, "at_ms": _ms(r.at)}
        for r in answers
    ]
    insert = records.insert(connection, worker_receipts)
    connection.execute(insert.on_conflict_do_nothing(index_elements=["case", "worker", "store"]), rows)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
