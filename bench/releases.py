"""What releases cost: the draw of one day of 500 tenants, and the platform's package of a month of them.

Goals: the close of a day with releases adds less than 60 s on two cores and less than 1 GB; the package is built in less
than 60 s. Each part runs in a process of its own, whose greatest memory is told.

Run: python -m bench.releases [TENANTS] [ROWS_A_TENANT] [ROUTES]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import sqlalchemy as sa

from bench.harness import machine
from services.runtime.clickhouse import open_analytics
from services.runtime.clock import SystemClock
from services.runtime.database import open_records, upgrade
from services.runtime.keys import FileKeyService
from services.stats.days.states import TenantDay
from services.stats.records import MIGRATIONS, metadata
from services.stats.releases import package
from services.stats.releases.catalogues import catalogues_of
from services.stats.releases.contents import PLATFORM
from services.stats.releases.drawing import Drawing
from services.stats.releases.ledger import Scopes
from services.stats.releases.period import declared
from services.stats.releases.route_tables import RouteTables
from services.stats.releases.split import declared_split
from services.stats.releases.vectors import put_vectors
from services.stats.store import create_tables
from services.stats.tenants.registry import Tenant

TENANTS, ROWS, ROUTES, DAYS = 500, 1000, 100, 30
ROWS_A_VISITOR = 8
DAY = date(2026, 11, 3)
UTC_ZONE = ZoneInfo("UTC")


def main(arguments: Sequence[str]) -> None:
    defaults = (TENANTS, ROWS, ROUTES)
    tenants, rows, routes = [*map(int, arguments), *defaults[len(arguments) :]]
    print("| part | seconds | CPU | MB at most | of which before it began |\n|---|---|---|---|---|")
    for part in ("draw", "package"):
        command = [sys.executable, "-m", "bench.releases", "--part", part, str(tenants), str(rows), str(routes)]
        subprocess.run(command, check=True)
    print(f"\n{tenants} tenants, {rows} rows a day and {routes} routes each; {machine()}.")


def draw(folder: Path, tenants: int, rows: int, routes: int) -> tuple[Callable[[], object], str]:
    """Step 4 of a close, of one day of every tenant."""
    records, names = _records(folder), [f"tenant-{n:04}" for n in range(tenants)]
    table = tuple(f"/page/{n:04}" for n in range(routes))
    before = datetime(DAY.year, DAY.month, 1, tzinfo=UTC)
    RouteTables(records, SystemClock(), UTC_ZONE).note([Tenant(t, t, routes=table, updated_at=before) for t in names])
    analytics = open_analytics(f"chdb://{folder}/store")
    create_tables(analytics)
    chance = np.random.default_rng(7)
    for at in range(0, tenants, 100):
        analytics.insert("events", pl.concat([_events(name, rows, routes, chance) for name in names[at : at + 100]]))
    drawing = Drawing(analytics, records, lambda _: Scopes(own=True, platform=True), SystemClock(), UTC_ZONE)
    return lambda: drawing.draw([TenantDay(name, DAY) for name in names]), f"draw of {tenants} tenants' day"


def build(folder: Path, tenants: int, rows: int, routes: int) -> tuple[Callable[[], object], str]:  # noqa: ARG001
    """The platform's package of a month of stored days."""
    records, split, chance = _records(folder), declared_split(), np.random.default_rng(7)
    catalogues = catalogues_of(split, [f"/page/{n:04}" for n in range(routes)])
    stamp = datetime(2026, 12, 1, tzinfo=UTC).isoformat()
    row = {"state": "stored", "rho": "1/50", "delta": "1/10000000", "epsilon": 1.0, "own": True, "platform": True}
    with records.begin() as connection:
        for tenant in (f"tenant-{n:04}" for n in range(tenants)):
            for day in (date(2026, 11, 1) + timedelta(days=n) for n in range(DAYS)):
                key = {"tenant": tenant, "day": day, "charged_at": stamp, "stored_at": stamp}
                connection.execute(sa.insert(metadata.tables["release_days"]).values(**row, **key))
                noisy = {n: chance.integers(-50, 50, len(c.keys)).tolist() for n, c in catalogues.items()}
                put_vectors(connection, tenant, day, noisy, split=split, catalogues=catalogues)
    keys = FileKeyService(folder / "keys")
    wanted = declared("2026-11")
    return lambda: package.build(records, keys, PLATFORM, wanted, folder / "out"), "the platform's month"


def _records(folder: Path) -> sa.Engine:
    engine = open_records(f"sqlite:///{folder}/records.db")
    upgrade(engine, MIGRATIONS)
    return engine


def _events(tenant: str, rows: int, routes: int, chance: np.random.Generator) -> pl.DataFrame:
    visitors = chance.integers(1, 2**62, max(1, rows // ROWS_A_VISITOR))
    at = datetime(DAY.year, DAY.month, DAY.day, 9)  # noqa: DTZ001  # the column has its zone
    return pl.DataFrame(
        {
            "visitor": visitors[chance.integers(0, visitors.size, rows)],
            "route": [f"/page/{n:04}" for n in np.minimum(chance.zipf(1.3, rows) - 1, 2 * routes)],
            "country": chance.choice(["FR", "BE", "CH", "DE"], rows),
            "device": chance.choice(["desktop", "mobile"], rows),
            "referrer_class": chance.choice(["direct", "internal", "search"], rows),
            "duration_ms": chance.integers(0, 2000, rows),
        }
    ).with_columns(
        kind=pl.lit("event"),
        tenant=pl.lit(tenant),
        ingest_day=pl.lit(DAY),
        event_day=pl.lit(DAY),
        time=pl.lit(at),
        page_view=pl.lit(1, pl.UInt8),
        bot_class=pl.lit("human"),
        late=pl.lit(0, pl.UInt8),
    )


def _measure(part: str, sizes: Sequence[int]) -> None:
    with tempfile.TemporaryDirectory(prefix="voile-bench-") as folder:
        work, title = {"draw": draw, "package": build}[part](Path(folder), *sizes)
        at_first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        began, cpu = time.monotonic(), time.process_time()
        work()
        seconds, spent = time.monotonic() - began, time.process_time() - cpu
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"| {title} | {seconds:.1f} | {spent:.1f} | {most} | {at_first} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        _measure(sys.argv[2], [int(n) for n in sys.argv[3:]])
    else:
        main(sys.argv[1:])
