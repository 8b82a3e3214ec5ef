"""The terms of what the statistics plane keeps: open days, keyed accounts, published figures, releases, counts of
sources. Closing deletes the first two; here it is proved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import polars as pl
import sqlalchemy as sa

from services.runtime.clickhouse import Analytics, sql
from services.runtime.retention.keeping import Held, Keeper
from services.runtime.retention.rows import Dated, RowsKeeper
from services.runtime.retention.terms import Standing, Terms
from services.stats.collection.records import counts, sources
from services.stats.days.forgetting import delete_events
from services.stats.days.periods import named, over
from services.stats.days.states import CLOSED, Days, TenantDay, due
from services.stats.delivery import downloads as deliveries
from services.stats.engine import engine_errors
from services.stats.figures.cells import delete_cells_before, kept_before, old_cells, oldest_kept
from services.stats.store import SQL
from services.stats.tenants.registry import Tenant

__all__ = ["keepers", "standing_of"]

_vectors = sa.table("release_vectors", sa.column("tenant", sa.String), sa.column("day", sa.Date))


def keepers(analytics: Analytics, records: sa.Engine, zone: ZoneInfo) -> Sequence[Keeper]:
    """One for each type of data of this plane. `analytics`: a client of the caller's own."""
    reported = sa.select(sources.c.tenant, counts.c.block.label("at")).join_from(
        counts, sources, counts.c.source == sources.c.source
    )
    noisy = sa.select(_vectors.c.tenant, _vectors.c.day.label("at"))
    return (
        OpenDaysKeeper(analytics, records, zone),
        ActiveAccountsKeeper(analytics, records, zone),
        FiguresKeeper(analytics, records),
        RowsKeeper("releases", records, noisy, _DAYS, _delete_noisy),
        RowsKeeper("deliveries", records, deliveries.ROWS, _SECONDS, deliveries.delete_before),
        RowsKeeper("collection", records, reported, _SECONDS, _delete_reported),
    )


def standing_of(tenant: Tenant) -> Standing:
    return Standing(tenant.status, tenant.retention)


@dataclass(frozen=True, slots=True)
class OpenDaysKeeper:
    """Event rows. What is due closes by itself; a closing that does not get on shows here. What came of a tenant while
    it left is deleted here."""

    analytics: Analytics
    records: sa.Engine
    zone: ZoneInfo
    kind: str = "open-days"

    @engine_errors()
    def held(self, terms: Terms, now: datetime) -> Sequence[Held]:
        found = self.analytics.frame(sql(SQL, "event_days"))
        late = {day.pair for day in Days(self.records).listed() if day.state == CLOSED or due(day, now, self.zone)}
        overdue = pl.Series(
            [TenantDay(t, d) in late or terms.is_gone(t) for t, d, _ in found.iter_rows()], dtype=pl.Boolean
        )
        return _held(found.with_columns(over=overdue), self.zone)

    @engine_errors()
    def remove(self, terms: Terms, now: datetime) -> Mapping[str, int]:  # noqa: ARG002  # closing does the others
        found = self.analytics.frame(sql(SQL, "event_days"))
        strays = {TenantDay(t, d): n for t, d, n in found.iter_rows() if terms.is_gone(t)}
        if strays:
            delete_events(self.analytics, list(strays))
        return {pair.tenant: rows for pair, rows in strays.items()}


