"""PostgreSQL as deploy/postgresql sets it up: each service's role tries what is not its own."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg import errors, sql

from services.runtime.web.sessions import EVERY_TENANT
from services.stats.delivery.downloads import Downloads
from tests.parts.dashboard import Pages, a_dashboard
from tests.parts.delivery import NAME, fill_delivery
from tests.parts.fortress import PLANES, raise_databases
from tests.parts.postgres import Postgres
from tests.parts.web import WAIT_S

SERVICES = {
    "voile_ingest": "ingest",
    "voile_identity": "identity",
    "voile_statistics": "statistics",
    "voile_statistics_server": "statistics",
}
OWNERS = {f"voile_{plane}_owner": plane for plane in PLANES}
SHOWN = {"alembic_version", "policies", "live_totals", "collection_sources", "collection_counts", "collection_gauges",
         "route_proposals", "users", "login_links", "sessions", "credentials", "recovery_codes", "api_keys",
         "release_days", "releases", "publications", "publication_files", "partners", "partner_members", "partner_keys",
         "partner_terms", "partner_acceptances", "downloads", "delivery_acts", "webhooks", "webhook_messages"}  # fmt: skip
"""What the statistics server may read: pages' figures beside the published cells, and who signs in."""


@pytest.fixture(scope="module")
def server(postgres_server: Postgres) -> Postgres:
    raise_databases(postgres_server)
    return postgres_server


def test_the_script_may_run_again(server: Postgres) -> None:
    """After an upgrade, or by mistake."""
    raise_databases(server)


def test_no_role_enters_the_database_of_another_plane(server: Postgres) -> None:
    """Ingest's, the enricher's, the statistics worker's and server's, and the owners': each tries each."""
    own = SERVICES | OWNERS
    entered = {(role, plane) for role, plane in itertools.product(own, PLANES) if _enters(server, role, plane)}
    assert entered == set(own.items())


def test_the_statistics_worker_reads_neither_directory_nor_activity_nor_keys(server: Postgres) -> None:
    """The switch: a database that is open to all lets it in, and still shows no table; with a role too many it does."""
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        _read(server, "voile_statistics", "identity", "profiles")
    with _granted(server, "CONNECT ON DATABASE voile_identity", "voile_statistics"):
        for table in ("profiles", "look_ups", "activity", "person_keys"):
            with pytest.raises(errors.InsufficientPrivilege):
                _read(server, "voile_statistics", "identity", table)
        with _granted(server, "voile_identity", "voile_statistics"):
            _read(server, "voile_statistics", "identity", "profiles", become="voile_identity")


def test_a_service_changes_rows_and_no_tables(server: Postgres) -> None:
    """Tables are their owner's."""
    for role, plane in SERVICES.items():
        table = "api_keys" if role == "voile_statistics_server" else "leases"
        for statement in ("CREATE TABLE more (a int)", f"DROP TABLE {table}", f"ALTER TABLE {table} ADD a int",
                          f"TRUNCATE {table}", "UPDATE alembic_version SET version_num = '0'"):  # fmt: skip
            with (
                psycopg.connect(server.as_role(role, f"voile_{plane}")) as tried,
                pytest.raises(errors.InsufficientPrivilege),
            ):
                tried.execute(statement)


def test_the_audit_log_is_only_added_to(server: Postgres) -> None:
    """Whoever has the service's password cannot alter a leaf, nor take one away."""
    for statement in ("UPDATE audit_leaves SET leaf = leaf", "DELETE FROM audit_leaves"):
        place = server.as_role("voile_identity", "voile_identity")
        with psycopg.connect(place) as tried, pytest.raises(errors.InsufficientPrivilege):
            tried.execute(statement)


