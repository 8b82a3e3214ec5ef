"""The page of proposed routes: `/routes`, where a tenant's administrators accept or refuse them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from services.runtime.clock import Clock
from services.runtime.settings import Settings
from services.runtime.web.pages import pages_of
from services.runtime.web.problems import Problem
from services.runtime.web.signin import Author
from services.stats.access.roles import Administrator, administers, require_tenant
from services.stats.closing.proposals import ACCEPTED, PROPOSED, REFUSED, Proposal, Proposals

__all__ = ["proposals_router"]

Field = Annotated[str, Form(max_length=300)]  # a template has six segments, none longer than 40 characters


def proposals_router(proposals: Proposals, settings: Settings, clock: Clock) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    decisions: dict[str, Callable[[str, str], Proposal | None]] = {
        "accept": lambda tenant, template: proposals.accept(tenant, template, clock.now(), settings.zone),
        "refuse": lambda tenant, template: proposals.refuse(tenant, template, clock.now(), settings.zone),
    }

    @router.get("/routes")
    def listed(request: Request, session: Administrator) -> Response:
        own = [proposal for proposal in proposals.listed() if administers(session, [proposal.tenant])]
        rows = [(proposal, _may(proposal)) for proposal in own]
        return pages_of(request).render(request, "routes.html", section="routes", rows=rows)

    @router.post("/routes")
    def decide(
        *, _author: Author, session: Administrator, tenant: Field = "", template: Field = "", decision: Field = ""
    ) -> Response:
        require_tenant(session, [tenant])
        if decision not in decisions:
            raise Problem(400, "There is no such choice", "`decision` is accept or refuse.")
        if decisions[decision](tenant, template) is None:
            raise Problem(404, "There is no such proposal", "It was never made for this client organisation.")
        return RedirectResponse("/routes", 303)

    return router


def _may(proposal: Proposal) -> Sequence[str]:
    """What can be decided about it now."""
    return {PROPOSED: ("accept", "refuse"), ACCEPTED: ("refuse",), REFUSED: ("accept",)}[proposal.state]
