"""Declared log sources and their keys. A key is shown once; here is only its SHA-256."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.ingest.addresses import CONNECTION, HEADERS
from services.ingest.formats import format_named
from services.ingest.records import source_keys, sources
from services.runtime.database import transaction
from services.runtime.errors import Fatal

__all__ = ["KEYS_MAX", "KEY_PREFIX", "KeyInfo", "KnownKey", "NewKey", "Source", "Sources", "digest_key"]

KEY_PREFIX = "vsk_"  # so that a secret scanner recognises a leaked one
KEYS_MAX = 2  # one in use and its successor: keys are changed without a gap
LINES_PER_MINUTE_MAX = 2**31 - 1  # what the column holds
_ID_CHARS = len(KEY_PREFIX) + 6
_COLUMNS = ("name", "tenant", "format", "site", "authenticated", "client_address_from", "lines_per_minute")
_NAME = re.compile(r"^[a-z0-9][a-z0-9_.-]{0,62}$")
_SITE = re.compile(r"^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$")


@dataclass(frozen=True, slots=True)
class Source:
    """`site` overrides the host that lines carry; `authenticated`: its server checks who logs in, so its
    user names may be linked to accounts; `client_address_from`: CONNECTION or one of `addresses.HEADERS`;
    `lines_per_minute` None: as many as come."""

    name: str
    tenant: str
    format: str
    site: str | None = None
    authenticated: bool = False
    client_address_from: str = CONNECTION
    lines_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key that was given out: a revoked one still tells whose sender it is that loses data."""

    id: str
    source: Source
    revoked: bool


@dataclass(frozen=True, slots=True)
class NewKey:
    """`key` is shown now and never again."""

    id: str
    source: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyInfo:
    id: str
    source: str
    created_at: str
    revoked_at: str | None
    last_used_at: str | None


