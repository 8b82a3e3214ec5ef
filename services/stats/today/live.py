"""The tenants' requests of today, told a second or two after they came. Nothing else is live.

The worker's process counts and rounds (`LiveCounter`), the pages read what it published (`LiveTotals`): they cannot
read events. A part of the store never changes, so it is counted once, when it is new; a look at a quiet store costs
one look at the list of parts. What is told follows the same rule as every other figure: a tenant's total stays unsaid
until enough people made it, and is rounded by the day's key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import sqlalchemy as sa

from services.runtime.clickhouse import Analytics, sql
from services.runtime.clock import Clock
from services.runtime.database import insert_into, transaction
from services.runtime.errors import Transient
from services.runtime.logs import get_logger
from services.runtime.stop import Stop
from services.stats.counting.parts import Parts
from services.stats.engine import engine_errors
from services.stats.figures.cubes import Cube, Measure
from services.stats.figures.disclosure import PublishedCells, publish_sums, together
from services.stats.pseudonyms.digests import account_pseudonym
from services.stats.pseudonyms.keyring import Keyring
from services.stats.store import SQL
from services.stats.today.records import live_totals

__all__ = ["LIVE", "LOOK_S", "LiveCounter", "LiveTotals"]

LOOK_S = 0.25  # a batch waits half a second for company, a page asks every second: two seconds in all, with the write
OBJECTORS_S = 10.0  # how soon a new objection is honoured here; asking for them costs more than the look itself
LIVE = Cube("live", (), "requests", (Measure("requests", "sum"),), None)


class LiveTotals:
    """The published totals. Every method is one transaction; raises `Transient`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def put(self, day: date, cells: PublishedCells, tenants: Collection[str]) -> None:
        """What may be told of `tenants` on `day`: who is not in `cells` loses what they had. So do other days."""
        rows = [
            {"tenant": tenant, "day": day, "requests": requests}
            for tenant, requests in cells.select("tenant", "value").sort("tenant").iter_rows()
        ]
        with transaction(self._engine) as connection:
            before = (live_totals.c.day != day) | live_totals.c.tenant.in_(tenants)
            connection.execute(live_totals.delete().where(before))
            if rows:
                statement = insert_into(connection, live_totals).on_conflict_do_nothing()
                connection.execute(statement, rows)  # another process says the same

    def of(self, tenant: str, day: date) -> int | None:
        """None: nobody came, or too few to be told."""
        query = sa.select(live_totals.c.requests).where(live_totals.c.tenant == tenant, live_totals.c.day == day)
        with transaction(self._engine) as connection:
            found: int | None = connection.execute(query).scalar()
            return found


@dataclass
class _Today:
    """What is known of one day. `parts`: requests by tenant in each part. `people`: the row that let a tenant pass."""

    day: date
    objectors: frozenset[int] = frozenset()
    parts: dict[str, Counter[str]] = field(default_factory=dict)
    people: dict[str, Mapping[str, int]] = field(default_factory=dict)
    seen: Mapping[str, int] = field(default_factory=dict)


