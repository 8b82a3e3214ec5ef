"""Erasing one account's rows of the open days, and answering every signal. Closed days hold nobody's rows.

1. the signal is in force already: what comes later is dropped by `drop_suppressed`; 2. delete the rows of every
day that still has a key, and the account from the open weeks and months; 3. wait until the old parts have left the
disk, and count what is left; 4. send the receipts; 5. remember the case. A crash anywhere repeats it from 2, and the
receipts may come twice.

What identifies an account's events is its pseudonym of the day: whoever holds the day's key can compute it from the
account. Accesses without an account carry only the pseudonym of an address and an agent, which no rights case knows;
they are nobody's, and go with their day.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from services.runtime.clickhouse import Analytics, sql
from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.errors import Transient
from services.runtime.log.interface import EventLog
from services.runtime.receipts import ACKNOWLEDGED, COMPLETED, PRESENT, Receipt, receipt_message
from services.stats.days.forgetting import clear_old_parts
from services.stats.pseudonyms.active import ActiveAccounts
from services.stats.pseudonyms.digests import account_pseudonym
from services.stats.pseudonyms.keyring import Keyring
from services.stats.records import erasures
from services.stats.rights.suppression import Signal
from services.stats.store import SQL

__all__ = ["ANSWERED", "Erasures"]

EVENTS, ACTIVE = "statistics events", "active accounts"  # stores, as receipts name them
ANSWERED = frozenset({"erasure", "objection", "restriction"})  # an objection to linking says nothing here


@dataclass(frozen=True)
class Erasures:
    """Use from the worker's loop: between two batches no row of the account is on its way."""

    analytics: Analytics
    records: sa.Engine
    keyring: Keyring
    active: ActiveAccounts
    log: EventLog
    member: str
    clock: Clock

    @property
    def worker(self) -> str:
        return f"stats/{self.member}"

    def say_present(self) -> None:
        """That this worker runs, and so has to answer the signals of now. Raises `Transient`."""
        self.log.send([receipt_message(Receipt("", self.worker, PRESENT, self.clock.now()))])

    def execute(self, signal: Signal) -> None:
        """Does nothing for a case that is done. Raises `Transient` when a store or the log is away."""
        if self._is_done(signal.case):
            return
        days = self.keyring.days(signal.tenant)
        deleted = sum(self._delete(signal, day) for day in days)
        if deleted:
            clear_old_parts(self.analytics, self.clock)
        remaining = sum(self._count(signal, day) for day in days)
        if remaining:
            raise Transient("Rows of an erased account are still in the statistics store; they are deleted again.")
        noted = self.active.forget(signal.tenant, [signal.account])
        self._answer(signal.case, COMPLETED, {EVENTS: (deleted, remaining), ACTIVE: (noted, 0)})
        self._remember(signal.case, deleted)

    def object(self, tenant: str, accounts: Collection[str]) -> None:
        """Who objected is in no open week and month any more; the days honour objections when they close."""
        self.active.forget(tenant, accounts)

    def acknowledge(self, case: str) -> None:
        """The signal is in force here from now on; nothing of it has to be deleted, or it was."""
        if not self._is_done(case):
            self._answer(case, ACKNOWLEDGED, {EVENTS: (0, 0)})
            self._remember(case, 0)

    def _delete(self, signal: Signal, day: date) -> int:
        rows = self._count(signal, day)
        of = self._rows_of(signal, day)
        if rows and of:
            self.analytics.delete(sql(SQL, "delete_account"), of)
        return rows

    def _count(self, signal: Signal, day: date) -> int:
        of = self._rows_of(signal, day)
        return int(self.analytics.frame(sql(SQL, "count_account"), of)["rows"][0]) if of else 0

    def _rows_of(self, signal: Signal, day: date) -> dict[str, Any] | None:
        """None once the day is closed: its rows are gone."""
        key = self.keyring.existing(signal.tenant, day)
        if key is None:
            return None
        account = account_pseudonym(key, signal.tenant, signal.account)
        return {"tenant": signal.tenant, "day": day, "account": account, "cutoff": signal.cutoff}

    def _is_done(self, case: str) -> bool:
        mine = (erasures.c.case == case) & (erasures.c.member == self.member)
        with transaction(self.records) as connection:
            return connection.execute(sa.select(erasures.c.case).where(mine)).first() is not None

    def _answer(self, case: str, state: str, stores: Mapping[str, tuple[int, int]]) -> None:
        """`stores`: rows deleted there, and counted there afterwards."""
        now = self.clock.now()
        receipts = [Receipt(case, self.worker, state, now, store, *rows) for store, rows in stores.items()]
        self.log.send([receipt_message(receipt) for receipt in receipts])

    def _remember(self, case: str, deleted: int) -> None:
        row = {"case": case, "member": self.member, "deleted": deleted, "at": self.clock.now().isoformat()}
        with transaction(self.records) as connection:
            connection.execute(sa.insert(erasures).values(row))
