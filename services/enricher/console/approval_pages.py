"""The officer's desk: requests that wait, broken glass to review, and grants that run."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.enricher.access.grant_book import VERDICTS
from services.enricher.console.look import Desk, actor_of
from services.runtime.web.signin import Author, Viewer

__all__ = ["approvals_router"]

Text = Annotated[str, Form(max_length=2000)]
HERE = "/approvals"


def approvals_router(desk: Desk) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    approvals, watch = desk.access.approvals, desk.access.watch

    @router.get(HERE)
    def waiting(request: Request, session: Viewer) -> Response:
        """The policies say first whether this person may see who holds access."""
        actor = actor_of(session)
        watched = watch.look(actor)
        return desk.page(
            request,
            session,
            "approvals.html",
            section="approvals",
            waiting=approvals.waiting(actor),
            watched=watched,
            verdicts=VERDICTS,
        )

    @router.post("/requests/{asked}/answer")
    def answer(session: Author, asked: str, agrees: Annotated[bool, Form()], reason: Text = "") -> Response:
        approvals.answer(actor_of(session), asked, agrees, reason)
        return RedirectResponse(HERE, 303)

    @router.post("/grants/{grant}/revoke")
    def revoke(session: Author, grant: str, reason: Text = "") -> Response:
        watch.revoke(actor_of(session), grant, reason)
        return RedirectResponse(HERE, 303)

    @router.post("/grants/{grant}/review")
    def review(session: Author, grant: str, verdict: Text, reason: Text = "") -> Response:
        watch.review(actor_of(session), grant, verdict, reason)
        return RedirectResponse(HERE, 303)

    return router
