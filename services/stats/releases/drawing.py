"""A closing day's one draw: bound, charge, draw, store. The order is the privacy design."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from services.runtime.clickhouse import Analytics
from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.stats.days.states import TenantDay
from services.stats.releases.bounding import Secret, bounded_sums
from services.stats.releases.catalogues import Catalogue, catalogues_of
from services.stats.releases.ledger import Scopes, charge, charged_among, days_without_rows, ever_charged, store
from services.stats.releases.noise import Noise, Vectors, discrete_gaussian
from services.stats.releases.route_tables import RouteTables
from services.stats.releases.split import Split, declared_split

__all__ = ["DAYS_AT_ONCE", "Drawing"]

DAYS_AT_ONCE = 100  # (tenant, day) bounded together: their cells are in memory, most of them zeros


@dataclass(frozen=True)
class Drawing:
    """All that drawing needs. `opted_in`: tenant -> what it takes part in now."""

    analytics: Analytics
    records: sa.Engine
    opted_in: Callable[[str], Scopes]
    clock: Clock
    zone: ZoneInfo
    split: Split = field(default_factory=declared_split)
    random: Callable[[int], bytes] = secrets.token_bytes

    def draw(self, closing: Sequence[TenantDay], objected: str | None = None) -> int:
        """Step 4 of closing: the draw of every closing (tenant, day) whose tenant opted in, once for all time; call it
        again after a crash as you like. Returns how many days were drawn and stored.

        The caller holds the closing lease and drops the events afterwards. `objected`: a table of visitors that are not
        counted. Days without a single row get their noise too, from the tenant's first drawn day on: if only days with
        rows had a value, having one would tell that somebody was there.
        """
        wanted = {pair: scopes for pair in sorted(closing) if any(scopes := self.opted_in(pair.tenant))}
        with transaction(self.records) as connection:
            charged = charged_among(connection, wanted)
        new = [pair for pair in wanted if pair not in charged]
        drawn = self._draw_each(new, objected)
        return drawn + self._draw_each(self._silent({pair.tenant: pair.day for pair in wanted}), None)

    def draw_silent(self, through: date) -> int:
        """Draws the days up to `through`, and before today, that no row ever came for, also where none closes after
        them: a day that is missing until somebody comes would tell that nobody did. Returns how many; the caller holds
        the closing lease. A row of such a day that comes later is in no release (ADR 0073)."""
        last = min(through, self.clock.now().astimezone(self.zone).date() - timedelta(days=1))
        with transaction(self.records) as connection:
            tenants = [tenant for tenant in ever_charged(connection) if any(self.opted_in(tenant))]
        return self._draw_each(self._silent(dict.fromkeys(tenants, last)), None)

    def _silent(self, last: Mapping[str, date]) -> list[TenantDay]:
        """`last`: tenant -> up to which day."""
        with transaction(self.records) as connection:
            return [
                TenantDay(tenant, day)
                for tenant, newest in last.items()
                for day in days_without_rows(connection, tenant, newest)
            ]

    def _draw_each(self, pairs: Sequence[TenantDay], objected: str | None) -> int:
        """1. Sum the bounded contributions and prove the bounds; nothing is charged when that fails. Then, day by day:
        2. charge it, durably; 3. draw; 4. store the noisy values, and only those."""
        if not pairs:
            return 0
        noise = discrete_gaussian(self.split)
        drawn = 0
        for group in (pairs[at : at + DAYS_AT_ONCE] for at in range(0, len(pairs), DAYS_AT_ONCE)):
            routes = RouteTables(self.records, self.clock, self.zone).before(group)
            catalogues = {pair: catalogues_of(self.split, routes[pair]) for pair in group}
            secret = Secret.of(self.random(16))
            sums = bounded_sums(self.analytics, self.split, catalogues, secret, objected)  # 1
            drawn += sum(self._draw_one(pair, sums[pair], catalogues[pair], noise) for pair in group)
        return drawn

    def _draw_one(self, pair: TenantDay, sums: Vectors, catalogues: Mapping[str, Catalogue], noise: Noise) -> bool:
        """False when the day was charged before: then nothing is drawn, whether its cells are there or lost."""
        rho = self.split.rho_of(sums.keys())
        epsilon, scopes = noise.epsilon(rho), self.opted_in(pair.tenant)
        now = self.clock.now()
        if not charge(self.records, *pair, rho=rho, delta=self.split.delta, scopes=scopes, now=now):  # 2
            return False
        noisy = noise.draw(sums)  # 3
        store(  # 4
            self.records,
            pair.tenant,
            pair.day,
            noisy,
            split=self.split,
            catalogues=catalogues,
            epsilon=epsilon,
            now=self.clock.now(),
        )
        return True
