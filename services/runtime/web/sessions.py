"""Who is signed in: server-side sessions and one-time login links in the plane's own records.

Tokens are 256 random bits; only their SHA-256 is stored, so the records open nobody's session. A person's
roles and tenants are read with each request: taking them away works at once.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.errors import VoileError

__all__ = ["EVERY_TENANT", "LINK_MINUTES", "Session", "SessionTables", "Sessions", "Terms", "User", "session_tables"]

EVERY_TENANT = "*"
LINK_MINUTES = 15  # long enough to walk to another machine, short enough to be forgotten in a scroll-back
_TOKEN_BYTES = 32
_TOUCH_S = 60  # the idle clock is kept to the minute: one write a minute, not one a request


@dataclass(frozen=True, slots=True)
class SessionTables:
    users: sa.Table
    login_links: sa.Table
    sessions: sa.Table


def session_tables(metadata: sa.MetaData) -> SessionTables:
    """The three tables, for a plane's `records.py`. Times are whole seconds since 1970 (UTC)."""

    def user_column() -> sa.Column[str]:
        return sa.Column("user", sa.String, sa.ForeignKey("users.name", ondelete="CASCADE"), nullable=False)

    return SessionTables(
        users=sa.Table(
            "users",
            metadata,
            sa.Column("name", sa.String, primary_key=True),
            sa.Column("roles", sa.JSON, nullable=False),
            sa.Column("tenants", sa.JSON, nullable=False),
        ),
        login_links=sa.Table(
            "login_links",
            metadata,
            sa.Column("hash", sa.String, primary_key=True),
            user_column(),
            sa.Column("expires", sa.BigInteger, nullable=False),
            sa.Column("used", sa.BigInteger),
        ),
        sessions=sa.Table(
            "sessions",
            metadata,
            sa.Column("hash", sa.String, primary_key=True),
            user_column(),
            sa.Column("created", sa.BigInteger, nullable=False),
            sa.Column("last_seen", sa.BigInteger, nullable=False),
            sa.Column("csrf", sa.String, nullable=False),
        ),
    )


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a session lives."""

    idle: timedelta = timedelta(minutes=30)
    absolute: timedelta = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in person. `csrf` goes into every form; `expires` (UTC) is the absolute end."""

    user: str
    roles: frozenset[str]
    tenants: frozenset[str]
    csrf: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may sign in."""

    name: str
    roles: frozenset[str]
    tenants: frozenset[str]


class Sessions:
    """The sessions of one service. Every method is one transaction; a store that is away is `Transient`."""

    def __init__(
        self,
        engine: sa.Engine,
        tables: SessionTables,
        clock: Clock,
        terms: Terms | None = None,
        random_token: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None:
        self._engine, self._tables, self._clock = engine, tables, clock
        self._terms, self._random_token = terms or Terms(), random_token

    def put_user(self, name: str, roles: Sequence[str], tenants: Sequence[str]) -> None:
        """Add a person or change what they may do; `EVERY_TENANT` stands for all tenants."""
        users, values = self._tables.users, {"roles": sorted(roles), "tenants": sorted(tenants)}
        with transaction(self._engine) as connection:
            changed = connection.execute(sa.update(users).where(users.c.name == name).values(values))
            if changed.rowcount == 0:
                connection.execute(sa.insert(users).values(name=name, **values))

    def remove_user(self, name: str) -> bool:
        """True when there was one. Links and sessions of theirs end with it."""
        with transaction(self._engine) as connection:
            for table in (self._tables.sessions, self._tables.login_links):
                connection.execute(sa.delete(table).where(table.c.user == name))
            users = self._tables.users
            return connection.execute(sa.delete(users).where(users.c.name == name)).rowcount == 1

    def users(self) -> Sequence[User]:
        """Everybody, by name."""
        users = self._tables.users
        with transaction(self._engine) as connection:
            rows = connection.execute(sa.select(users).order_by(users.c.name)).all()
        return [User(row.name, frozenset(row.roles), frozenset(row.tenants)) for row in rows]

    def login_link(self, user: str, minutes: int = LINK_MINUTES) -> str:
        """A token for `/login/{token}` that works once. Raises `VoileError` when there is no such user."""
        token = self._random_token(_TOKEN_BYTES)
        with transaction(self._engine) as connection:
            users = self._tables.users
            if connection.scalar(sa.select(users.c.name).where(users.c.name == user)) is None:
                raise VoileError("There is no such user; add one with: voile user add")
            connection.execute(
                sa.insert(self._tables.login_links).values(
                    hash=_digest(token), user=user, expires=self._now() + minutes * 60
                )
            )
        return token

    def link_is_good(self, token: str) -> bool:
        """Whether `sign_in` would take it now; looking does not use it up."""
        with transaction(self._engine) as connection:
            links = self._tables.login_links
            return connection.scalar(sa.select(links.c.hash).where(*self._good_link(token))) is not None

    def sign_in(self, token: str) -> str | None:
        """Use a login link up; the new session's token, or None when the link is used, over or unknown."""
        links, now, fresh = self._tables.login_links, self._now(), self._random_token(_TOKEN_BYTES)
        with transaction(self._engine) as connection:
            taken = connection.execute(
                sa.update(links).where(*self._good_link(token)).values(used=now).returning(links.c.user)
            ).scalar()
            if taken is None:
                return None
            connection.execute(
                sa.insert(self._tables.sessions).values(
                    hash=_digest(fresh),
                    user=taken,
                    created=now,
                    last_seen=now,
                    csrf=self._random_token(_TOKEN_BYTES),
                )
            )
            self._forget_ended(connection, now)
        return fresh

    def current(self, token: str) -> Session | None:
        """The session of a cookie's token while it is neither idle nor too old, else None."""
        sessions, users, now = self._tables.sessions, self._tables.users, self._now()
        with transaction(self._engine) as connection:
            row = connection.execute(
                sa.select(sessions, users.c.roles, users.c.tenants)
                .join(users, users.c.name == sessions.c.user)
                .where(sessions.c.hash == _digest(token), *self._alive(now))
            ).one_or_none()
            if row is None:
                return None
            if now - row.last_seen >= _TOUCH_S:
                connection.execute(sa.update(sessions).where(sessions.c.hash == row.hash).values(last_seen=now))
        expires = datetime.fromtimestamp(row.created, UTC) + self._terms.absolute
        return Session(row.user, frozenset(row.roles), frozenset(row.tenants), row.csrf, expires)

    def sign_out(self, token: str) -> None:
        with transaction(self._engine) as connection:
            connection.execute(sa.delete(self._tables.sessions).where(self._tables.sessions.c.hash == _digest(token)))

    def _good_link(self, token: str) -> tuple[sa.ColumnElement[bool], ...]:
        links = self._tables.login_links
        return (links.c.hash == _digest(token), links.c.used.is_(None), links.c.expires > self._now())

    def _alive(self, now: int) -> tuple[sa.ColumnElement[bool], ...]:
        sessions = self._tables.sessions
        return (
            sessions.c.last_seen > now - self._terms.idle.total_seconds(),
            sessions.c.created > now - self._terms.absolute.total_seconds(),
        )

    def _forget_ended(self, connection: sa.Connection, now: int) -> None:
        links, sessions = self._tables.login_links, self._tables.sessions
        connection.execute(sa.delete(links).where(links.c.expires <= now))
        connection.execute(sa.delete(sessions).where(sa.not_(sa.and_(*self._alive(now)))))

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


def _digest(token: str) -> str:
    # A plain hash is enough: 256 random bits cannot be guessed, so there is nothing to slow down.
    return hashlib.sha256(token.encode()).hexdigest()
