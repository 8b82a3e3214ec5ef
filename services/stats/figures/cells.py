"""Published cells: kept once in the plane's records, written once to the statistics store, and read back.

Those of a day, and the one of a week or a month. No other module writes either table.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date

import polars as pl
import sqlalchemy as sa

from services.runtime.clickhouse import Analytics, sql
from services.runtime.database import insert_into, transaction
from services.runtime.errors import Fatal
from services.stats.days.periods import TenantPeriod, named
from services.stats.days.states import TenantDay
from services.stats.figures.cubes import PERIOD_CUBES
from services.stats.figures.disclosure import PUBLISHED, PublishedCells, together
from services.stats.records import day_cells, periods
from services.stats.store import SQL

__all__ = [
    "cells_kept",
    "delete_cells_before",
    "delete_tenant",
    "discard_cells",
    "is_kept",
    "keep_cells",
    "keep_period",
    "kept_before",
    "kept_cells",
    "kept_of",
    "kept_period",
    "kept_periods",
    "newest_kept",
    "old_cells",
    "oldest_kept",
    "publish_cells",
    "publish_period",
    "replace_provisional",
    "shown_of",
    "without_cells",
]

_CELL = list(PUBLISHED)
_DATE32_MAX = date(2299, 12, 31)  # of the store's type
_NOT_WRITTEN = "Published cells do not read back as they were written; check the disk, then close the day again."


def keep_cells(connection: sa.Connection, pairs: Sequence[TenantDay], cells: PublishedCells) -> None:
    """Into the records, one row a (tenant, day), also for a day that shows nothing. From here on they are final:
    a closing that is resumed publishes these, and computes none again."""
    by_day = cells.partition_by(["tenant", "day"], as_dict=True)
    frames = [by_day.get((pair.tenant, pair.day), cells.clear()) for pair in pairs]
    rows = [
        {"tenant": pair.tenant, "day": pair.day, "rows": frame.height, "cells": _packed(frame)}
        for pair, frame in zip(pairs, frames, strict=True)
    ]
    if rows:
        connection.execute(sa.insert(day_cells), rows)


def kept_cells(records: sa.Engine, pairs: Sequence[TenantDay]) -> PublishedCells:
    """What `keep_cells` kept of `pairs`."""
    frames: list[PublishedCells] = []
    query = sa.select(day_cells.c.cells).where(_one_pair())
    with transaction(records) as connection:
        for tenant, day in pairs:
            if (found := connection.execute(query, {"t": tenant, "d": day}).scalar()) is not None:
                frames.append(PublishedCells(pl.read_ipc(io.BytesIO(found))))
    return together(frames)


def cells_kept(records: sa.Engine) -> int:
    """How many cells were ever published."""
    with transaction(records) as connection:
        return int(connection.scalar(sa.select(sa.func.coalesce(sa.func.sum(day_cells.c.rows), 0))) or 0)


def without_cells(records: sa.Engine, pairs: Sequence[TenantDay]) -> list[TenantDay]:
    """Those of `pairs` whose cells are not kept yet."""
    query = sa.select(day_cells.c.rows).where(_one_pair())
    with transaction(records) as connection:
        return [p for p in pairs if connection.execute(query, {"t": p.tenant, "d": p.day}).scalar() is None]


def discard_cells(records: sa.Engine, pairs: Sequence[TenantDay]) -> None:
    """Forget what was kept of `pairs`, which are not closed yet: their cubes are built again."""
    with transaction(records) as connection:
        for tenant, day in pairs:
            connection.execute(sa.delete(day_cells).where(_one_pair()), {"t": tenant, "d": day})


def publish_cells(analytics: Analytics, pairs: Sequence[TenantDay], cells: PublishedCells) -> None:
    """Makes the store show exactly `cells` for `pairs`; doing it again changes nothing.

    Raises `Fatal` when the store does not give back what was written.
    """
    wrong = _different(analytics, pairs, cells)
    if not wrong:
        return
    _delete(analytics, wrong)
    wanted = cells.join(_frame(wrong), on=["tenant", "day"], how="semi").with_columns(provisional=pl.lit(0, pl.UInt8))
    months = wanted.with_columns(month=pl.col("day").dt.strftime("%Y%m")).partition_by("month", include_key=False)
    for month in months:  # a month is a partition: one insert, one part, there or not
        analytics.insert("cells", month)
    if _different(analytics, wrong, cells):
        raise Fatal(_NOT_WRITTEN)


def replace_provisional(analytics: Analytics, cells: PublishedCells) -> None:
    """All provisional cells of all tenants become `cells`, at one instant for every reader."""
    if cells.is_empty():
        analytics.command(sql(SQL, "drop_provisional"))
        return
    for statement in ("create_cells_staging", "empty_cells_staging"):
        analytics.command(sql(SQL, statement))
    analytics.insert("cells_staging", cells.with_columns(provisional=pl.lit(1, pl.UInt8)))
    analytics.command(sql(SQL, "replace_provisional"))


def keep_period(records: sa.Engine, of: TenantPeriod, cells: PublishedCells) -> None:
    """The one cell of a week or a month, or that it has none. What was kept first stays."""
    row = {"tenant": of.tenant, "period": str(of.period), "value": cells["value"].item() if cells.height else None}
    with transaction(records) as connection:
        connection.execute(insert_into(connection, periods).values(row).on_conflict_do_nothing())


def is_kept(records: sa.Engine, of: TenantPeriod) -> bool:
    """Whether `keep_period` was called for it."""
    with transaction(records) as connection:
        return connection.execute(sa.select(periods.c.period).where(_one_period(of))).first() is not None


def kept_period(records: sa.Engine, of: TenantPeriod) -> PublishedCells:
    """What `keep_period` kept."""
    with transaction(records) as connection:
        return _period_cell(of, connection.execute(sa.select(periods.c.value).where(_one_period(of))).scalar())


def kept_periods(records: sa.Engine) -> Iterator[tuple[TenantPeriod, PublishedCells]]:
    """Every week and month that shows a figure."""
    with transaction(records) as connection:
        rows = connection.execute(sa.select(periods).where(periods.c.value.is_not(None))).all()
    for row in rows:
        of = TenantPeriod(row.tenant, named(row.period))
        yield of, _period_cell(of, row.value)


def publish_period(analytics: Analytics, of: TenantPeriod, cells: PublishedCells) -> None:
    """As `publish_cells`, for the cell of a week or a month."""
    names = {"tenant": of.tenant, "day": of.period.first, "cube": PERIOD_CUBES[of.period.kind].name}
    wanted, stored = cells["value"].to_list(), _period_values(analytics, names)
    if stored == wanted:
        return
    if stored:
        analytics.delete(sql(SQL, "delete_period_cell"), names)
    if wanted:
        analytics.insert("cells", cells.with_columns(provisional=pl.lit(0, pl.UInt8)))
    if _period_values(analytics, names) != wanted:
        raise Fatal(_NOT_WRITTEN)


def old_cells(analytics: Analytics, tenants: Sequence[str], before: date) -> dict[str, int]:
    """Final cells that are shown of days before `before`, by tenant; weeks and months by their first day."""
    return dict(analytics.frame(sql(SQL, "count_old_cells"), _before(tenants, before)).iter_rows())


def oldest_kept(records: sa.Engine) -> dict[str, date]:
    """Tenant -> the first day that the records keep cells of."""
    oldest = sa.select(day_cells.c.tenant, sa.func.min(day_cells.c.day).label("day")).group_by(day_cells.c.tenant)
    with transaction(records) as connection:
        return {row.tenant: row.day for row in connection.execute(oldest)}


def newest_kept(records: sa.Engine, tenant: str, days: int) -> list[date]:
    """The newest days, at most `days`, that the records keep cells of; the newest first."""
    newest = sa.select(day_cells.c.day).where(day_cells.c.tenant == tenant).order_by(day_cells.c.day.desc()).limit(days)
    with transaction(records) as connection:
        return list(connection.scalars(newest))


def shown_of(analytics: Analytics, tenant: str) -> int:
    """Every cell of a tenant in the store: final, provisional, and of a snapshot that is being made."""
    return int(analytics.frame(sql(SQL, "count_tenant_cells"), {"tenant": tenant})["cells"].item())


def kept_of(records: sa.Engine, tenant: str) -> int:
    """Days, weeks and months of a tenant that the records keep."""
    with transaction(records) as connection:
        counts = (sa.select(sa.func.count()).where(table.c.tenant == tenant) for table in (day_cells, periods))
        return sum(connection.execute(count).scalar_one() for count in counts)


def delete_tenant(analytics: Analytics, records: sa.Engine, tenant: str) -> None:
    """Everything of both. From the store first, as above."""
    if shown_of(analytics, tenant):
        for statement in ("delete_tenant_cells", "delete_tenant_staging"):
            of = {"tenant": tenant}
            analytics.delete(sql(SQL, statement), of)
    with transaction(records) as connection:
        for table in (day_cells, periods):
            connection.execute(sa.delete(table).where(table.c.tenant == tenant))


def kept_before(records: sa.Engine, tenants: Sequence[str], before: date) -> dict[str, int]:
    """As `old_cells`, of what the records keep. A day without a cell counts as one: it is kept all the same."""
    days = sa.select(day_cells.c.tenant, day_cells.c.rows).where(_of_days_before(tenants, before))
    found: Counter[str] = Counter()
    with transaction(records) as connection:
        for tenant, rows in connection.execute(days):
            found[tenant] += max(rows, 1)
        found.update(tenant for tenant, _ in _periods_before(connection, tenants, before))
    return dict(found)


def delete_cells_before(analytics: Analytics, records: sa.Engine, tenants: Sequence[str], before: date) -> None:
    """From the store first: the records are what an empty store is filled from. Raises `Transient`."""
    if old_cells(analytics, tenants, before):
        old = _before(tenants, before)
        analytics.delete(sql(SQL, "delete_old_cells"), old)
    with transaction(records) as connection:
        connection.execute(sa.delete(day_cells).where(_of_days_before(tenants, before)))
        for tenant, period in _periods_before(connection, tenants, before):
            one = (periods.c.tenant == tenant) & (periods.c.period == period)
            connection.execute(sa.delete(periods).where(one))


def _of_days_before(tenants: Sequence[str], before: date) -> sa.ColumnElement[bool]:
    return day_cells.c.tenant.in_(tenants) & (day_cells.c.day < before)


def _periods_before(connection: sa.Connection, tenants: Sequence[str], before: date) -> list[tuple[str, str]]:
    query = sa.select(periods.c.tenant, periods.c.period).where(periods.c.tenant.in_(tenants))
    return [(row.tenant, row.period) for row in connection.execute(query) if named(row.period).first < before]


def _before(tenants: Sequence[str], before: date) -> dict[str, object]:
    return {"tenants": list(tenants), "before": min(before, _DATE32_MAX).isoformat()}


def _different(analytics: Analytics, pairs: Sequence[TenantDay], cells: pl.DataFrame) -> list[TenantDay]:
    """The pairs whose rows in the store are not exactly those of `cells`."""
    stored = analytics.frame(sql(SQL, "select_final_cells"), _bound(pairs)).cast(dict(PUBLISHED))  # type: ignore[arg-type]
    found, wanted = (f.group_by(_CELL).len() for f in (stored, cells.select(_CELL)))
    on = [*_CELL, "len"]
    wrong = pl.concat([wanted.join(found, on=on, how="anti"), found.join(wanted, on=on, how="anti")])
    pairs_wrong = set(wrong.select("tenant", "day").unique().iter_rows())
    return [pair for pair in pairs if tuple(pair) in pairs_wrong]


def _delete(analytics: Analytics, pairs: Sequence[TenantDay]) -> None:
    if analytics.frame(sql(SQL, "select_final_cells"), _bound(pairs)).height:
        analytics.delete(sql(SQL, "delete_final_cells"), _bound(pairs))


def _period_values(analytics: Analytics, names: dict[str, object]) -> list[int]:
    return analytics.frame(sql(SQL, "select_period_cell"), names)["value"].to_list()


def _period_cell(of: TenantPeriod, value: int | None) -> PublishedCells:
    cube = PERIOD_CUBES[of.period.kind]
    names = {"tenant": of.tenant, "day": of.period.first, "cube": cube.name, "dim1": "", "dim2": ""}
    rows = [] if value is None else [{**names, "measure": cube.measures[0].name, "value": value}]
    return PublishedCells(pl.DataFrame(rows, schema=dict(PUBLISHED)))


def _one_period(of: TenantPeriod) -> sa.ColumnElement[bool]:
    return (periods.c.tenant == of.tenant) & (periods.c.period == str(of.period))


def _bound(pairs: Sequence[TenantDay]) -> dict[str, object]:
    return {"pairs": [(tenant, day.isoformat()) for tenant, day in pairs]}


def _frame(pairs: Sequence[TenantDay]) -> pl.DataFrame:
    return pl.DataFrame([tuple(p) for p in pairs], schema={"tenant": pl.String(), "day": pl.Date()}, orient="row")


def _one_pair() -> sa.ColumnElement[bool]:
    return (day_cells.c.tenant == sa.bindparam("t")) & (day_cells.c.day == sa.bindparam("d"))


def _packed(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compression="zstd")
    return buffer.getvalue()