@dataclass(frozen=True, slots=True)
class ActiveAccountsKeeper:
    """Keyed accounts of weeks and months; closing these deletes them. A period that is over waits for its days: of an
    import of days long past, for a day. One of which a day is overdue shows there too."""

    analytics: Analytics
    records: sa.Engine
    zone: ZoneInfo
    kind: str = "active-accounts"

    @engine_errors()
    def held(self, terms: Terms, now: datetime) -> Sequence[Held]:
        found = self.analytics.frame(sql(SQL, "held_active"))
        periods = [named(name) for name in found["period_name"]]
        open_ = [
            day.pair for day in Days(self.records).listed() if day.state != CLOSED and not due(day, now, self.zone)
        ]
        late = [
            terms.is_gone(t) or (over(p, now, self.zone) and not any(d.tenant == t and d.day in p for d in open_))
            for p, t in zip(periods, found["tenant_name"], strict=True)
        ]
        days = pl.Series("day", [period.first for period in periods], dtype=pl.Date)
        placed = found.with_columns(days, over=pl.Series(late, dtype=pl.Boolean))
        return _held(placed, self.zone)

    def remove(self, terms: Terms, now: datetime) -> Mapping[str, int]:  # noqa: ARG002  # closing does it
        return {}


@dataclass(frozen=True, slots=True)
class FiguresKeeper:
    """Final cells, in the store that the pages read and in the records that fill it again."""

    analytics: Analytics
    records: sa.Engine
    kind: str = "figures"

    @engine_errors()
    def held(self, terms: Terms, now: datetime) -> Sequence[Held]:
        oldest = oldest_kept(self.records)
        rows = dict.fromkeys(oldest, 0)
        for tenant, number, day in self.analytics.frame(sql(SQL, "held_cells")).iter_rows():
            rows[tenant], oldest[tenant] = number, min(day, oldest.get(tenant, day))
        late = self._over(terms, now, list(rows))
        return [Held(t, n, datetime.combine(oldest[t], time(), UTC), late.get(t, 0)) for t, n in rows.items()]

    @engine_errors()
    def remove(self, terms: Terms, now: datetime) -> Mapping[str, int]:
        there = [held.tenant for held in self.held(terms, now)]
        removed = self._over(terms, now, there)
        for cutoff, tenants in terms.by_cutoff(self.kind, now, list(removed)).items():
            delete_cells_before(self.analytics, self.records, tenants, cutoff.date())
        return removed

    def _over(self, terms: Terms, now: datetime, tenants: Sequence[str]) -> dict[str, int]:
        """Cells of either place; days without any cell are in the records alone."""
        found: dict[str, int] = {}
        for cutoff, group in terms.by_cutoff(self.kind, now, tenants).items():
            shown = old_cells(self.analytics, group, cutoff.date())
            kept = kept_before(self.records, group, cutoff.date())
            found |= {tenant: max(shown.get(tenant, 0), kept.get(tenant, 0)) for tenant in {*shown, *kept}}
        return found


def _held(found: pl.DataFrame, zone: ZoneInfo) -> list[Held]:
    """`found`: tenant_name, day, rows and over, one row a day or period."""
    late = pl.col("rows").filter("over").sum().alias("late")
    by_tenant = found.group_by("tenant_name").agg(pl.col("rows").sum().alias("all"), pl.col("day").min(), late)
    rows = by_tenant.sort("tenant_name").select("tenant_name", "all", "day", "late").iter_rows()
    return [Held(tenant, n, datetime.combine(day, time(), zone), late or 0) for tenant, n, day, late in rows]


_DAYS = Dated(lambda day: datetime.combine(day, time(), UTC), lambda at: at.date())
_SECONDS = Dated(lambda seconds: datetime.fromtimestamp(seconds, UTC), lambda at: int(at.timestamp()))


def _delete_noisy(connection: sa.Connection, tenants: Sequence[str], before: date) -> None:
    """The noisy figures; that the day was charged stays: its noise must never be drawn again."""
    old = (_vectors.c.tenant.in_(tenants), _vectors.c.day < before)
    connection.execute(_vectors.delete().where(*old))


def _delete_reported(connection: sa.Connection, tenants: Sequence[str], before: int) -> None:
    mine = counts.c.source.in_(sa.select(sources.c.source).where(sources.c.tenant.in_(tenants)))
    connection.execute(counts.delete().where(mine, counts.c.block < before))
