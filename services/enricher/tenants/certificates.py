"""The certificate that a tenant's data is gone: what every store of every plane had, and has; what is kept, and why;
what ends by itself, and when. Signed in minisign's format; it names no person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa

from services.enricher import records
from services.enricher.retention.records import tenant_certificates
from services.enricher.tenants.registry import Tenant
from services.runtime.clock import Clock
from services.runtime.database import has_rows, transaction
from services.runtime.departures import Left
from services.runtime.keys import KeyService
from services.runtime.minisign import CERTIFICATE_KEY, public_key_line, sign
from services.runtime.topics import TOPICS

__all__ = ["COMPLETED", "ISSUED", "KEPT", "LATER", "Certificate", "TenantCertificates"]

ISSUED, COMPLETED = "issued", "completed"
FORMAT = "voile tenant certificate 1"
KEPT = {
    "registry": "Its id and name, so that nothing can come back under them.",
    "audit log": "Who looked at whose data and why, under pseudonyms.",
    "rights cases": "What persons asked for and what was done, under pseudonyms.",
    "ledgers": "Which positions of its sources' logs were read: numbers, until the log itself has ended.",
    "published releases": "What partners were given already: noisy totals that are about nobody.",
}
_HOURS = {name: TOPICS[name].kept_hours for name in ("access-log", "access-log-raw", "account", "dead-letter")}
MARGIN = timedelta(hours=2)  # deleting comes round every hour
# What ends by itself, by topic, and how long after: their terms; and a day for what compaction takes out.
LATER: Mapping[str, timedelta] = {
    **{name: timedelta(hours=hours or 0) + MARGIN for name, hours in _HOURS.items()},
    "privacy-signal": timedelta(hours=48),
}


@dataclass(frozen=True, slots=True)
class Certificate:
    """`document` is JSON, `signature` the content of its `.minisig` file."""

    tenant: str
    status: str
    document: bytes
    signature: bytes

    @property
    def file(self) -> str:
        return f"tenant-certificate-{self.tenant}-{self.status}.json"


class TenantCertificates:
    """Every method is one transaction; raises `Transient`."""

    def __init__(self, engine: sa.Engine, keys: KeyService, clock: Clock) -> None:
        self._engine, self._keys, self._clock = engine, keys, clock

    @property
    def public_key(self) -> str:
        """What `minisign -P` takes."""
        return public_key_line(self._keys, CERTIFICATE_KEY)

    def issue(self, tenant: Tenant, stores: Mapping[str, Sequence[Left]]) -> None:
        now = self._clock.now()
        self._keep(
            tenant.tenant,
            ISSUED,
            {
                "name": tenant.name,
                "terminated_at": _stamp(tenant.terminates_at or tenant.updated_at),
                "deleted_at": _stamp(now),
                "stores": [
                    {"plane": plane, "store": left.store, "before": left.before, "after": left.after}
                    for plane, lefts in stores.items()
                    for left in lefts
                ],
                "kept": KEPT,
                "ends_later": [{"store": TOPICS[n].name, "until": _stamp(now + t)} for n, t in LATER.items()],
            },
        )

    def complete(self, tenant: str) -> None:
        """What was to end later has ended."""
        issued = self.newest(tenant)
        assert issued is not None, "it is issued before it is completed"
        facts: dict[str, Any] = orjson.loads(issued.document)
        ended = {"ends_later": [], "ended": facts["ends_later"]}
        own = ("name", "terminated_at", "deleted_at", "stores", "kept")
        self._keep(tenant, COMPLETED, {**{name: facts[name] for name in own}, **ended})

    def has(self, tenant: str, status: str) -> bool:
        return has_rows(self._engine, _of(tenant).where(tenant_certificates.c.status == status))

    def issued_at(self, tenant: str) -> datetime | None:
        with transaction(self._engine) as connection:
            row = connection.execute(_of(tenant).where(tenant_certificates.c.status == ISSUED)).one_or_none()
        return None if row is None else datetime.fromtimestamp(row.made_ms / 1000, UTC)

    def newest(self, tenant: str) -> Certificate | None:
        """The completed one, or the issued one."""
        with transaction(self._engine) as connection:
            rows = {row.status: row for row in connection.execute(_of(tenant))}
        row = rows.get(COMPLETED) or rows.get(ISSUED)
        return None if row is None else Certificate(tenant, row.status, bytes(row.document), bytes(row.signature))

    def _keep(self, tenant: str, status: str, facts: Mapping[str, Any]) -> None:
        now = self._clock.now()
        told = {"format": FORMAT, "status": status, "tenant": tenant, "at": _stamp(now), **facts}
        document = orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n"
        comment = f"voile tenant certificate {tenant} {status} {_stamp(now)}"
        row = {
            "tenant": tenant,
            "status": status,
            "made_ms": int(now.timestamp() * 1000),
            "document": document,
            "signature": sign(self._keys, CERTIFICATE_KEY, document, comment, what="tenant certificate"),
        }
        with transaction(self._engine) as connection:
            insert = records.insert(connection, tenant_certificates)
            connection.execute(insert.on_conflict_do_nothing(index_elements=["tenant", "status"]), row)


def _of(tenant: str) -> sa.Select[Any]:
    return sa.select(tenant_certificates).where(tenant_certificates.c.tenant == tenant)


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
