"""An installation of all three planes in one process, with two tenants alike: one leaves, its twin stays."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from services.enricher.access.decisions import EVERY_TENANT, Actor
from services.enricher.access.service import Access, open_access
from services.enricher.persons.directory import Profile
from services.enricher.service import Identity, open_identity
from services.enricher.tenants.leaving import Leaving
from services.enricher.tenants.registry import Tenant
from services.ingest.plane import let_go
from services.ingest.service import Ingest, open_ingest
from services.ingest.sources import Source
from services.runtime.clock import FixedClock
from services.runtime.settings import Settings
from services.stats.closing.close import close_through
from services.stats.service import Statistics, open_statistics
from tests.parts.identity import apply_accounts, link

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LEAVER, TWIN = "chess-club", "rowing-club"
TENANTS = (LEAVER, TWIN)
OPERATOR = Actor("os:test", frozenset({"operator"}), frozenset({EVERY_TENANT}))
REASON = "The contract ends in June"
PEOPLE = 30  # enough for the disclosure rule to tell figures


@dataclass
class Installation:
    """Open planes; `leaving` is what the identity plane's housekeeping holds."""

    ingest: Ingest
    identity: Identity
    statistics: Statistics
    access: Access
    leaving: Leaving
    clock: FixedClock

    def terminate(self, tenant: str = LEAVER) -> None:
        """Until the notice is over."""
        self.access.tenancy.terminate(OPERATOR, tenant, REASON)
        self.clock.sleep(timedelta(days=30, minutes=1).total_seconds())

    def come_round(self) -> None:
        """One turn of every plane, as their loops do."""
        self.leaving.step()
        self.clock.sleep(2)
        let_go(self.ingest)
        self.count()
        self.statistics.leaving().step()
        self.leaving.step()

    def count(self) -> None:
        """Everything that is in the log, as the statistics worker does."""
        worker = self.statistics.worker("member")
        try:
            while worker.step(0):
                pass
        finally:
            worker.close()

    def status(self, tenant: str = LEAVER) -> str:
        found = self.identity.registry.get(tenant)
        assert found is not None
        return found.status

    def certificate(self) -> Mapping[str, object]:
        found = self.identity.certificates.newest(LEAVER)
        assert found is not None
        told: Mapping[str, object] = json.loads(found.document)
        return told


def settings_of(folder: Path) -> Settings:
    """Replaced where the planes' records are in another database."""
    return Settings(data=folder)


@contextlib.contextmanager
def installation(folder: Path, clock: FixedClock | None = None) -> Iterator[Installation]:
    """`folder` may hold one that was closed, or killed."""
    settings, clock = settings_of(folder), clock or FixedClock(NOW)
    with contextlib.ExitStack() as opened:
        ingest = open_ingest(settings, clock)
        opened.callback(ingest.close)
        identity = open_identity(settings, clock)
        opened.callback(identity.close)
        statistics = open_statistics(settings, clock)
        opened.callback(statistics.close)
        leaving = identity.leaving()
        opened.callback(leaving.close)
        yield Installation(ingest, identity, statistics, open_access(identity), leaving, clock)


def fill(made: Installation, folder: Path) -> None:
    """Both tenants get everything that a plane can have of one."""
    for tenant in TENANTS:
        hosts = (f"www.{tenant}.example",)
        made.access.tenancy.register(OPERATOR, Tenant(tenant, tenant, NOW, hosts, releases=True), REASON)
        made.clock.sleep(2)
        made.ingest.add_source(Source(f"{tenant}-web", tenant, "combined", hosts[0], authenticated=True))
        log = folder / f"{tenant}.log"
        log.write_text("".join(_line(tenant, person, day) for day in (20, 22) for person in range(PEOPLE)))
        made.ingest.import_file(log, f"{tenant}-web")
        made.identity.accounts.put(tenant, Profile("m-1", "Ann Martin", f"ann@{tenant}.example"))
        made.access.api_keys.add(tenant, "members")
        made.access.sessions.put_user(f"ann-{tenant}", ["support"], [tenant])
        made.identity.rights.signal(tenant, "m-2", f"OBJ-{tenant}")
    made.access.sessions.put_user("both", ["support"], TENANTS)
    link(made.identity)
    apply_accounts(made.identity)
    made.count()
    close_through(made.statistics.closer(made.count), NOW.date() - timedelta(days=2))


def _line(tenant: str, person: int, day: int) -> str:
    at = f"{day}/Nov/2026:10:00:{person % 60:02d} +0000"
    agent = f"Mozilla/5.0 (X11; Linux x86_64; rv:{100 + person}.0) Gecko/20100101 Firefox/{100 + person}.0"
    return f'10.{len(tenant)}.{person}.7 - m-{person} [{at}] "GET /agenda HTTP/1.1" 200 512 "-" "{agent}"\n'


def rows_of(made: Installation, tenant: str) -> dict[str, int]:
    """Plane and store -> how many rows or keys name the tenant, or are of its sources and persons. Asked of the stores
    without Voile's own lists: a table that these forget is found here."""
    found: dict[str, int] = {}
    for plane, engine in _engines(made).items():
        with engine.connect() as connection:
            tables = sa.MetaData()
            tables.reflect(connection)
            for name, table in tables.tables.items():
                found[f"{plane}/{name}"] = _rows(connection, tables, table, tenant)
    for plane, keys in (("identity", made.identity.keys), ("statistics", made.statistics.keys)):
        found[f"{plane}/keys"] = sum(tenant in name for name in keys.names())
    for name in ("events", "active_accounts", "cells", "cells_staging"):
        count = made.statistics.reading.frame(
            f"SELECT count() AS rows FROM {name} WHERE tenant = {{tenant:String}}", {"tenant": tenant}
        )
        found[f"statistics/{name}"] = int(count["rows"].item())
    return {store: rows for store, rows in found.items() if rows}


def _engines(made: Installation) -> Mapping[str, sa.Engine]:
    return {"ingest": made.ingest.engine, "identity": made.identity.engine, "statistics": made.statistics.engine}


def _rows(connection: sa.Connection, tables: sa.MetaData, table: sa.Table, tenant: str) -> int:
    mine: sa.ColumnElement[bool]
    if "tenant" in table.c:
        mine = table.c.tenant == tenant
    elif "tenants" in table.c:
        mine = sa.cast(table.c.tenants, sa.Text).contains(f'"{tenant}"')
    elif "source" in table.c and "origin" not in [c.name for c in table.primary_key][1:]:
        mine = table.c.source == f"{tenant}-web"
    elif "subject" in table.c and "subjects" in tables.tables:
        subjects = tables.tables["subjects"]
        mine = table.c.subject.in_(sa.select(subjects.c.subject).where(subjects.c.tenant == tenant))
    else:
        return 0
    return connection.execute(sa.select(sa.func.count()).select_from(table).where(mine)).scalar_one()
