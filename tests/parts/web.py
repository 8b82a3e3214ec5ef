"""A small service on the real shell, server and records, for tests of what every service's pages share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import sqlalchemy as sa
from argon2 import PasswordHasher
from fastapi import FastAPI, Request
from starlette.responses import Response

from services.runtime.clock import FixedClock
from services.runtime.database import open_records
from services.runtime.errors import Fatal, Transient
from services.runtime.metrics import Metrics
from services.runtime.settings import Login
from services.runtime.web.door import Door, open_door
from services.runtime.web.guard import Limits
from services.runtime.web.pages import Link, pages_of
from services.runtime.web.server import serving
from services.runtime.web.sessions import EVERY_TENANT, Sessions
from services.runtime.web.shell import create_app
from services.runtime.web.signin import Author, Viewer
from services.runtime.web.tables import SessionTables, session_tables

__all__ = ["FAST", "WAIT_S", "Service", "a_service", "open_sessions", "records"]

# argon2 with next to no work: tests are about what is decided, not about how slow a guess is.
FAST = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

WAIT_S = 60.0  # for an answer, on a machine that does much else
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Service:
    """A running service. `url` is its address by the loopback's number."""

    url: str
    port: int
    app: FastAPI
    door: Door
    sessions: Sessions
    clock: FixedClock
    metrics: Metrics
    missing: list[str]

    def client(self, **options: object) -> httpx.Client:
        """It has no need of certificates, which take a twentieth of a second to read; and time, on a busy machine."""
        return httpx.Client(base_url=self.url, headers={"accept": "text/html"}, verify=False, timeout=WAIT_S, **options)  # type: ignore[arg-type]

    @contextlib.contextmanager
    def signed_in(self, user: str = "ada") -> Iterator[httpx.Client]:
        with self.client(follow_redirects=True) as client:
            assert client.post(f"/login/{self.sessions.login_link(user)}").status_code == 200
            yield client


def records(folder: Path) -> tuple[sa.Engine, SessionTables]:
    """The tables of people on a real SQLite file."""
    engine, metadata = open_records(f"sqlite:///{folder / 'records.db'}"), sa.MetaData()
    tables = session_tables(metadata)
    metadata.create_all(engine)
    return engine, tables


def open_sessions(folder: Path, clock: FixedClock) -> Sessions:
    """Sessions with one person who sees every tenant."""
    sessions = Sessions(*records(folder), clock)
    sessions.put_user("ada", ["viewer"], [EVERY_TENANT])
    return sessions


@contextlib.contextmanager
def a_service(folder: Path, login: Login | None = None, *, body_s: float = WAIT_S) -> Iterator[Service]:
    """`body_s`: how long a request's body may take to arrive."""
    clock, metrics, missing = FixedClock(START), Metrics(), []  # type: ignore[var-annotated]
    engine, tables = records(folder)
    door = open_door(
        "test", "statistics", engine=engine, tables=tables, clock=clock, login=login or Login(), hasher=FAST
    )
    door.sessions.put_user("ada", ["viewer"], [EVERY_TENANT])
    app = create_app(
        "Voile test",
        metrics=metrics,
        ready=lambda: tuple(missing),
        hosts=["stats.example.org"],
        door=door,
        navigation=[Link("Overview", "/", "overview")],
        limits=Limits(body_bytes=2048, body_s=body_s),
    )
    _routes(app)
    with serving(app, "127.0.0.1:0") as (host, port):
        yield Service(f"http://{host}:{port}", port, app, door, door.sessions, clock, metrics, missing)


def _routes(app: FastAPI) -> None:
    """One route of each kind that the planes have."""
    changed: list[str] = []
    app.state.changed = changed

    @app.get("/")
    def page(request: Request, session: Viewer) -> Response:
        return pages_of(request).render(request, "login_link.html", good=False, plane=session.user, section="overview")

    @app.post("/change")
    def change(session: Author) -> dict[str, str]:
        changed.append(session.user)
        return {"changed_by": session.user}

    @app.get("/broken")
    def broken() -> None:
        raise ValueError("ada@example.org is in this text")

    @app.get("/hopeless")
    def hopeless() -> None:
        raise Fatal("The records lack a right; run /etc/voile/grants.sql.")

    @app.get("/away")
    def away() -> None:
        raise Transient("The store does not answer.", retry_after_s=7)

    @app.post("/echo")
    async def echo(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @app.get("/number/{number}")
    def number(number: int) -> dict[str, int]:
        return {"number": number}
