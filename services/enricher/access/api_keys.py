"""Keys with which a tenant's own systems tell Voile of its accounts: `voile_acc_<id>_<secret>`.

Source: OWASP ASVS 5.0, 6.5 (256 random bits, stored hashed, compared in constant time); the prefix lets secret
scanners find a key that was published by mistake.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

import sqlalchemy as sa

from services.enricher.access import records as access_records
from services.runtime.clock import Clock
from services.runtime.database import transaction

__all__ = ["ApiKey", "ApiKeys"]

SECRET_BYTES = 32
ID_BYTES = 6
_FORM = re.compile(r"voile_acc_([0-9a-f]{12})_([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What can be known of a key; its secret is shown once and kept nowhere."""

    id: str
    tenant: str
    label: str
    created: datetime
    revoked: datetime | None


class ApiKeys:
    """Every method is one transaction; raises `Transient` when the records are away."""

    def __init__(self, engine: sa.Engine, clock: Clock, random_hex: Callable[[int], str] = secrets.token_hex) -> None:
        self._engine, self._clock, self._random_hex = engine, clock, random_hex

    def add(self, tenant: str, label: str) -> str:
        """A new key for one tenant: its full text, for this once."""
        key_id, secret = self._random_hex(ID_BYTES), self._random_hex(SECRET_BYTES)
        row = {
            "id": key_id,
            "secret_hash": sha256(secret.encode()).digest(),
            "tenant": tenant,
            "label": label,
            "created_ms": self._now_ms(),
        }
        with transaction(self._engine) as connection:
            connection.execute(sa.insert(access_records.api_keys).values(row))
        return f"voile_acc_{key_id}_{secret}"

    def tenant_of(self, key: str) -> str | None:
        """The tenant whose key this is, None when it is wrong or revoked."""
        form = _FORM.fullmatch(key)
        if form is None:
            return None
        table = access_records.api_keys
        with transaction(self._engine) as connection:
            row = connection.execute(sa.select(table).where(table.c.id == form[1])).one_or_none()
        if row is None or row.revoked_ms is not None:
            return None
        right = hmac.compare_digest(row.secret_hash, sha256(form[2].encode()).digest())
        return str(row.tenant) if right else None

    def revoke(self, key_id: str) -> bool:
        """True when a key was taken back."""
        table = access_records.api_keys
        at = (table.c.id == key_id, table.c.revoked_ms.is_(None))
        with transaction(self._engine) as connection:
            return connection.execute(sa.update(table).where(*at).values(revoked_ms=self._now_ms())).rowcount == 1

    def all(self) -> Sequence[ApiKey]:
        table = access_records.api_keys
        with transaction(self._engine) as connection:
            rows = connection.execute(sa.select(table).order_by(table.c.tenant, table.c.created_ms)).all()
        return [
            ApiKey(r.id, r.tenant, r.label, _time(r.created_ms), _time(r.revoked_ms) if r.revoked_ms else None)
            for r in rows
        ]

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
