"""The page of proposed routes: `/routes`, where a tenant's administrators accept or refuse them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from services.runtime.clock import Clock
from services.runtime.settings import Settings
from services.runtime.web.pages import pages_of
from services.runtime.web.problems import Problem
from services.runtime.web.sessions import Session
from services.runtime.web.signin import Author, Viewer
from services.stats.api import scope_of
from services.stats.proposals import ACCEPTED, PROPOSED, REFUSED, Proposal, Proposals

__all__ = ["ADMIN", "proposals_router"]

ADMIN = "admin"


def proposals_router(proposals: Proposals, settings: Settings, clock: Clock) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    decisions: dict[str, Callable[[str, str], Proposal | None]] = {
        "accept": lambda tenant, template: proposals.accept(tenant, template, clock.now(), settings.zone),
        "refuse": lambda tenant, template: proposals.refuse(tenant, template, clock.now(), settings.zone),
    }

    @router.get("/routes")
    def listed(request: Request, session: Viewer) -> Response:
        found = proposals.listed(scope_of(session.tenants).tenants)
        rows = [(proposal, _may(proposal)) for proposal in found]
        may_decide = ADMIN in session.roles
        return pages_of(request).render(request, "routes.html", section="routes", rows=rows, may_decide=may_decide)

    @router.post("/routes")
    def decide(
        session: Author, tenant: str = Form(), template: str = Form(), decision: str = Form()
    ) -> Response:  # fmt: skip
        _require(session, tenant)
        if decision not in decisions:
            raise Problem(400, "There is no such choice", "`decision` is accept or refuse.")
        if decisions[decision](tenant, template) is None:
            raise Problem(404, "There is no such proposal", "It was never made for this client organisation.")
        return RedirectResponse("/routes", 303)

    return router


def _require(session: Session, tenant: str) -> None:
    """Raises `Problem`: 404 for a tenant that this person may not see, whether it exists or not."""
    scope = scope_of(session.tenants).tenants
    if scope is not None and tenant not in scope:
        raise Problem(404, "There is no such tenant here", "It does not exist, or you may not see it.")
    if ADMIN not in session.roles:
        raise Problem(
            403, "Only administrators decide about routes", "Ask whoever runs this installation for the role."
        )


def _may(proposal: Proposal) -> Sequence[str]:
    """What can be decided about it now."""
    return {PROPOSED: ("accept", "refuse"), ACCEPTED: ("refuse",), REFUSED: ("accept",)}[proposal.state]
