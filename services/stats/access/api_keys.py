"""Keys for programs that query (`key_texts`: `voile_sta_...`), for named tenants, with an end."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.stats.access import key_texts
from services.stats.access.key_texts import TERM
from services.stats.access.records import api_keys as table

__all__ = ["TERM", "ApiKey", "ApiKeys"]

KIND = "sta"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What can be known of a key; its secret is shown once and kept nowhere."""

    id: str
    label: str
    tenants: frozenset[str]
    expires: datetime


class ApiKeys:
    """Every method is one transaction; raises `Transient` when the records are away."""

    def __init__(self, engine: sa.Engine, clock: Clock, random_hex: Callable[[int], str] = secrets.token_hex) -> None:
        self._engine, self._clock, self._random_hex = engine, clock, random_hex

    def add(self, label: str, tenants: Sequence[str], term: timedelta = TERM) -> str:
        """A new key for these tenants (`EVERY_TENANT`: all): its full text, for this once."""
        key, now = key_texts.made(KIND, self._random_hex), self._clock.now()
        row = {
            "id": key.id,
            "secret_hash": key.digest,
            "label": label,
            "tenants": sorted(tenants),
            "created": int(now.timestamp()),
            "expires": int((now + term).timestamp()),
        }
        with transaction(self._engine) as connection:
            connection.execute(sa.insert(table).values(row))
        return str(key)

    def check(self, key: str) -> ApiKey | None:
        """The key of that text, None when it is wrong, revoked or over."""
        text = key_texts.read(KIND, key)
        if text is None:
            return None
        with transaction(self._engine) as connection:
            row = connection.execute(sa.select(table).where(table.c.id == text.id)).one_or_none()
        if row is None or row.expires <= self._clock.now().timestamp():
            return None
        return _key(row) if text.is_of(row.secret_hash) else None

    def revoke(self, key_id: str) -> bool:
        """True when there was such a key; it is refused from now on."""
        with transaction(self._engine) as connection:
            return connection.execute(sa.delete(table).where(table.c.id == key_id)).rowcount == 1

    def all(self) -> Sequence[ApiKey]:
        with transaction(self._engine) as connection:
            return [_key(row) for row in connection.execute(sa.select(table).order_by(table.c.created))]


def _key(row: sa.Row[Any]) -> ApiKey:
    return ApiKey(row.id, row.label, frozenset(row.tenants), datetime.fromtimestamp(row.expires, UTC))