def test_what_partners_took_is_only_added_to(server: Postgres) -> None:
    """No service alters a row; the worker deletes at the term and may number on after a restore."""
    for role in ("voile_statistics", "voile_statistics_server"):
        for table in ("downloads", "delivery_acts"):
            place = server.as_role(role, "voile_statistics")
            with psycopg.connect(place) as tried, pytest.raises(errors.InsufficientPrivilege):
                tried.execute(sql.SQL("UPDATE {} SET at = at").format(sql.Identifier(table)))
    with psycopg.connect(server.as_role("voile_statistics", "voile_statistics")) as worker:
        worker.execute("SELECT setval('downloads_id_seq', 1, false)")
    with (
        psycopg.connect(server.as_role("voile_statistics_server", "voile_statistics")) as tried,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        tried.execute("DELETE FROM downloads")


def test_the_statistics_server_reads_what_it_shows(server: Postgres) -> None:
    """Of every table it tries, these and no other."""
    with psycopg.connect(server.as_role("voile_statistics_owner", "voile_statistics")) as owner:
        tables = {row[0] for row in owner.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    assert len(tables) > len(SHOWN)
    assert {table for table in tables if _may_read(server, "voile_statistics_server", table)} == SHOWN


def test_the_pages_work_by_the_servers_role(server: Postgres, tmp_path: Path) -> None:
    """Signing in, every page, a key made and ended, a route decided, signing out: its rights are enough."""
    worker, served = (
        server.as_role(role, "voile_statistics") for role in ("voile_statistics", "voile_statistics_server")
    )
    with a_dashboard(tmp_path, records=worker, served=served) as pages:
        pages.sessions.put_user("eve", ["admin"], ["chess-club"])
        with httpx.Client(base_url=pages.url, headers={"accept": "text/html"}, timeout=WAIT_S) as client:
            assert client.post(pages.login("eve")).status_code == 303
            for path in ("/", "/quality", "/events", "/live?tenant=chess-club", "/sources", "/keys", "/routes",
                         "/account", "/privacy"):  # fmt: skip
                assert client.get(path).status_code == 200, path
            token = re.search(r'"X-CSRF-Token": "([^"]+)"', client.get("/account").text)
            assert token
            client.headers["x-csrf-token"] = token[1]
            made = client.post("/keys", data={"tenant": "chess-club", "label": "report"})
            key = re.search(r"voile_sta_([0-9a-f]{12})_", made.text)
            assert key
            assert client.post("/keys/revoke", data={"id": key[1]}).status_code == 303
            assert client.post("/logout").status_code == 303


def test_releases_are_delivered_by_the_servers_role(server: Postgres, tmp_path: Path) -> None:
    """Lists, feeds, files and their log, the terms, the operator's page and withdrawing: its rights are enough."""
    worker, served = (
        server.as_role(role, "voile_statistics") for role in ("voile_statistics", "voile_statistics_server")
    )
    with a_dashboard(tmp_path, filled=False, records=worker, served=served) as pages:
        delivered = fill_delivery(pages.engine, pages.clock, tmp_path)
        version = f"{NAME}/{delivered.version}"
        headers = {"authorization": f"Bearer {delivered.keys['acme']}"}
        with httpx.Client(base_url=pages.url, headers=headers, timeout=WAIT_S) as program:
            for path in (f"datasets/{version}/totals.csv", f"datasets/{version}", "datasets", "feed.atom", "feed.json"):
                assert program.get(f"/exports/v1/{path}").status_code == 200, path
        assert _acted(pages, "lou", "/partner/terms", {"number": "1"}) == 303
        pages.sessions.put_user("op", ["admin"], [EVERY_TENANT])
        withdrawal = {"name": NAME, "version": delivered.version, "reason": "Counted twice"}
        assert _acted(pages, "op", "/releases/withdraw", withdrawal) == 303
        assert len(Downloads(pages.engine, pages.clock).listed("acme")) == 1


def _acted(pages: Pages, user: str, path: str, form: dict[str, str]) -> int:
    """The status of a form that somebody sends, once the pages that lead there were looked at."""
    with httpx.Client(base_url=pages.url, headers={"accept": "text/html"}, timeout=WAIT_S) as client:
        assert client.post(pages.login(user)).status_code == 303
        assert client.get(f"/{path.split('/')[1]}").status_code == 200
        token = re.search(r'"X-CSRF-Token": "([^"]+)"', client.get("/account").text)
        assert token
        return client.post(path, data=form, headers={"x-csrf-token": token[1]}).status_code


def _enters(server: Postgres, role: str, plane: str) -> bool:
    try:
        psycopg.connect(server.as_role(role, f"voile_{plane}")).close()
    except psycopg.OperationalError as error:
        assert "permission denied for database" in str(error)  # noqa: PT017  # any other failure proves nothing
        return False
    return True


def _may_read(server: Postgres, role: str, table: str) -> bool:
    try:
        _read(server, role, "statistics", table)
    except errors.InsufficientPrivilege:
        return False
    return True


def _read(server: Postgres, role: str, plane: str, table: str, become: str = "") -> None:
    with psycopg.connect(server.as_role(role, f"voile_{plane}")) as connection:
        if become:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(become)))
        connection.execute(sql.SQL("SELECT * FROM {} LIMIT 1").format(sql.Identifier("public", table)))


@contextlib.contextmanager
def _granted(server: Postgres, what: str, role: str) -> Iterator[None]:
    """Too much, for a moment."""
    server.execute(sql.SQL(f"GRANT {what} TO {role}"))
    try:
        yield
    finally:
        server.execute(sql.SQL(f"REVOKE {what} FROM {role}"))
