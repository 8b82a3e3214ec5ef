"""The identity service's web application: console and API on the shared shell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fastapi import FastAPI

from services.enricher.access.records import console_sessions
from services.enricher.access.service import Access
from services.enricher.api import install_accounts_api
from services.enricher.console.approval_pages import approvals_router
from services.enricher.console.audit_pages import audit_router
from services.enricher.console.case_pages import cases_router, prepare_cases
from services.enricher.console.grant_pages import grants_router
from services.enricher.console.look import Desk
from services.enricher.console.tenant_pages import tenants_router
from services.enricher.description import describe
from services.enricher.dsr_api import DsrService, install_dsr_api
from services.enricher.rights.service import open_callbacks, open_cases, open_signer
from services.enricher.service import Identity
from services.runtime.web.door import open_door
from services.runtime.web.languages import LANGUAGES
from services.runtime.web.shell import create_app

__all__ = ["create_console"]


def create_console(identity: Identity, access: Access, ready: Callable[[], Sequence[str]] = tuple) -> FastAPI:
    """`/` look-up, grants, approvals, cases and audit; `/api/v1/accounts`, `/dsr/v1`; and what every service has."""
    app = create_app(
        "Voile identity",
        metrics=identity.metrics,
        ready=ready,
        hosts=identity.settings.identity.hosts,
        door=open_door(
            "identity",
            "identity",
            engine=identity.engine,
            tables=console_sessions,
            clock=identity.clock,
            login=identity.settings.login,
            sessions=access.sessions,
        ),
        templates="services.enricher.console",
        languages=tuple(LANGUAGES),
        assets=[Path(__file__).parent / "assets"],
    )
    cases = open_cases(identity, access.gate, access.audit)
    desk = Desk(identity, access, cases)
    desk.prepare(app)
    prepare_cases(app)
    app.include_router(grants_router(desk))
    app.include_router(approvals_router(desk))
    app.include_router(audit_router(desk))
    app.include_router(cases_router(desk, cases))
    app.include_router(tenants_router(desk))
    install_accounts_api(app, identity.accounts, access.api_keys)
    install_dsr_api(
        app,
        DsrService(
            cases=cases,
            callbacks=open_callbacks(identity),
            signer=open_signer(identity),
            api_keys=access.api_keys,
            clock=identity.clock,
        ),
    )
    app.openapi = describe(app)  # type: ignore[method-assign]  # FastAPI's own way to change the document
    return app
