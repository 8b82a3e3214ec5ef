"""Carrying out an erasure or a signal in this plane, so that it can be resumed after a crash.

Erasing takes these steps, in this order; each may be done twice:
1. open the case with its cut-off, 2. signal (from here on every worker drops what comes), 3. in one
transaction with the signal's position: destroy the person's key, delete profile, look-ups, activity and
subject, and count them; accounts that have become this one since the person asked go first, 4. take the deleted
bytes out of the files, 5. tombstone the account, 6. verify that every table counts zero, and close the case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa

from services.enricher import records
from services.enricher.access import records as access_records
from services.enricher.persons.accounts import AccountBook
from services.enricher.persons.directory import Directory
from services.enricher.persons.joining import split
from services.enricher.persons.vault import Vault, scrub
from services.enricher.retention.records import isolated_activity, last_heard
from services.enricher.rights.holds import Holds
from services.enricher.rights.ordering import bring_into_force
from services.enricher.rights.signals import Signal, Signals
from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.errors import Fatal, VoileError

__all__ = ["Case", "NotErased", "Rights", "summed"]

OPEN, DELETED, DONE = "open", "deleted", "done"  # states of a case
PART_DIGITS = 12  # of an account's digest: tells the accounts of one person apart
_STORES: Mapping[str, sa.Table] = {
    "activity": records.activity,
    "isolated_activity": isolated_activity,
    "last_heard": last_heard,
    "notes": access_records.notes,
    "look_ups": records.look_ups,
    "profiles": records.profiles,
    "person_keys": records.person_keys,
    "subjects": records.subjects,
}


class NotErased(VoileError):
    """Rows of the person are still there after everything was deleted."""


@dataclass(frozen=True, slots=True)
class Case:
    """One request. `counts` are the rows deleted by store; of an objection, none."""

    case: str
    tenant: str
    kind: str
    state: str
    cutoff: datetime
    counts: Mapping[str, int]


class Rights:
    def __init__(
        self,
        *,
        engine: sa.Engine,
        vault: Vault,
        directory: Directory,
        accounts: AccountBook,
        signals: Signals,
        holds: Holds,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._holds = holds
        self._vault = vault
        self._directory = directory
        self._accounts = accounts
        self._signals = signals
        self._clock = clock
        self._resumed_to = -1  # the position of the signals up to which every erasure is known to be done

    def erase(self, tenant: str, account: str, case: str) -> Case:
        """Everything of this person that happened up to now is gone when it returns, for good.

        Call it again with the same `case` after a crash or a `Transient`. Raises `Fatal` when the case is
        another person's, `Held` while a legal hold stands and nothing was signalled yet, `NotErased`.
        """
        with transaction(self._engine) as connection:
            known = connection.execute(_case(case)).one_or_none()
        if known is None:
            self._refuse_held(tenant, self._directory.accounts_of(tenant, account))
        if known is None or known.state == OPEN:  # later they are somebody's of after the cut-off
            for other in self._others(tenant, account):  # first: it is this account that leads to them
                self._erase_one(tenant, other, self._part(case, tenant, other))
        return self._erase_one(tenant, account, case)

    def signal(self, tenant: str, account: str, case: str, *, kind: str = "objection", active: bool = True) -> Case:
        """Signal an objection to statistics (`objection`), to linking (`linking-objection`), a `restriction`,
        or with `active` False that it is lifted. Honoured by every worker before its next batch."""
        if kind == "erasure":
            raise Fatal("An erasure is more than a signal; call erase.")
        for other in self._others(tenant, account):
            self._signal_one(tenant, other, self._part(case, tenant, other), kind, active)
        return self._signal_one(tenant, account, case, kind, active)

    def _signal_one(self, tenant: str, account: str, case: str, kind: str, active: bool) -> Case:
        now = self._clock.now()
        opened = self._open(Signal(case, tenant, account, kind, active, now))
        position = self._signals.publish(Signal(case, tenant, account, kind, active, opened.cutoff))
        with transaction(self._engine) as connection:
            bring_into_force(connection, self._signals, position)
            self._close(connection, case)
        return self.case(case)

    def resume(self) -> Sequence[str]:
        """Carry out every erasure that was signalled and is not done here: the process that asked was killed, or
        these records come from a backup older than the erasure. Returns the cases finished."""
        self._signals.follow()
        position = self._signals.position
        if position == self._resumed_to:
            return []
        done = self._done()
        missing = [signal for signal in self._signals.erasures() if signal.case not in done]
        for signal in missing:
            self._open(signal)
            self._execute(signal.tenant, signal.account, signal.case, position)
        self._resumed_to = position
        return [signal.case for signal in missing]

    def case(self, case: str) -> Case:
        """Raises `Fatal` when there is no such case."""
        with transaction(self._engine) as connection:
            row = connection.execute(_case(case)).one_or_none()
        if row is None:
            raise Fatal(f"There is no rights case {case}.")
        cutoff = datetime.fromtimestamp(row.cutoff_ms / 1000, UTC)
        return Case(row.case, row.tenant, row.kind, row.state, cutoff, orjson.loads(row.counts))

    def parts(self, case: str) -> Sequence[Case]:
        """The case itself and, of a person with several accounts, one of each other account."""
        table = records.cases
        mine = (table.c.case == case) | table.c.case.startswith(f"{case}/", autoescape=True)
        with transaction(self._engine) as connection:
            found = connection.execute(sa.select(table.c.case).where(mine).order_by(table.c.case)).scalars().all()
        return [self.case(part) for part in found]

    def remaining(self, case: str) -> Mapping[str, int]:
        """Rows of the erased person in every table, counted now."""
        parts = self.parts(case)
        with transaction(self._engine) as connection:
            return summed(self._counted(connection, part.case) for part in parts)

    def _erase_one(self, tenant: str, account: str, case: str) -> Case:
        opened = self._open(Signal(case, tenant, account, "erasure", True, self._clock.now()))
        position = self._signals.publish(Signal(case, tenant, account, "erasure", True, opened.cutoff))
        return self._execute(tenant, account, case, position)

    def _others(self, tenant: str, account: str) -> list[str]:
        """The other accounts of the same person."""
        return self._without(tenant, account, self._directory.accounts_of(tenant, account))

    def _without(self, tenant: str, account: str, names: Sequence[str]) -> list[str]:
        mine = self._directory.digest(tenant, "account", account)
        return [name for name in names if self._directory.digest(tenant, "account", name) != mine]

    def _part(self, case: str, tenant: str, account: str) -> str:
        """The case of another account of the person: the same each time, and naming nobody."""
        return f"{case}/{self._directory.digest(tenant, 'account', account).hex()[:PART_DIGITS]}"

    def _refuse_held(self, tenant: str, accounts: Sequence[str]) -> None:
        with transaction(self._engine) as connection:
            for account in accounts:
                self._holds.refuse(connection, tenant, account)

    def _execute(self, tenant: str, account: str, case: str, position: int) -> Case:
        steps: Sequence[Callable[[], None]] = (
            lambda: self._delete_whole(tenant, account, case, position),
            lambda: scrub(self._engine, self._clock),
            lambda: self._accounts.withdraw(tenant, account),
            lambda: self._verify(case),
        )
        for step in steps:
            step()
        return self.case(case)

    def _open(self, signal: Signal) -> Case:
        """Step 1. The row keeps the first cut-off, so that a repeat does not reach further than the first try."""
        now = _ms(self._clock.now())
        row = {
            "case": signal.case,
            "tenant": signal.tenant,
            "account": self._directory.digest(signal.tenant, "account", signal.account),
            "kind": signal.kind,
            "state": OPEN,
            "cutoff_ms": _ms(signal.cutoff),
            "counts": "{}",
            "opened_ms": now,
        }
        with transaction(self._engine) as connection:
            insert = records.insert(connection, records.cases).on_conflict_do_nothing(index_elements=["case"])
            connection.execute(insert, row)
            stored = connection.execute(_case(signal.case)).one()
        if (stored.tenant, bytes(stored.account), stored.kind) != (row["tenant"], row["account"], row["kind"]):
            raise Fatal(f"The case {signal.case} is about another request; give this one a case of its own.")
        return self.case(signal.case)

    def _delete_whole(self, tenant: str, account: str, case: str, position: int) -> None:
        """Step 3. Until its signal is in force the tenant's words still join accounts to this one: they go first, for
        without it nobody would find them."""
        while joined := self._delete(tenant, account, case, position):
            for other in joined:
                self._erase_one(tenant, other, self._part(case, tenant, other))

    def _delete(self, tenant: str, account: str, case: str, position: int) -> list[str]:
        """Whoever gets here first deletes and records the counts; a repeat finds the state moved. Deletes nothing when
        other accounts have become this person, which it returns."""
        with transaction(self._engine) as connection:
            bring_into_force(connection, self._signals, position)
            if connection.execute(_case(case)).one().state != OPEN:
                return []
            if joined := self._joined(connection, tenant, account, case):
                return joined
            subject = self._directory.subject_of(connection, tenant, account)
            counts = self._delete_rows(connection, subject) if subject else dict.fromkeys(_STORES, 0)
            self._update(connection, case, state=DELETED, subject=subject, counts=orjson.dumps(counts).decode())
        return []

    def _joined(self, connection: sa.Connection, tenant: str, account: str, case: str) -> list[str]:
        """The person's other accounts, of the case that speaks for all of them. One that a hold keeps becomes a person
        of its own again, and so does one that was erased already and came back with a newer word."""
        if case.endswith(self._part("", tenant, account)):
            return []  # one of several: the person's own case comes last
        others = self._without(tenant, account, self._directory.accounts_within(connection, tenant, account))
        kept = [other for other in others if self._stays(connection, tenant, other, case)]
        subjects = [self._directory.subject_of(connection, tenant, other) for other in kept]
        split(connection, [subject for subject in subjects if subject is not None])
        return [other for other in others if other not in kept]

    def _stays(self, connection: sa.Connection, tenant: str, account: str, case: str) -> bool:
        part = connection.execute(_case(self._part(case, tenant, account))).one_or_none()
        is_done = part is not None and part.state != OPEN
        return is_done or self._holds.stands(connection, tenant, account)

    def _delete_rows(self, connection: sa.Connection, subject: str) -> dict[str, int]:
        counts = {"person_keys": self._vault.destroy(connection, subject)}
        for name, table in _STORES.items():
            if name != "person_keys":
                counts[name] = connection.execute(sa.delete(table).where(table.c.subject == subject)).rowcount
        return counts

    def _verify(self, case: str) -> None:
        """Step 6. The subject is a random id; without its key it names nobody, and it stays in the case as evidence."""
        with transaction(self._engine) as connection:
            left = self._counted(connection, case)
            if any(left.values()):
                raise NotErased(f"Rows are left after the erasure of case {case}: {left}; run the same command again.")
            self._close(connection, case)

    def _counted(self, connection: sa.Connection, case: str) -> dict[str, int]:
        subject = connection.execute(_case(case)).one().subject
        return {name: _count(connection, table, subject) for name, table in _STORES.items()}

    def _done(self) -> frozenset[str]:
        table = records.cases
        with transaction(self._engine) as connection:
            return frozenset(connection.execute(sa.select(table.c.case).where(table.c.state == DONE)).scalars())

    def _close(self, connection: sa.Connection, case: str) -> None:
        self._update(connection, case, state=DONE, done_ms=_ms(self._clock.now()))

    def _update(self, connection: sa.Connection, case: str, **values: object) -> None:
        connection.execute(sa.update(records.cases).where(records.cases.c.case == case).values(**values))


def summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Store -> rows, of several accounts together."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


def _count(connection: sa.Connection, table: sa.Table, subject: str | None) -> int:
    return connection.execute(sa.select(sa.func.count()).where(table.c.subject == subject)).scalar_one()


def _case(case: str) -> sa.Select[Any]:
    return sa.select(records.cases).where(records.cases.c.case == case)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
