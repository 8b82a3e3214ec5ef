"""Keys for programs that query: shown once, stored hashed, for named tenants, with an end."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from services.runtime.clock import Clock
from services.runtime.database import transaction

__all__ = ["ApiKey", "ApiKeys", "api_key_table"]

DAYS = 365  # a forgotten key ends by itself
# The prefix lets secret scanners know a key that was committed by mistake.
_TOKEN = re.compile(r"vsk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


def api_key_table(metadata: sa.MetaData) -> sa.Table:
    """For the plane's `records.py`. Times are whole seconds since 1970 (UTC)."""
    return sa.Table(
        "api_keys",
        metadata,
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("hash", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("tenants", sa.JSON, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
    )


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What a key is for; `id` is no secret."""

    id: str
    name: str
    tenants: frozenset[str]
    expires: datetime


class ApiKeys:
    """The keys of the statistics service; every method is one transaction."""

    def __init__(
        self,
        engine: sa.Engine,
        table: sa.Table,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._engine, self._table, self._clock, self._random_bytes = engine, table, clock, random_bytes

    def create(self, name: str, tenants: Sequence[str], days: int = DAYS) -> str:
        """A new key, to be shown once: `vsk_<id>_<secret>`."""
        key_id, secret = self._random_bytes(6).hex(), _text(self._random_bytes(32))
        now = self._clock.now()
        values = {
            "id": key_id,
            "hash": _digest(secret),
            "name": name,
            "tenants": sorted(tenants),
            "created": int(now.timestamp()),
            "expires": int((now + timedelta(days=days)).timestamp()),
        }
        with transaction(self._engine) as connection:
            connection.execute(sa.insert(self._table).values(values))
        return f"vsk_{key_id}_{secret}"

    def check(self, token: str) -> ApiKey | None:
        """The key of that token while it is good, else None."""
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            return None
        with transaction(self._engine) as connection:
            row = connection.execute(sa.select(self._table).where(self._table.c.id == parts[1])).one_or_none()
        if row is None or not secrets.compare_digest(row.hash, _digest(parts[2])):
            return None
        return _key(row) if row.expires > self._clock.now().timestamp() else None

    def revoke(self, key_id: str) -> bool:
        """True when there was such a key; it is refused from now on."""
        with transaction(self._engine) as connection:
            return connection.execute(sa.delete(self._table).where(self._table.c.id == key_id)).rowcount == 1

    def listed(self) -> list[ApiKey]:
        with transaction(self._engine) as connection:
            return [_key(row) for row in connection.execute(sa.select(self._table).order_by(self._table.c.name))]


def _key(row: sa.Row[tuple[object, ...]]) -> ApiKey:
    return ApiKey(row.id, row.name, frozenset(row.tenants), datetime.fromtimestamp(row.expires, UTC))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()  # 256 random bits: nothing to slow down


def _text(secret: bytes) -> str:
    return base64.urlsafe_b64encode(secret).decode().rstrip("=")
