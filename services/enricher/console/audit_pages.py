"""The audit log for the data protection officer, and its proof."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from services.enricher.audit import checkpoint_path
from services.enricher.audit_proof import Verdict, verify
from services.enricher.console.look import Desk, actor_of
from services.runtime.web.signin import Author, Viewer

__all__ = ["audit_router"]

ENTRIES_SHOWN = 100
OUTCOMES = ("allowed", "refused")

Word = Annotated[str, Query(max_length=200)]


def audit_router(desk: Desk) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    def page(
        request: Request,
        session: Viewer,
        wanted: dict[str, str],
        verdict: Verdict | None = None,
        limit: int = ENTRIES_SHOWN,
    ) -> Response:
        equal = {name: value for name, value in wanted.items() if value}
        entries = desk.gate.entries(actor_of(session), limit, **equal)
        return desk.page(
            request,
            session,
            "audit.html",
            section="audit",
            entries=entries,
            wanted=wanted,
            tenants=desk.tenants(session),
            outcomes=OUTCOMES,
            verdict=verdict,
            limit=limit,
        )

    @router.get("/audit")
    def audit(
        *,
        request: Request,
        session: Viewer,
        tenant: Word = "",
        actor: Word = "",
        outcome: Word = "",
        ticket: Word = "",
    ) -> Response:
        return page(request, session, {"tenant": tenant, "actor": actor, "outcome": outcome, "ticket": ticket})

    @router.post("/audit/verify")
    def prove(request: Request, session: Author) -> Response:
        """Reads every entry again: seconds for a million."""
        desk.gate.entries(actor_of(session), 0)
        identity = desk.identity
        verdict = verify(identity.engine, identity.keys, checkpoint_path(identity.settings.data.absolute()))
        return page(request, session, dict.fromkeys(("tenant", "actor", "outcome", "ticket"), ""), verdict)

    return router
