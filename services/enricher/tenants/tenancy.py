"""What is done to a tenant: made, given terms, suspended, ended; decided by the policies and recorded first.

Ending is scheduled, and can be taken back until its day: from then on every plane deletes what it has (departure.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from services.enricher.access.decisions import Action, Actor
from services.enricher.access.grants import Gate
from services.enricher.tenants.registry import Refused, Registry, Tenant
from services.runtime.clock import Clock
from services.runtime.logs import get_logger
from services.runtime.retention.kinds import KINDS, SETTABLE
from services.runtime.retention.terms import GONE
from services.runtime.settings import Settings

__all__ = ["ACTIVE", "Tenancy"]

ACTIVE, SUSPENDED = "active", "suspended"


class Tenancy:
    """Every method raises `grants.Refused` when the policies say no, `registry.Refused` when it cannot be, and
    `Transient`; and returns the tenant as it stands then."""

    def __init__(self, registry: Registry, gate: Gate, settings: Settings, clock: Clock) -> None:
        self._registry, self._gate, self._settings, self._clock = registry, gate, settings, clock

    def register(self, actor: Actor, wanted: Tenant, reason: str) -> Tenant:
        """A new tenant; or another description of a known one, whose state and terms stay as they are."""
        self._gate.permit_tenant(actor, Action.MANAGE_TENANTS, wanted.tenant, reason)
        known = self._known(wanted.tenant)
        if known is None:
            return self._registry.add(wanted)
        _refuse_gone(known)
        standing = {name: getattr(known, name) for name in ("status", "ends", "terminates_at")}
        return self._registry.add(replace(wanted, **standing, retention={**known.retention, **wanted.retention}))

    def set_terms(
        self, actor: Actor, tenant: str, days: Mapping[str, int | None], ends: Mapping[str, str], reason: str
    ) -> Tenant:
        """None: the operator's term. Data that is there already gets the shorter of its two terms."""
        self._gate.permit_tenant(actor, Action.SET_RETENTION, tenant, reason)
        known = self._open(tenant)
        for kind, wanted in days.items():
            self._refuse_beyond(kind, wanted)
        terms = {kind: term for kind, term in {**known.retention, **days}.items() if term is not None}
        return self._change(replace(known, retention=terms, ends={**known.ends, **ends}))

    def suspend(self, actor: Actor, tenant: str, reason: str) -> Tenant:
        """Nothing more is taken for it; what is kept stays, and is looked at by the data protection officer alone."""
        return self._set_status(actor, tenant, SUSPENDED, reason)

    def resume(self, actor: Actor, tenant: str, reason: str) -> Tenant:
        return self._set_status(actor, tenant, ACTIVE, reason)

    def terminate(self, actor: Actor, tenant: str, reason: str, days: int | None = None) -> Tenant:
        """In `days` (of the setting `retention.notice_days` when None, never fewer) everything of it is deleted."""
        self._gate.permit_tenant(actor, Action.MANAGE_TENANTS, tenant, reason)
        known, notice = self._open(tenant), self._settings.retention.notice_days
        if days is not None and days < notice:
            raise Refused("The notice is at least {n} days (the setting retention.notice_days).", n=notice)
        ends = self._clock.now() + timedelta(days=notice if days is None else days)
        get_logger().warning("a tenant will be deleted", tenant=tenant, day=ends.date().isoformat())
        return self._change(replace(known, terminates_at=ends))

    def keep(self, actor: Actor, tenant: str, reason: str) -> Tenant:
        """Takes the end back, as long as it has not begun."""
        self._gate.permit_tenant(actor, Action.MANAGE_TENANTS, tenant, reason)
        known = self._open(tenant)
        if known.terminates_at is None:
            raise Refused("The tenant {tenant} is not going to be deleted.", tenant=tenant)
        get_logger().warning("a tenant will not be deleted", tenant=tenant)
        return self._change(replace(known, terminates_at=None))

    def _set_status(self, actor: Actor, tenant: str, status: str, reason: str) -> Tenant:
        self._gate.permit_tenant(actor, Action.MANAGE_TENANTS, tenant, reason)
        return self._change(replace(self._open(tenant), status=status))

    def _change(self, tenant: Tenant) -> Tenant:
        return self._registry.add(replace(tenant, updated_at=self._clock.now()))

    def _known(self, tenant: str) -> Tenant | None:
        self._registry.follow()
        return self._registry.get(tenant)

    def _open(self, tenant: str) -> Tenant:
        known = self._known(tenant)
        if known is None:
            raise Refused(
                "There is no tenant {tenant!r}; see voile tenant list, or add it with voile tenant add.", tenant=tenant
            )
        _refuse_gone(known)
        return known

    def _refuse_beyond(self, kind: str, days: int | None) -> None:
        if kind not in SETTABLE:
            raise Refused("A term is set for one of: {known}.", known=", ".join(SETTABLE))
        ceiling = KINDS[kind].term(self._settings).days
        if days is not None and not 1 <= days <= ceiling:
            raise Refused(
                "The term of {kind} is 1 to {n} days: the operator keeps nothing longer.", kind=kind, n=ceiling
            )


def _refuse_gone(tenant: Tenant) -> None:
    if tenant.status in GONE:
        raise Refused("The data of tenant {tenant} is deleted, and its id stays taken.", tenant=tenant.tenant)
