"""`/releases`: what was spent and published of one's tenants; for the operator also partners, downloads, withdrawal."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from services.runtime.clock import Clock
from services.runtime.errors import Fatal, WrongUse
from services.runtime.settings import Settings
from services.runtime.web.pages import pages_of
from services.runtime.web.problems import Problem
from services.runtime.web.sessions import EVERY_TENANT, Session
from services.runtime.web.signin import Author, Viewer
from services.stats.access.roles import administers, scope_of
from services.stats.delivery import acts
from services.stats.delivery.asking import Delivery
from services.stats.delivery.budget import spent
from services.stats.delivery.preview import preview_of
from services.stats.delivery.publications import REASON_MAX, Version
from services.stats.delivery.webhooks import listed, sent
from services.stats.releases.person import fraction
from services.stats.releases.split import declared_split

__all__ = ["releases_router"]

ROWS_SHOWN = 30
_NAME_MAX = 200


def releases_router(delivery: Delivery, records: sa.Engine, settings: Settings, clock: Clock) -> APIRouter:
    router, epsilon = APIRouter(include_in_schema=False), _conversion()

    @router.get("/releases")
    def overview(request: Request, session: Viewer) -> Response:
        tenants, split = scope_of(session).tenants, declared_split()
        today = clock.now().astimezone(settings.zone).date()
        return pages_of(request).render(
            request,
            "releases.html",
            section="releases",
            months=spent(records, tenants, today, epsilon()),
            split=split,
            fraction=fraction,
            versions=[v for v in delivery.publications.listed() if _sees(session, v)],
            operator=_operator(delivery, records) if administers(session, [EVERY_TENANT]) else None,
            reason_max=REASON_MAX,
        )

    @router.get("/releases/{name}/{version}")
    def one(request: Request, session: Viewer, name: str, version: str) -> Response:
        found = delivery.publications.get(name, version)
        if found is None or not _sees(session, found):
            raise Problem(404, "There is no such release here", "It does not exist, or you may not have it.")
        return pages_of(request).render(
            request,
            "release.html",
            section="releases",
            release=found,
            preview=preview_of(delivery.publications, found, pages_of(request).language(request)),
            files=delivery.publications.files(name, version),
            back="/releases",
            downloadable=False,
        )

    @router.post("/releases/withdraw")
    def withdraw(
        author: Author,
        name: Annotated[str, Form(max_length=_NAME_MAX)] = "",
        version: Annotated[str, Form(max_length=_NAME_MAX)] = "",
        reason: Annotated[str, Form(max_length=REASON_MAX)] = "",
    ) -> Response:
        if not administers(author, [EVERY_TENANT]):
            raise Problem(403, "This is for the operator", "Ask who runs this installation to withdraw a release.")
        try:
            delivery.publications.withdraw(name, version, reason, author.user)
        except WrongUse:
            raise Problem(400, "The reason says nothing", "Say in one line why: partners read it.") from None
        except Fatal:
            raise Problem(409, "There is nothing to withdraw", "It does not exist, or was withdrawn before.") from None
        return RedirectResponse("/releases", 303)

    return router


def _sees(session: Session, version: Version) -> bool:
    """A tenant's people see what is told of it; the platform's sums are for who sees every tenant."""
    tenants = scope_of(session).tenants
    return tenants is None or version.tenant in tenants


def _operator(delivery: Delivery, records: sa.Engine) -> dict[str, object]:
    return {
        "partners": [(p, delivery.terms.accepted(p.id), delivery.partners.keys(p.id)) for p in delivery.partners.all()],
        "terms": delivery.terms.current(),
        "downloads": delivery.downloads.listed(limit=ROWS_SHOWN),
        "acts": acts.listed(records, ROWS_SHOWN),
        "hooks": {hook.id: hook for hook in listed(records)},
        "messages": sent(records, limit=ROWS_SHOWN),
    }


def _conversion() -> Callable[[], Callable[[Fraction], float]]:
    """rho -> epsilon, by the library that draws; it takes a moment to load, so only for who looks at the budget."""

    @cache
    def load() -> Callable[[Fraction], float]:
        from services.stats.releases.noise import discrete_gaussian

        return discrete_gaussian(declared_split()).epsilon

    return load
