"""`/partner`: what a partner's members see of their releases, and where they accept the terms."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from services.runtime.errors import WrongUse
from services.runtime.web.door import origin_of
from services.runtime.web.pages import pages_of
from services.runtime.web.problems import Problem
from services.runtime.web.signin import Author
from services.stats.delivery.asking import Delivery, member, require_terms
from services.stats.delivery.exports_api import available
from services.stats.delivery.preview import preview_of
from services.stats.delivery.webhooks import listed, sent

__all__ = ["partner_router"]

DOWNLOADS_SHOWN = 20


def partner_router(delivery: Delivery, records: sa.Engine) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/partner")
    def home(request: Request) -> Response:
        asker = member(request, delivery.partners)
        return pages_of(request).render(
            request,
            "partner.html",
            section="partner",
            request_origin=origin_of(request),
            partner=delivery.partners.get(asker.partner),
            versions=delivery.publications.listed(asker.releases),
            terms=delivery.terms.current(),
            accepted=delivery.terms.accepted(asker.partner),
            downloads=delivery.downloads.listed(asker.partner, DOWNLOADS_SHOWN),
            keys=delivery.partners.keys(asker.partner),
            hooks=listed(records, asker.partner),
            messages=sent(records, asker.partner, DOWNLOADS_SHOWN),
        )

    @router.post("/partner/terms")
    def accept(request: Request, author: Author, number: Annotated[int, Form(ge=1, le=1_000_000)]) -> Response:
        asker = member(request, delivery.partners)
        try:
            delivery.terms.accept(asker.partner, number, author.user)
        except WrongUse:
            raise Problem(409, "These terms are not in force any more", "Read the newest on the page.") from None
        return RedirectResponse("/partner", 303)

    @router.get("/partner/{name}/{version}")
    def one(request: Request, name: str, version: str) -> Response:
        asker = member(request, delivery.partners)
        require_terms(delivery, asker)
        found = available(delivery, asker, name, version)
        return pages_of(request).render(
            request,
            "release.html",
            section="partner",
            release=found,
            preview=preview_of(delivery.publications, found, pages_of(request).language(request)),
            files=delivery.publications.files(name, version),
            back="/partner",
            downloadable=True,
        )

    return router
