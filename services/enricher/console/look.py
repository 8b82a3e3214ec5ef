"""What all pages of the console share: who asks, the gate, and how a page is made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from services.enricher.access import Access
from services.enricher.decisions import EVERY_TENANT, Actor
from services.enricher.grants import Gate, Nobody, Refused
from services.enricher.service import Identity
from services.runtime.web.pages import Link, pages_of
from services.runtime.web.problems import Problem, problem_response, wants_page
from services.runtime.web.sessions import Session

__all__ = ["Desk", "actor_of"]

AUDITORS = frozenset({"dpo", "operator"})  # who is shown the way to the audit page; the policies decide who gets in


def actor_of(session: Session) -> Actor:
    return Actor(session.user, session.roles, session.tenants)


class Desk:
    """Handed to every router. Holds no state of its own."""

    def __init__(self, identity: Identity, access: Access) -> None:
        self.identity, self.access = identity, access

    @property
    def gate(self) -> Gate:
        return self.access.gate

    @property
    def zone(self) -> ZoneInfo:
        return self.identity.settings.zone

    def prepare(self, app: FastAPI) -> None:
        """Filters for the templates, and answers for what the gate raises."""
        environment = app.state.pages.environment
        environment.filters["clock"] = lambda at: f"{at.astimezone(self.zone):%H:%M:%S}"
        environment.filters["minute"] = lambda at: f"{at.astimezone(self.zone):%H:%M}"
        environment.filters["day"] = self._day
        environment.filters["utc"] = lambda at: f"{at:%Y-%m-%d %H:%M:%S} UTC"
        app.add_exception_handler(Refused, self._on_refused)
        app.add_exception_handler(Nobody, _on_nobody)

    def page(self, request: Request, session: Session, template: str, status: int = 200, **context: Any) -> Response:
        now = self.identity.clock.now()
        page = pages_of(request).render(
            request, template, navigation=_navigation(session), zone=self.zone.key, now=now, **context
        )
        page.status_code = status
        return page

    def tenants(self, session: Session) -> Sequence[str]:
        """The tenants this person may ask for, by name."""
        self.identity.registry.follow()
        every = EVERY_TENANT in session.tenants
        return [t.tenant for t in self.identity.registry.all() if every or t.tenant in session.tenants]

    def _day(self, at: datetime) -> str:
        local, today = at.astimezone(self.zone).date(), self.identity.clock.now().astimezone(self.zone).date()
        names = {0: "Today", 1: "Yesterday"}
        return names.get((today - local).days, f"{local:%A} {local.day} {local:%B %Y}")

    async def _on_refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        session: Session | None = getattr(request.state, "session", None)
        if session is None or not wants_page(request):
            rules, text = list(error.decision.rules), " ".join(error.decision.advice)
            return problem_response(request, Problem(403, "This was refused", text, rules=rules))
        return self.page(request, session, "refused.html", 403, section="", advice=error.decision.advice)


def _navigation(session: Session) -> Sequence[Link]:
    links = [Link("Look-up", "/", "look-up"), Link("My grants", "/grants", "grants")]
    return [*links, Link("Audit", "/audit", "audit")] if session.roles & AUDITORS else links


async def _on_nobody(request: Request, error: Exception) -> Response:
    return problem_response(request, Problem(404, "Nothing to show", str(error)))
