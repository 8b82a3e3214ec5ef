"""Who may do what with the figures: the one place that decides, for pages, API and files.

The operator's product team has every tenant, a tenant's staff theirs alone. Whoever has a role may look; an `admin`
may also administer their tenants, for now: make and revoke keys. A key may look.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from fastapi import Depends

from services.runtime.web.problems import Problem
from services.runtime.web.sessions import EVERY_TENANT, Session
from services.runtime.web.signin import Viewer
from services.stats.access.api_keys import ApiKey
from services.stats.access.scope import Scope

__all__ = ["ADMIN", "Administrator", "administered", "administers", "administrator", "require_tenant", "scope_of"]

ADMIN = "admin"
_LOOKS = frozenset({"viewer", ADMIN})


def scope_of(who: Session | ApiKey) -> Scope:
    """The tenants that somebody, or a program with a key, may see. None of them without a role of this service."""
    if isinstance(who, Session) and not who.roles & _LOOKS:
        return Scope(frozenset())
    return Scope(None if EVERY_TENANT in who.tenants else who.tenants)


def administers(session: Session, tenants: Iterable[str]) -> bool:
    """Whether each of `tenants` is somebody's to administer; `EVERY_TENANT` is only theirs who have every one."""
    every = EVERY_TENANT in session.tenants
    return ADMIN in session.roles and all(every or tenant in session.tenants for tenant in tenants)


def administered(session: Session, known: Iterable[str]) -> list[str]:
    """Those of `known` that are somebody's to administer, by name."""
    return sorted(tenant for tenant in known if administers(session, [tenant]))


def administrator(session: Viewer) -> Session:
    """For a route: somebody who administers anything. Raises a 403 that says whom to ask."""
    if not administers(session, ()):
        raise Problem(403, "This is for administrators", "Ask an administrator of your organisation, or the operator.")
    return session


def require_tenant(session: Session, tenants: Iterable[str]) -> None:
    """Raises 404, as for tenants that do not exist, unless all of `tenants` are somebody's to administer."""
    if not administers(session, tenants):
        raise Problem(404, "There is no such tenant here", "It does not exist, or you may not administer it.")


Administrator = Annotated[Session, Depends(administrator)]
