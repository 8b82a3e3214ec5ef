"""Builds what controls access to the identity plane: policies, audit log, gate, API keys and sessions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from services.enricher.access.api_keys import ApiKeys
from services.enricher.access.approvals import Approvals
from services.enricher.access.deciding import Decider, Surroundings
from services.enricher.access.decisions import Policies
from services.enricher.access.grant_book import GrantBook
from services.enricher.access.grants import Gate
from services.enricher.access.notes import Notes
from services.enricher.access.records import console_sessions
from services.enricher.access.request_book import RequestBook
from services.enricher.access.watching import Watch
from services.enricher.audit.log import AuditLog, checkpoint_path
from services.enricher.audit.reading import Auditing
from services.enricher.service import Identity
from services.enricher.tenants.tenancy import ACTIVE, Tenancy
from services.runtime.web.sessions import Sessions, Terms

__all__ = ["Access", "open_access"]

# Shorter than the statistics service's: who walks away from this page leaves somebody's life on it.
SESSION_TERMS = Terms(idle=timedelta(minutes=15), absolute=timedelta(hours=4))


@dataclass(frozen=True, slots=True)
class Access:
    """Open on the resources of an `Identity`, which closes them."""

    policies: Policies
    audit: AuditLog
    gate: Gate
    approvals: Approvals
    watch: Watch
    auditing: Auditing
    api_keys: ApiKeys
    sessions: Sessions
    tenancy: Tenancy


def open_access(identity: Identity) -> Access:
    """Raises `Fatal` on unusable policies or keys."""
    settings = identity.settings
    policies = Policies.load(settings.identity.policies, settings.identity.ticket_pattern)
    audit = AuditLog(identity.engine, identity.keys, identity.clock, checkpoint_path(settings.data.absolute()))
    decider = Decider(policies, audit, _surroundings(identity), identity.clock)
    grants, requests = GrantBook(identity.engine), RequestBook(identity.engine)
    gate = Gate(
        decider=decider,
        book=grants,
        requests=requests,
        directory=identity.directory,
        activity=identity.activity,
        notes=Notes(identity.engine, identity.vault),
    )
    sessions = Sessions(identity.engine, console_sessions, identity.clock, SESSION_TERMS)
    return Access(
        policies=policies,
        audit=audit,
        gate=gate,
        approvals=Approvals(decider, requests, grants, identity.directory),
        watch=Watch(decider, grants),
        auditing=Auditing(decider, identity.directory),
        api_keys=ApiKeys(identity.engine, identity.clock),
        sessions=sessions,
        tenancy=Tenancy(identity.registry, gate, settings, identity.clock),
    )


def _is_kept_back(identity: Identity, tenant: str, account: str) -> bool:
    restricted = any(signal.kind == "restriction" for signal in identity.signals.in_force(tenant, account))
    return restricted or identity.holds.is_held(tenant, account)


def _surroundings(identity: Identity) -> Surroundings:
    def knows_tenant(tenant: str) -> bool:
        identity.registry.follow()
        return identity.registry.get(tenant) is not None

    def is_restricted(tenant: str, account: str) -> bool:
        identity.signals.follow()
        names = identity.directory.accounts_of(tenant, account)
        kept_back = any(_is_kept_back(identity, tenant, name) for name in names)
        return kept_back or _is_not_active(identity, tenant)

    return Surroundings(knows_tenant, is_restricted)


def _is_not_active(identity: Identity, tenant: str) -> bool:
    """Suspended, or on its way out: its people are looked at by the data protection officer alone."""
    identity.registry.follow()
    found = identity.registry.get(tenant)
    return found is not None and found.status != ACTIVE
