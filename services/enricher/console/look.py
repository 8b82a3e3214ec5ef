"""What all pages of the console share: who asks, the gate, and how a page is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from babel.dates import format_skeleton
from fastapi import FastAPI
from jinja2.runtime import Context
from jinja2.utils import pass_context
from starlette.requests import Request
from starlette.responses import Response

from services.enricher.access.decisions import EVERY_TENANT, Actor
from services.enricher.access.grants import Gate, Nobody, Refused
from services.enricher.access.service import Access
from services.enricher.console.words import WORDS, roles_said
from services.enricher.retention.held import has_holds
from services.enricher.rights.desk import Cases
from services.enricher.service import Identity
from services.enricher.tenants.registry import Tenant
from services.runtime.marks import N_
from services.runtime.retention.terms import GONE
from services.runtime.web.pages import Link, pages_of
from services.runtime.web.problems import Problem, problem_response, wants_page
from services.runtime.web.sessions import Session
from services.runtime.web.zones import zone_of

__all__ = ["LOOK_UP", "OFFICERS", "Desk", "Leaver", "actor_of"]

LOOKERS = frozenset({"support", "dpo"})  # who is shown the way to a page; the policies decide who gets in
AUDITORS = frozenset({"dpo", "operator"})
CASE_READERS = frozenset({"dpo", "operator", "tenant-admin"})
KEEPERS = frozenset({"dpo", "operator", "tenant-admin"})
OFFICERS = frozenset({"dpo"})
LOOK_UP = "/"  # where signing in leads to


def actor_of(session: Session) -> Actor:
    return Actor(session.user, session.roles, session.tenants)


@dataclass(frozen=True, slots=True)
class Leaver:
    """A tenant whose data will be deleted; `held`: its day is over, and a legal hold on somebody is waited for."""

    tenant: Tenant
    held: bool


class Desk:
    """Handed to every router. Holds no state of its own."""

    def __init__(self, identity: Identity, access: Access, cases: Cases) -> None:
        self.identity, self.access, self.cases = identity, access, cases

    @property
    def gate(self) -> Gate:
        return self.access.gate

    def prepare(self, app: FastAPI) -> None:
        """Filters for the templates, and answers for what the gate raises."""
        environment = app.state.pages.environment
        environment.globals["words"] = WORDS
        environment.filters["clock"] = _local("%H:%M:%S")
        environment.filters["minute"] = _local("%H:%M")
        environment.filters["date"] = _date
        environment.filters["day"] = _day
        environment.filters["utc"] = lambda at: f"{at:%Y-%m-%d %H:%M:%S} UTC"
        app.add_exception_handler(Refused, self._on_refused)
        app.add_exception_handler(Nobody, _on_nobody)

    def page(self, request: Request, session: Session, template: str, status: int = 200, **context: Any) -> Response:
        """In the viewer's language and zone, with what waits for them."""
        actor, zone = actor_of(session), zone_of(request, self.identity.settings.zone)
        shell = {
            "navigation": self._navigation(session, actor),
            "zone": zone,
            "now": self.identity.clock.now(),
            "unreviewed": self.access.watch.unreviewed(actor) if session.roles & OFFICERS else 0,
            "leavers": self._leavers(session),
            "looks": bool(session.roles & LOOKERS),
        }
        page = pages_of(request).render(request, template, **(shell | context))
        page.status_code = status
        return page

    def tenants(self, session: Session) -> Sequence[str]:
        """The tenants this person may ask for, by name."""
        return [tenant.tenant for tenant in self.own(session)]

    def first_page(self, session: Session) -> str:
        """Where this person's work begins; the look-up for who has nothing else either."""
        links = self._navigation(session, actor_of(session))
        return links[0].href if links else LOOK_UP

    def _leavers(self, session: Session) -> Sequence[Leaver]:
        """Of the person's own tenants."""
        now, engine = self.identity.clock.now(), self.identity.engine
        own = [t for t in self.own(session) if t.terminates_at is not None and t.status not in GONE]
        return [Leaver(t, t.terminates_at <= now and has_holds(engine, t.tenant)) for t in own if t.terminates_at]

    def own(self, session: Session) -> Sequence[Tenant]:
        """The tenants that are theirs to see something of."""
        self.identity.registry.follow()
        every = EVERY_TENANT in session.tenants
        return [t for t in self.identity.registry.all() if every or t.tenant in session.tenants]

    def _navigation(self, session: Session, actor: Actor) -> Sequence[Link]:
        links: list[Link] = []
        if session.roles & LOOKERS:
            links += [Link(N_("Look-up"), LOOK_UP, "look-up"), Link(N_("My grants"), "/grants", "grants")]
        if session.roles & OFFICERS:
            waiting = self.access.approvals.count(actor)
            links += [Link(N_("Approvals"), "/approvals", "approvals", count=waiting)]
            links += [Link(N_("Unusual access"), "/unusual", "unusual")]
        if session.roles & CASE_READERS:
            links += [Link(N_("Cases"), "/cases", "cases", count=self.cases.count_open(actor))]
        elif session.roles & LOOKERS:
            links += [Link(N_("Cases"), "/cases/new", "cases")]
        if session.roles & AUDITORS:
            links += [Link(N_("Audit"), "/audit", "audit")]
        if session.roles & KEEPERS:
            links += [Link(N_("Retention"), "/retention", "retention"), Link(N_("Tenants"), "/tenants", "tenants")]
        return links

    async def _on_refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        session: Session | None = getattr(request.state, "session", None)
        if session is None or not wants_page(request):
            rules, text = list(error.decision.rules), " ".join(error.decision.advice)
            may = list(error.decision.may)
            return problem_response(request, Problem(403, "This was refused", text, rules=rules, may=may))
        told = {"advice": error.decision.advice, "may": roles_said(error.decision.may)}
        return self.page(request, session, "refused.html", 403, section="", **told)


def _local(pattern: str) -> Callable[[Context, datetime], str]:
    @pass_context
    def local(context: Context, at: datetime) -> str:
        return f"{at.astimezone(context['zone']):{pattern}}"

    return local


@pass_context
def _date(context: Context, at: datetime) -> str:
    return str(context["language"].day(at.astimezone(context["zone"]).date()))


@pass_context
def _day(context: Context, at: datetime) -> str:
    """Today, Yesterday, or Tuesday 10 March 2026, as the page's language writes it."""
    zone, language = context["zone"], context["language"]
    local, today = at.astimezone(zone).date(), context["now"].astimezone(zone).date()
    names = {0: N_("Today"), 1: N_("Yesterday")}
    if (name := names.get((today - local).days)) is not None:
        return str(language.say(name))
    return str(format_skeleton("yMMMMEEEEd", local, locale=language.locale))


async def _on_nobody(request: Request, error: Exception) -> Response:
    return problem_response(request, Problem(404, "Nothing to show", str(error)))