class LiveCounter:
    """Use from one thread, with a store client of its own. Several processes may do the same: it comes to the same."""

    def __init__(
        self,
        analytics: Analytics,
        totals: LiveTotals,
        keys: Keyring,
        objectors: Callable[[str], Iterable[str]],
        *,
        clock: Clock,
        zone: ZoneInfo,
    ) -> None:
        self._analytics, self._totals, self._keys = analytics, totals, keys
        self._objectors, self._clock, self._zone = objectors, clock, zone
        self._parts = Parts(analytics)
        self._today, self._objectors_due = _Today(date.min), clock.now()

    def run(self, stop: Stop) -> None:
        """Until `stop`. What must wait is tried again."""
        try:
            while not stop.is_set:
                try:
                    self.look()
                except Transient as error:
                    get_logger().warning("live totals wait", reason=str(error), retry_after_s=error.retry_after_s)
                    stop.wait(error.retry_after_s)
                stop.wait(LOOK_S)
        finally:
            self._analytics.close()

    @engine_errors()
    def look(self) -> None:
        """Counts what is new and publishes what changed. Raises `Transient`."""
        day = self._clock.now().astimezone(self._zone).date()
        if day != self._today.day:
            self._today, self._objectors_due = _Today(day), self._clock.now()
        counted = self._without_objectors(self._count(self._today))
        before = self._today.seen
        changed = {t: counted.get(t, 0) for t in sorted({*counted, *before}) if counted.get(t) != before.get(t)}
        if changed:
            self._totals.put(day, self._told(self._today, changed), changed)
        self._today.seen = counted

    def _without_objectors(self, counted: Mapping[str, int]) -> Mapping[str, int]:
        """Everything once more when somebody objected, or took it back."""
        today, now = self._today, self._clock.now()
        if now < self._objectors_due and set(counted) <= set(today.seen):
            return counted
        self._objectors_due = now + timedelta(seconds=OBJECTORS_S)
        objectors = frozenset(self._digests(counted, today.day))
        if objectors == today.objectors:
            return counted
        self._today = _Today(today.day, objectors, seen=today.seen)
        return self._count(self._today)

    def _digests(self, tenants: Iterable[str], day: date) -> Iterable[int]:
        for tenant in tenants:
            accounts = list(self._objectors(tenant))
            key = self._keys.existing(tenant, day) if accounts else None
            if key is not None:
                yield from (account_pseudonym(key, tenant, account) for account in accounts)

    def _count(self, today: _Today) -> Mapping[str, int]:
        """Requests by tenant. A part that was merged away while it was counted waits for the next look."""
        active = self._parts.active()
        new = [part for part in active if part not in today.parts]
        if new:
            today.parts |= self._counted(today, new)
        today.parts = {part: today.parts[part] for part in active if part in today.parts}
        if len(today.parts) < len(active):
            return today.seen
        counted: Counter[str] = Counter()
        for requests in today.parts.values():
            counted.update(requests)
        return counted

    def _counted(self, today: _Today, parts: Sequence[str]) -> dict[str, Counter[str]]:
        rows = self._analytics.frame(sql(SQL, "live_parts"), {"parts": list(parts), **_asked(today)})
        found: dict[str, Counter[str]] = {}
        for part, tenant, requests in rows.iter_rows():
            counter = found.setdefault(part, Counter())
            if tenant:
                counter[tenant] += requests
        return found

    def _told(self, today: _Today, counted: Mapping[str, int]) -> PublishedCells:
        """What may be told of `counted`. Who let a tenant pass is looked for only until it has passed."""
        people = self._people(today, [tenant for tenant in counted if tenant not in today.people])
        known = {**today.people, **people}
        keys = {(t, today.day): key for t in counted if (key := self._keys.existing(t, today.day)) is not None}
        sums = [_sums(tenant, today.day, known[tenant], counted[tenant]) for tenant in counted if tenant in known]
        if not sums or not keys:
            return together([])
        told = publish_sums(pl.DataFrame(sums), lambda cells: cells, LIVE, keys)
        passed = set(told["tenant"])
        today.people |= {tenant: row for tenant, row in people.items() if tenant in passed}
        return told

    def _people(self, today: _Today, tenants: Sequence[str]) -> dict[str, Mapping[str, int]]:
        if not tenants:
            return {}
        rows = self._analytics.frame(sql(SQL, "live_people"), {"tenants": list(tenants), **_asked(today)})
        return {row.pop("tenant_name"): row for row in rows.iter_rows(named=True)}


def _asked(today: _Today) -> dict[str, object]:
    return {"day": today.day, "objectors": sorted(today.objectors)}


def _sums(tenant: str, day: date, people: Mapping[str, int], requests: int) -> dict[str, object]:
    return {"tenant": tenant, "day": day, "dim1": "", "dim2": "", **people, "requests": requests}
