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
from typing import Literal

import sqlalchemy as sa

from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.errors import VoileError
from services.runtime.web.tables import SessionTables

__all__ = ["EVERY_TENANT", "LINK_MINUTES", "Method", "OpenSession", "Session", "Sessions", "Terms", "User"]

EVERY_TENANT = "*"
Method = Literal["link", "password", "oidc"]  # how somebody signed in
LINK_MINUTES = 15  # long enough to walk to another machine, short enough to be forgotten in a scroll-back
_TOKEN_BYTES = 32
_ID_DIGITS = 16  # of a token's hash: they tell a person's sessions apart and open none
_TOUCH_S = 60  # the idle clock is kept to the minute: one write a minute, not one a request


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a session lives."""

    idle: timedelta = timedelta(minutes=30)
    absolute: timedelta = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in person. `csrf` goes into every form; `created` and `expires` (the absolute end) are UTC.

    `is_managed`: an OpenID provider says who this is and what they may do.
    """

    user: str
    roles: frozenset[str]
    tenants: frozenset[str]
    csrf: str
    created: datetime
    expires: datetime
    method: Method
    is_managed: bool


@dataclass(frozen=True, slots=True)
class OpenSession:
    """One of a person's own, for their account page. `id` names it and opens nothing. Times are UTC."""

    id: str
    method: Method
    created: datetime
    last_seen: datetime
    is_this: bool


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may sign in."""

    name: str
    roles: frozenset[str]
    tenants: frozenset[str]
    is_managed: bool = False


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
            users = self._tables.users  # everything else of theirs goes by its foreign key
            return connection.execute(sa.delete(users).where(users.c.name == name)).rowcount == 1

    def users(self) -> Sequence[User]:
        """Everybody, by name."""
        users = self._tables.users
        with transaction(self._engine) as connection:
            rows = connection.execute(sa.select(users).order_by(users.c.name)).all()
        return [
            User(row.name, frozenset(row.roles), frozenset(row.tenants), is_managed=row.subject is not None)
            for row in rows
        ]

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
        links, now = self._tables.login_links, self._now()
        with transaction(self._engine) as connection:
            taken = connection.execute(
                sa.update(links).where(*self._good_link(token)).values(used=now).returning(links.c.user)
            ).scalar()
            return None if taken is None else self._begin(connection, taken, "link", now)

    def begin(self, user: str, method: Method) -> str | None:
        """A new session's token for who has proved to be `user`; None when there is no such user (any more)."""
        with transaction(self._engine) as connection:
            users = self._tables.users
            if connection.scalar(sa.select(users.c.name).where(users.c.name == user)) is None:
                return None
            return self._begin(connection, user, method, self._now())

    def current(self, token: str, *, used: bool = True) -> Session | None:
        """The session of a cookie's token while it is neither idle nor too old, else None. `used`: by a person; what a
        page asks by itself keeps no session alive."""
        sessions, users, now = self._tables.sessions, self._tables.users, self._now()
        with transaction(self._engine) as connection:
            row = connection.execute(
                sa.select(sessions, users.c.roles, users.c.tenants, users.c.subject)
                .join(users, users.c.name == sessions.c.user)
                .where(sessions.c.hash == _digest(token), *self._alive(now))
            ).one_or_none()
            if row is None:
                return None
            if used and now - row.last_seen >= _TOUCH_S:
                connection.execute(sa.update(sessions).where(sessions.c.hash == row.hash).values(last_seen=now))
        created = _time(row.created)
        return Session(
            user=row.user,
            roles=frozenset(row.roles),
            tenants=frozenset(row.tenants),
            csrf=row.csrf,
            created=created,
            expires=created + self._terms.absolute,
            method=row.method,
            is_managed=row.subject is not None,
        )

    def sign_out(self, token: str) -> None:
        with transaction(self._engine) as connection:
            connection.execute(sa.delete(self._tables.sessions).where(self._tables.sessions.c.hash == _digest(token)))

    def opened(self, user: str, token: str = "") -> Sequence[OpenSession]:
        """A person's sessions, newest first; `token` is the one they ask with."""
        sessions, own = self._tables.sessions, _digest(token)
        with transaction(self._engine) as connection:
            rows = connection.execute(
                sa.select(sessions)
                .where(sessions.c.user == user, *self._alive(self._now()))
                .order_by(sessions.c.created.desc(), sessions.c.hash)
            ).all()
        return [
            OpenSession(row.hash[:_ID_DIGITS], row.method, _time(row.created), _time(row.last_seen), row.hash == own)
            for row in rows
        ]

    def end(self, user: str, session_id: str) -> bool:
        """End one of a person's own sessions; True when there was one of that `OpenSession.id`."""
        sessions = self._tables.sessions
        named = sa.func.substr(sessions.c.hash, 1, _ID_DIGITS) == session_id
        with transaction(self._engine) as connection:
            return connection.execute(sa.delete(sessions).where(sessions.c.user == user, named)).rowcount > 0

    def end_all(self, user: str, but: str = "") -> int:
        """End a person's sessions, but for the one of the token `but`, and their unused links; how many sessions."""
        sessions, links = self._tables.sessions, self._tables.login_links
        with transaction(self._engine) as connection:
            connection.execute(sa.delete(links).where(links.c.user == user))
            ended = sa.delete(sessions).where(sessions.c.user == user, sessions.c.hash != _digest(but))
            return connection.execute(ended).rowcount

    def _begin(self, connection: sa.Connection, user: str, method: Method, now: int) -> str:
        fresh = self._random_token(_TOKEN_BYTES)
        connection.execute(
            sa.insert(self._tables.sessions).values(
                hash=_digest(fresh),
                user=user,
                created=now,
                last_seen=now,
                csrf=self._random_token(_TOKEN_BYTES),
                method=method,
            )
        )
        self._forget_ended(connection, now)
        return fresh

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


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _digest(token: str) -> str:
    # A plain hash is enough: 256 random bits cannot be guessed, so there is nothing to slow down.
    return hashlib.sha256(token.encode()).hexdigest()
