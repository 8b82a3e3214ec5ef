"""Who was active in the open weeks and months: keyed accounts alone, for counting each once.

An account of a day is known under the day's key, which is gone with the day; so the worker, which alone reads accounts,
notes each under the key of its week and of its month too. Noted before the batch is stored: a batch that comes again
notes the same. Rows of bots, of objectors and of closed days note nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import date

import polars as pl

from services.runtime.clickhouse import Analytics, sql
from services.runtime.clock import Clock
from services.stats.days.forgetting import wait_until_gone
from services.stats.days.periods import KINDS, Period, PeriodKeys, TenantPeriod
from services.stats.pseudonyms.digests import account_pseudonyms
from services.stats.store import SQL

__all__ = ["ACTIVE", "ActiveAccounts", "Activity", "count_active", "delete_active"]

ACTIVE: dict[str, pl.DataType] = {"tenant": pl.String(), "period": pl.String(), "account": pl.UInt64()}
SEEN_MAX = 1_000_000  # keyed accounts remembered as noted already, about 60 MB; beyond it all are noted anew
_FIRST = {"week": "1w", "month": "1mo"}  # polars: weeks begin on Monday


class Activity:
    """The pipeline's step: accesses -> keyed accounts of their weeks and months."""

    def __init__(self, keys: PeriodKeys, objectors: Callable[[str], Iterable[str]]) -> None:
        self._keys, self._objectors = keys, objectors

    def active(self, frame: pl.DataFrame) -> pl.DataFrame:
        """`ACTIVE` rows of `frame`, which has tenant, event_day, account (clear, null: not logged in), bot_class and
        late."""
        known = pl.col("account").is_not_null() & (pl.col("bot_class") == "human") & (pl.col("late") == 0)
        people = frame.filter(known)
        if people.is_empty():
            return pl.DataFrame(schema=ACTIVE)
        days = people.select("tenant", "event_day", "account").unique()
        found = [self._of_period(kind, *group) for kind in KINDS for group in _groups(days, _FIRST[kind])]
        return pl.concat([pl.DataFrame(schema=ACTIVE), *found])

    def _of_period(self, kind: str, tenant: str, first: date, accounts: set[str]) -> pl.DataFrame:
        period = Period(kind, first)  # type: ignore[arg-type]  # one of KINDS
        key = self._keys.key(TenantPeriod(tenant, period))
        counted = sorted(accounts - set(self._objectors(tenant))) if key else []
        if key is None or not counted:
            return pl.DataFrame(schema=ACTIVE)
        digests = pl.Series("account", account_pseudonyms(key, tenant, counted))
        return pl.DataFrame([digests]).select(
            pl.lit(tenant).alias("tenant"), pl.lit(str(period)).alias("period"), "account"
        )


class ActiveAccounts:
    """The table, as the worker writes it. Use from one thread."""

    def __init__(self, analytics: Analytics, keys: PeriodKeys, clock: Clock) -> None:
        self._analytics, self._keys, self._clock = analytics, keys, clock
        self._seen: dict[tuple[str, str], set[int]] = defaultdict(set)

    def note(self, active: pl.DataFrame) -> None:
        """Makes sure that the rows of `active` are in the table: those not seen before are inserted."""
        unseen = [account not in self._seen[tenant, period] for tenant, period, account in active.iter_rows()]
        new = active.filter(pl.Series(unseen, dtype=pl.Boolean))
        if new.is_empty():
            return
        self._analytics.insert("active_accounts", new)
        if sum(map(len, self._seen.values())) > SEEN_MAX:
            self._seen.clear()
        for tenant, period, account in new.iter_rows():
            self._seen[tenant, period].add(account)

    def forget(self, tenant: str, accounts: Collection[str]) -> int:
        """Deletes accounts from the open weeks and months, and from the disk. Returns how many rows there were."""
        found = 0
        for of in list(self._keys.open(tenant)):
            if (key := self._keys.existing(of)) is None:
                continue
            digests = account_pseudonyms(key, tenant, accounts).tolist()
            self._seen[tenant, str(of.period)].difference_update(digests)
            found += delete_active(self._analytics, self._clock, of, digests)
        return found


def count_active(analytics: Analytics, of: TenantPeriod) -> int:
    """How many accounts stand in one tenant's period."""
    return int(analytics.frame(sql(SQL, "count_active"), _names(of, None))["accounts"][0])


def delete_active(analytics: Analytics, clock: Clock, of: TenantPeriod, accounts: Sequence[int] | None = None) -> int:
    """Deletes `accounts`, or everybody, of one tenant's period, from the disk too. Returns how many there were."""
    names = _names(of, accounts)
    there = int(analytics.frame(sql(SQL, "count_active"), names)["accounts"][0])
    if there:
        analytics.delete(sql(SQL, "delete_active"), names)
        wait_until_gone(analytics, clock, "active_accounts", lambda: None, "2")
    return there


def _names(of: TenantPeriod, accounts: Sequence[int] | None) -> dict[str, object]:
    everybody = int(accounts is None)
    return {"tenant": of.tenant, "period": str(of.period), "all": everybody, "accounts": list(accounts or ())}


def _groups(days: pl.DataFrame, every: str) -> Iterator[tuple[str, date, set[str]]]:
    by_period = days.group_by("tenant", pl.col("event_day").dt.truncate(every).alias("first")).agg("account")
    return ((tenant, first, set(accounts)) for tenant, first, accounts in by_period.iter_rows())
