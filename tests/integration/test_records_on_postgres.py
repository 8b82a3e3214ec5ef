"""What a plane makes of a PostgreSQL server that is away, hangs, refuses or is full of others: a real one."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from services.cli import doctor
from services.enricher.records import MIGRATIONS
from services.ingest.records import MIGRATIONS as INGEST_MIGRATIONS
from services.runtime import postgres
from services.runtime.database import current_revision, missing_records, open_plane_records, open_records, transaction
from services.runtime.errors import Fatal, Transient, VoileError
from services.runtime.settings import load_settings
from tests.parts.postgres import Postgres
from tests.parts.processes import free_ports


@pytest.fixture
def role(postgres_server: Postgres, postgres_url: str) -> Iterator[str]:
    """The URL of a role that may enter the database and create nothing, and connect three times at once."""
    name = f"r_{postgres_url.rpartition('/')[2]}"
    postgres_server.execute(sql.SQL("CREATE ROLE {} LOGIN CONNECTION LIMIT 3").format(sql.Identifier(name)))
    yield postgres_server.as_role(name, postgres_url.rpartition("/")[2])
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
    postgres_server.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_who_waits_too_long_for_a_connection_tries_again_later(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All connections of the pool wait for a store that hangs: the next one is told so in time, and can go on later."""
    monkeypatch.setattr(postgres, "POOL_WAIT_S", 0.05)
    engine = open_records(postgres_url)
    with contextlib.ExitStack() as held:
        for _ in range(15):  # SQLAlchemy's five, and ten more
            held.enter_context(engine.connect())
        with pytest.raises(Transient, match="every connection to it is in use"), transaction(engine):
            pass
    with transaction(engine) as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1
    engine.dispose()


def test_what_the_url_says_of_waiting_goes_before(postgres_url: str) -> None:
    """And everything else has an end: no thread waits two hours for a machine that is gone."""
    engine = open_records(f"{postgres_url}?connect_timeout=3")
    with engine.connect() as connection:
        used = connection.connection.dbapi_connection.info.get_parameters()  # type: ignore[union-attr]
    assert used["connect_timeout"] == "3"
    assert {"keepalives_idle", "tcp_user_timeout"} <= used.keys()
    engine.dispose()


def test_a_server_that_answers_is_ready(postgres_url: str) -> None:
    engine = open_records(postgres_url)
    assert missing_records(engine) == []
    engine.dispose()


def test_a_server_that_is_away_or_hangs_is_named_in_time() -> None:
    """It hangs: somebody takes the connection and says nothing, as a stopped process does."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (silent.getsockname()[1], *free_ports(1)):
            assert missing_records(open_records(f"postgresql://voile@127.0.0.1:{port}/name")) == ["records"]


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"username": "nobody_of_this_name"}, Fatal, "no such role or database"),
        ({"database": "nothing_of_this_name"}, Fatal, "no such role or database"),
        ({"port": 0}, Transient, "nobody listens there"),
        ({"host": "name.invalid"}, Transient, "host's name is not known"),
    ],
    ids=["role", "database", "away", "name"],
)
def test_why_records_cannot_be_opened_is_said(
    postgres_url: str, change: dict[str, str | int], kind: type[VoileError], said: str
) -> None:
    """With what to do; and only what waiting cannot mend ends a service."""
    change = {name: value or free_ports(1)[0] for name, value in change.items()}
    url = sa.make_url(postgres_url).set(**change, password="hunter2")  # type: ignore[arg-type]
    engine = open_records(url.render_as_string(hide_password=False))
    with pytest.raises(kind, match=said) as raised:
        current_revision(engine)
    assert "hunter2" not in str(raised.value)
    engine.dispose()


def test_a_server_that_takes_no_more_connections_is_waited_for(role: str) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(3):
            held.enter_context(psycopg.connect(role))
        engine = open_records(role)
        with pytest.raises(Transient, match="takes no more connections; raise its max_connections"):
            current_revision(engine)
        with pytest.raises(Transient, match="does not answer"), transaction(engine):
            pass
    assert current_revision(engine) is None
    engine.dispose()


def test_a_right_that_is_missing_is_said_as_such(postgres_url: str, role: str) -> None:
    """Forgotten grants: one sentence that names the files, without a word of the statement."""
    open_plane_records(postgres_url, MIGRATIONS).dispose()
    engine = open_records(role)
    with (
        pytest.raises(Fatal, match=r"run deploy/postgresql/roles\.sql and grants\.sql") as raised,
        transaction(engine) as begun,
    ):
        begun.execute(sa.text("DELETE FROM audit_leaves"))
    assert "audit" not in str(raised.value)
    engine.dispose()


def test_doctor_names_what_a_role_may_not_touch(
    postgres_url: str, role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before somebody's first look finds out; with every right there is nothing to say."""
    monkeypatch.setenv("VOILE_DATA", str(tmp_path))
    monkeypatch.setenv("VOILE_INGEST__RECORDS", role)
    open_plane_records(postgres_url, INGEST_MIGRATIONS).dispose()
    who = sql.Identifier(role.partition("://")[2].partition("@")[0])
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute(sql.SQL("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {}").format(who))
        assert _told("ingest records").ok
        owner.execute(sql.SQL("REVOKE INSERT ON request_claims FROM {}").format(who))
        assert "lacks rights on request_claims; run" in _told("ingest records").detail


def _told(check: str) -> doctor.Finding:
    return next(finding for finding in doctor.examine(load_settings()) if finding.check == check)


def test_a_standby_is_waited_for(postgres_url: str) -> None:
    """Nobody promoted it yet, or an administrator set it read-only."""
    engine = open_records(f"{postgres_url}?options=-cdefault_transaction_read_only%3Don")
    with pytest.raises(Transient, match="takes no changes now"), transaction(engine) as connection:
        connection.execute(sa.text("CREATE TABLE nothing ()"))
    engine.dispose()


def test_a_service_waits_for_a_server_that_is_started_later(tmp_path: Path) -> None:
    """After a power cut nobody says which machine is up first; and it stops when it is asked to."""
    url = f"postgresql://voile@127.0.0.1:{free_ports(1)[0]}/name"
    environment = {"VOILE_DATA": str(tmp_path), "VOILE_IDENTITY__RECORDS": url, "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "services.cli.main", "up", "--only", "identity"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as service:
        assert service.stderr is not None
        said = service.stderr.readline()
        service.send_signal(signal.SIGTERM)
        assert service.wait(30) == 0
    assert "start waits" in said
    assert "nobody listens there" in said
