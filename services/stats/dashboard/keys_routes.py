"""`/keys`: a tenant's administrators make and revoke the keys that programs ask for its figures with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from services.runtime.web.pages import pages_of
from services.runtime.web.problems import Problem
from services.runtime.web.sessions import EVERY_TENANT, Session
from services.runtime.web.signin import Author
from services.stats.access.api_keys import TERM, ApiKey, ApiKeys
from services.stats.access.roles import Administrator, administered, administers, require_tenant

__all__ = ["keys_router"]

LABEL_MAX = 100


def keys_router(keys: ApiKeys, tenants: Callable[[], Sequence[str]]) -> APIRouter:
    """`tenants`: those with figures, among which whoever has every tenant chooses."""
    router = APIRouter(include_in_schema=False)

    def page(request: Request, session: Session, made: str = "") -> Response:
        """`made`: a key just made, shown this once."""
        known = tenants() if EVERY_TENANT in session.tenants else session.tenants
        return pages_of(request).render(
            request,
            "keys.html",
            section="keys",
            keys=_own(keys, session),
            tenants=administered(session, known),
            made=made,
            label_max=LABEL_MAX,
            days=TERM.days,
        )

    @router.get("/keys")
    def listed(request: Request, session: Administrator) -> Response:
        return page(request, session)

    @router.post("/keys")
    def make(
        *,
        request: Request,
        _author: Author,
        session: Administrator,
        tenant: Annotated[str, Form(max_length=LABEL_MAX)] = "",
        label: Annotated[str, Form(max_length=LABEL_MAX)] = "",
    ) -> Response:
        require_tenant(session, [tenant])
        if not label.strip() or not label.isprintable():
            raise Problem(400, "The key has no name", "Say what will use it, so that you know later which one to end.")
        return page(request, session, keys.add(label.strip(), [tenant]))

    @router.post("/keys/revoke")
    def revoke(_author: Author, session: Administrator, id: Annotated[str, Form(max_length=64)] = "") -> Response:
        if id not in {key.id for key in _own(keys, session)} or not keys.revoke(id):
            raise Problem(404, "There is no such key here", "It does not exist, was revoked, or is not yours to end.")
        return RedirectResponse("/keys", 303)

    return router


def _own(keys: ApiKeys, session: Session) -> list[ApiKey]:
    """Those of which every tenant is theirs: ending one that also asks for another tenant is not for them."""
    return [key for key in keys.all() if administers(session, key.tenants)]
