"""Keys for programs that query: `voile_sta_<id>_<secret>`, shown once, stored hashed, for named tenants, with an end.

Source: OWASP ASVS 5.0, 6.5 (256 random bits, stored hashed, compared in constant time); the prefix lets secret
scanners find a key that was published by mistake.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.stats.access_records import api_keys as table

__all__ = ["ApiKey", "ApiKeys"]

TERM = timedelta(days=365)  # a forgotten key ends by itself
SECRET_BYTES = 32
ID_BYTES = 6
_FORM = re.compile(r"voile_sta_([0-9a-f]{12})_([0-9a-f]{64})")


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
        key_id, secret, now = self._random_hex(ID_BYTES), self._random_hex(SECRET_BYTES), self._clock.now()
        row = {
            "id": key_id,
            "secret_hash": sha256(secret.encode()).digest(),
            "label": label,
            "tenants": sorted(tenants),
            "created": int(now.timestamp()),
            "expires": int((now + term).timestamp()),
        }
        with transaction(self._engine) as connection:
            connection.execute(sa.insert(table).values(row))
        return f"voile_sta_{key_id}_{secret}"

    def check(self, key: str) -> ApiKey | None:
        """The key of that text, None when it is wrong, revoked or over."""
        form = _FORM.fullmatch(key)
        if form is None:
            return None
        with transaction(self._engine) as connection:
            row = connection.execute(sa.select(table).where(table.c.id == form[1])).one_or_none()
        if row is None or row.expires <= self._clock.now().timestamp():
            return None
        return _key(row) if hmac.compare_digest(row.secret_hash, sha256(form[2].encode()).digest()) else None

    def revoke(self, key_id: str) -> bool:
        """True when there was such a key; it is refused from now on."""
        with transaction(self._engine) as connection:
            return connection.execute(sa.delete(table).where(table.c.id == key_id)).rowcount == 1

    def all(self) -> Sequence[ApiKey]:
        with transaction(self._engine) as connection:
            return [_key(row) for row in connection.execute(sa.select(table).order_by(table.c.created))]


def _key(row: sa.Row[Any]) -> ApiKey:
    return ApiKey(row.id, row.label, frozenset(row.tenants), datetime.fromtimestamp(row.expires, UTC))
