"""Erasing one account's rows of the open days, and saying so. Closed days hold nobody's rows.

1. the signal is in force already: what comes later is dropped by `drop_suppressed`; 2. delete the rows of every
day that still has a key, and the account from the open weeks and months; 3. wait until the old parts have left the
disk; 4. send the receipt; 5. remember the case. A crash anywhere repeats it from 2, and the receipt may come twice.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from services.runtime import avro
from services.runtime.clickhouse import Analytics, sql
from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.log.interface import EventLog, Message
from services.runtime.topics import TOPICS
from services.stats.active import ActiveAccounts
from services.stats.forgetting import clear_old_parts
from services.stats.keyring import Keyring
from services.stats.pseudonyms import account_pseudonym
from services.stats.records import erasures
from services.stats.store import SQL
from services.stats.suppression import Signal

__all__ = ["Erasures"]

STORE = "statistics events"


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

    def execute(self, signal: Signal) -> None:
        """Does nothing for a case that is done. Raises `Transient` when a store or the log is away."""
        if self._is_done(signal.case):
            return
        deleted = sum(self._delete(signal, day) for day in self.keyring.days(signal.tenant))
        if deleted:
            clear_old_parts(self.analytics, self.clock)
        self.active.forget(signal.tenant, [signal.account])
        self._send_receipt(signal.case, deleted)
        self._remember(signal.case, deleted)

    def object(self, tenant: str, accounts: Collection[str]) -> None:
        """Who objected is in no open week and month any more; the days honour objections when they close."""
        self.active.forget(tenant, accounts)

    def _delete(self, signal: Signal, day: date) -> int:
        key = self.keyring.existing(signal.tenant, day)
        if key is None:  # closed meanwhile: its rows are gone
            return 0
        account = account_pseudonym(key, signal.tenant, signal.account)
        of = {"tenant": signal.tenant, "day": day, "account": account, "cutoff": signal.cutoff}
        rows = int(self.analytics.frame(sql(SQL, "count_account"), of)["rows"][0])
        if rows:
            delete = sql(SQL, "delete_account")
            self.analytics.client.command(delete, parameters=of, settings={"mutations_sync": 2})
        return rows

    def _is_done(self, case: str) -> bool:
        mine = (erasures.c.case == case) & (erasures.c.member == self.member)
        with transaction(self.records) as connection:
            return connection.execute(sa.select(erasures.c.case).where(mine)).first() is not None

    def _send_receipt(self, case: str, deleted: int) -> None:
        receipt = {
            "case": case,
            "worker": f"stats/{self.member}",
            "state": "completed",
            "store": STORE,
            "deleted": deleted,
            "at": self.clock.now(),
        }
        value = avro.encode_record(receipt, "privacy_receipt")
        self.log.send([Message(TOPICS["privacy-receipt"].name, f"{case}/stats/{self.member}".encode(), value)])

    def _remember(self, case: str, deleted: int) -> None:
        row = {"case": case, "member": self.member, "deleted": deleted, "at": self.clock.now().isoformat()}
        with transaction(self.records) as connection:
            connection.execute(sa.insert(erasures).values(row))
