"""What the registry says of each tenant, from `tenant.v1`: hosts, route table, contracted size, opt-ins."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from services.runtime import avro
from services.runtime.log.interface import Record
from services.runtime.retention.terms import GONE

__all__ = ["Tenant", "Tenants"]


@dataclass(frozen=True, slots=True)
class Tenant:
    id: str
    name: str
    hosts: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    status: str = "active"
    size_class: str = "small"
    releases: bool = False
    platform_releases: bool = False
    campaigns: bool = False
    updated_at: datetime | None = None
    retention: Mapping[str, int] = field(default_factory=dict)
    """Days by type of data; the operator's where one is missing."""

    @property
    def linked_days(self) -> int | None:
        """How long it has its members' linked activity kept; None: as long as the operator does."""
        return self.retention.get("linked")


class Tenants:
    """The newest word on each tenant; `version` changes with every change, for caches of what depends on it."""

    def __init__(self, known: Iterable[Tenant] = ()) -> None:
        self._known = {tenant.id: tenant for tenant in known}
        self.version = 0

    def apply(self, records: Iterable[Record]) -> None:
        for record in records:
            if record.value is None:
                self._known.pop(record.key.decode(), None)
            else:
                tenant = _tenant(record.value)
                self._known[tenant.id] = tenant
            self.version += 1

    def drop_departed(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Without what comes of a tenant that has left: its data is deleted, and none may come after."""
        gone = [tenant.id for tenant in self._known.values() if tenant.status in GONE]
        return frame.filter(~pl.col("tenant").is_in(gone)) if gone else frame

    def get(self, tenant: str) -> Tenant:
        """A tenant that the registry has not named yet has no hosts and no routes."""
        return self._known.get(tenant) or Tenant(tenant, tenant)

    def all(self) -> list[Tenant]:
        return sorted(self._known.values(), key=lambda t: t.id)


def _tenant(value: bytes) -> Tenant:
    word = avro.decode_record(value, "tenant")
    return Tenant(
        id=word["tenant"],
        name=word["name"] or word["tenant"],
        hosts=tuple(host.lower() for host in word["hosts"] or ()),
        routes=tuple(word["routes"] or ()),
        status=word["status"],
        size_class=word["size_class"] or "small",
        releases=bool(word["releases"]),
        platform_releases=bool(word["platform_releases"]),
        campaigns=bool(word["campaigns"]),
        updated_at=word["updated_at"],
        retention=json.loads(word["retention"] or "{}"),
    )