class Sources:
    """`new_secret` gives 32 url-safe random characters or more."""

    def __init__(self, engine: sa.Engine, new_secret: Callable[[], str]) -> None:
        self._engine, self._new_secret = engine, new_secret

    def add(self, source: Source, now: datetime) -> NewKey:
        """Raises `Fatal` on a name, site or format that will not do, and when the source exists."""
        _check(source)
        row = {column: getattr(source, column) for column in _COLUMNS}
        with transaction(self._engine) as connection:
            if connection.execute(sa.select(sources.c.name).where(sources.c.name == source.name)).first():
                raise Fatal(
                    f"The source {source.name!r} exists; a key comes from: voile source rotate-key {source.name}"
                )
            connection.execute(sources.insert().values(**row, created_at=now.isoformat()))
            return self._issue(connection, source.name, now)

    def add_key(self, name: str, now: datetime) -> NewKey:
        """A second live key. Raises `Fatal` when there is no such source or it has two."""
        with transaction(self._engine) as connection:
            if not connection.execute(sa.select(sources.c.name).where(sources.c.name == name)).first():
                raise Fatal(_unknown(name))
            live = sa.select(sa.func.count()).where(source_keys.c.source == name, source_keys.c.revoked_at.is_(None))
            if connection.execute(live).scalar_one() >= KEYS_MAX:
                raise Fatal(
                    f"The source {name!r} has {KEYS_MAX} live keys; first: voile source revoke-key {name} --key ID"
                )
            return self._issue(connection, name, now)

    def revoke(self, name: str, key_id: str | None, now: datetime) -> int:
        """One key, or every live one; returns how many. Raises `Fatal` when there was none."""
        which = [source_keys.c.source == name, source_keys.c.revoked_at.is_(None)]
        if key_id:
            which.append(source_keys.c.id == key_id)
        with transaction(self._engine) as connection:
            done = connection.execute(source_keys.update().where(*which).values(revoked_at=now.isoformat())).rowcount
        if not done:
            raise Fatal(f"There is no live key to revoke for {name!r}; see: voile source list")
        return done

    def all(self) -> Sequence[Source]:
        with transaction(self._engine) as connection:
            rows = connection.execute(sa.select(sources).order_by(sources.c.name)).mappings().all()
        return [_source(row) for row in rows]

    def all_keys(self) -> Sequence[KeyInfo]:
        names = ("id", "source", "created_at", "revoked_at", "last_used_at")
        with transaction(self._engine) as connection:
            rows = connection.execute(sa.select(*(source_keys.c[n] for n in names)).order_by("source", "created_at"))
            return [KeyInfo(*row) for row in rows]

    def named(self, name: str) -> Source:
        """Raises `Fatal`."""
        with transaction(self._engine) as connection:
            row = connection.execute(sa.select(sources).where(sources.c.name == name)).mappings().first()
        if row is None:
            raise Fatal(_unknown(name))
        return _source(row)

    def known_keys(self) -> Mapping[str, KnownKey]:
        """By digest; also those that were revoked."""
        key = (source_keys.c.digest, source_keys.c.id.label("key"), source_keys.c.revoked_at)
        with transaction(self._engine) as connection:
            rows = connection.execute(sa.select(*key, sources).join(sources)).mappings().all()
        return {row["digest"]: KnownKey(row["key"], _source(row), row["revoked_at"] is not None) for row in rows}

    def set_quota(self, name: str, lines_per_minute: int | None) -> None:
        """None: as many as come. A running ingest keeps to it within a second. Raises `Fatal`."""
        _check_quota(lines_per_minute)
        change = sources.update().where(sources.c.name == name).values(lines_per_minute=lines_per_minute)
        with transaction(self._engine) as connection:
            if not connection.execute(change).rowcount:
                raise Fatal(_unknown(name))

    def set_client_address(self, name: str, taken_from: str) -> None:
        """For what comes from now on. Raises `Fatal`."""
        _check_address(taken_from)
        change = sources.update().where(sources.c.name == name).values(client_address_from=taken_from)
        with transaction(self._engine) as connection:
            if not connection.execute(change).rowcount:
                raise Fatal(_unknown(name))

    def note_use(self, key_ids: Sequence[str], now: datetime) -> None:
        if key_ids:
            used = source_keys.update().where(source_keys.c.id.in_(key_ids)).values(last_used_at=now.isoformat())
            with transaction(self._engine) as connection:
                connection.execute(used)

    def _issue(self, connection: sa.Connection, name: str, now: datetime) -> NewKey:
        key = KEY_PREFIX + self._new_secret()
        row = {"id": key[:_ID_CHARS], "source": name, "digest": digest_key(key), "created_at": now.isoformat()}
        connection.execute(source_keys.insert().values(**row))
        return NewKey(key[:_ID_CHARS], name, key)


def digest_key(key: str) -> str:
    """SHA-256 without salt: a key is 192 random bits, there is nothing to guess."""
    return hashlib.sha256(key.encode()).hexdigest()


def _check(source: Source) -> None:
    format_named(source.format)
    _check_quota(source.lines_per_minute)
    if not _NAME.match(source.name):
        raise Fatal(
            f"{source.name!r} is no name for a source; use at most 63 lower-case letters, digits, dashes and dots."
        )
    if source.site is not None and not _SITE.match(source.site):
        raise Fatal(f"{source.site!r} is no site; give a host name like www.example.org")
    _check_address(source.client_address_from)


def _check_address(taken_from: str) -> None:
    if taken_from not in (CONNECTION, *HEADERS):
        raise Fatal(f"A client's address is taken from one of: {', '.join((CONNECTION, *HEADERS))}.")


def _check_quota(lines_per_minute: int | None) -> None:
    if lines_per_minute is not None and not 0 < lines_per_minute <= LINES_PER_MINUTE_MAX:
        raise Fatal(f"A quota is 1 to {LINES_PER_MINUTE_MAX} lines a minute; to stop a source, revoke its keys.")


def _source(row: Mapping[Any, Any]) -> Source:
    return Source(**{column: row[column] for column in _COLUMNS} | {"authenticated": bool(row["authenticated"])})


def _unknown(name: str) -> str:
    command = f"voile source add {shlex.quote(name)} --tenant TENANT --format FORMAT"
    return f"There is no source {name!r}; add it with: {command}"
