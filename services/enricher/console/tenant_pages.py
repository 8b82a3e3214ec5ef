"""How long data is kept, with the last proof of it; and the tenants: made, paused, ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.enricher.access.decisions import EVERY_TENANT, Action
from services.enricher.access.grants import Nobody
from services.enricher.console.look import Desk, actor_of
from services.enricher.console.tenant_words import ENDS, KINDS_SAID, STATUSES
from services.enricher.tenants.registry import Tenant
from services.runtime.errors import WrongUse
from services.runtime.marks import N_
from services.runtime.retention.kinds import KINDS, SETTABLE
from services.runtime.retention.published import Line, Published
from services.runtime.web.sessions import Session
from services.runtime.web.signin import Author, Viewer

__all__ = ["tenants_router"]

Text = Annotated[str, Form(max_length=2000)]
DAY = timedelta(days=1)
RETENTION, TENANTS = "/retention", "/tenants"


def tenants_router(desk: Desk) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    tenancy = desk.access.tenancy

    @router.get(RETENTION)
    def terms(request: Request, session: Viewer) -> Response:
        """The policies say first whether this person may see it; they see their own tenants'."""
        desk.gate.permit_tenant(actor_of(session), Action.VIEW_RETENTION)
        return desk.page(
            request,
            session,
            "retention.html",
            section="retention",
            lines=_lines(desk, session),
            tenants=[tenant for tenant in desk.own(session) if tenant.status in STATUSES],
            settable={kind: KINDS[kind].term(desk.identity.settings) // DAY for kind in SETTABLE},
            ends_of={kind: [end.value for end in KINDS[kind].ends] for kind in SETTABLE},
            said=KINDS_SAID,
            ends=ENDS,
        )

    @router.post(RETENTION)
    def set_terms(
        *, session: Author, tenant: Text, kind: Text, days: Text = "", end: Text = "", reason: Text = ""
    ) -> Response:
        """Empty days: the operator's term."""
        chosen = {end_of: end for end_of in [kind] if end}
        tenancy.set_terms(actor_of(session), tenant, {kind: _number(days)}, chosen, reason)
        return RedirectResponse(RETENTION, 303)

    @router.get(TENANTS)
    def tenants(request: Request, session: Viewer) -> Response:
        desk.gate.permit_tenant(actor_of(session), Action.VIEW_TENANTS)
        found = desk.own(session)
        certified = {tenant.tenant for tenant in found if desk.identity.certificates.newest(tenant.tenant)}
        notice = desk.identity.settings.retention.notice_days
        return desk.page(
            request,
            session,
            "tenants.html",
            section="tenants",
            tenants=found,
            certified=certified,
            notice=notice,
            statuses=STATUSES,
            manages="operator" in session.roles,
        )

    @router.post(TENANTS)
    def register(*, session: Author, tenant: Text, name: Text = "", hosts: Text = "", reason: Text = "") -> Response:
        wanted = Tenant(tenant, name or tenant, desk.identity.clock.now(), tuple(hosts.split()))
        tenancy.register(actor_of(session), wanted, reason)
        return RedirectResponse(TENANTS, 303)

    @router.post("/tenants/{tenant}/suspend")
    def suspend(session: Author, tenant: str, reason: Text = "") -> Response:
        tenancy.suspend(actor_of(session), tenant, reason)
        return RedirectResponse(TENANTS, 303)

    @router.post("/tenants/{tenant}/resume")
    def resume(session: Author, tenant: str, reason: Text = "") -> Response:
        tenancy.resume(actor_of(session), tenant, reason)
        return RedirectResponse(TENANTS, 303)

    @router.post("/tenants/{tenant}/terminate")
    def terminate(session: Author, tenant: str, confirm: Text = "", reason: Text = "") -> Response:
        """Only with the tenant's id typed once more."""
        if confirm != tenant:
            raise WrongUse("Type {name} to confirm; nothing was scheduled.", name=tenant)
        tenancy.terminate(actor_of(session), tenant, reason)
        return RedirectResponse(TENANTS, 303)

    @router.post("/tenants/{tenant}/keep")
    def keep(session: Author, tenant: str, reason: Text = "") -> Response:
        tenancy.keep(actor_of(session), tenant, reason)
        return RedirectResponse(TENANTS, 303)

    @router.get("/tenants/{tenant}/certificate")
    def certificate(session: Viewer, tenant: str, signature: bool = False) -> Response:
        """The newest, as JSON; or the content of its `.minisig` file."""
        desk.gate.permit_tenant(actor_of(session), Action.VIEW_TENANTS, tenant)
        found = desk.identity.certificates.newest(tenant)
        if found is None:
            raise Nobody(N_("There is no certificate: the tenant has not left."))
        name = f"{found.file}.minisig" if signature else found.file
        kind = "text/plain" if signature else "application/json"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(found.signature if signature else found.document, media_type=kind, headers=headers)

    return router


def _lines(desk: Desk, session: Session) -> Sequence[Line]:
    """What each plane counted last; what is nobody's in particular is shown to who sees every tenant."""
    own = {*desk.tenants(session), *([""] if EVERY_TENANT in session.tenants else [])}
    with Published(desk.identity.log) as published:
        lines = [line for line in published.lines() if line.tenant in own]
    order = {kind: number for number, kind in enumerate(KINDS)}
    return sorted(lines, key=lambda line: (order[line.kind], line.tenant))


def _number(days: str) -> int | None:
    if not days.strip():
        return None
    try:
        return int(days)
    except ValueError:
        raise WrongUse("A term is a number of days; leave it empty for the operator's.") from None
