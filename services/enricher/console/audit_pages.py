"""The audit log for the data protection officer, and its proof."""

from __future__ import annotations

from collections.abc import Mapping
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
OUTCOMES = ("granted", "refused")
FILTERS = ("tenant", "actor", "outcome", "ticket")

Word = Annotated[str, Query(max_length=200)]


def audit_router(desk: Desk) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    def page(request: Request, session: Viewer, wanted: Mapping[str, str], *, prove: bool = False) -> Response:
        """Whoever may not read the log may not have it verified either: the gate comes first."""
        equal = {name: value for name, value in wanted.items() if value}
        entries = desk.gate.entries(actor_of(session), ENTRIES_SHOWN, equal)
        return desk.page(
            request,
            session,
            "audit.html",
            section="audit",
            entries=entries,
            wanted=wanted,
            tenants=desk.tenants(session),
            outcomes=OUTCOMES,
            verdict=_proof(desk) if prove else None,
            limit=ENTRIES_SHOWN,
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
    def verify_log(request: Request, session: Author) -> Response:
        """Reads every entry again: seconds for a million."""
        return page(request, session, dict.fromkeys(FILTERS, ""), prove=True)

    return router


def _proof(desk: Desk) -> Verdict:
    identity = desk.identity
    return verify(identity.engine, identity.keys, checkpoint_path(identity.settings.data.absolute()))
