"""Look-up, one's own requests and grants, and one person's timeline."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from itertools import groupby
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.enricher.access.decisions import PURPOSES, Actor
from services.enricher.access.grant_book import Grant
from services.enricher.access.grants import BREAK_GLASS_MINUTES, DAYS_SHOWN, MINUTES, Ask, Nobody, Refused, View, Waits
from services.enricher.access.notes import NOTE_CHARACTERS_MAX
from services.enricher.activity.timeline import Access, Revealed, Visit
from services.enricher.console.look import LOOK_UP, OFFICERS, Desk, actor_of
from services.enricher.console.words import roles_said
from services.runtime.web.sessions import Session
from services.runtime.web.signin import Author, Viewer
from services.runtime.web.zones import zone_of

__all__ = ["grants_router"]

PERIODS = (1, 7, 30, 90, 366)  # days a viewer can choose from, and can ask for
TERMS = (15, 30, 60, 120, 240)  # minutes one can ask for
ERRORS_LISTED = 10  # at the top of a timeline; the rest stand in their visits
SHOWN = timedelta(seconds=60)  # how long a revealed field stays on a page that has scripts
TEXT_MAX = 2000
AS_IT_LOOKS = "any"  # what one is looked for by, when nobody said
# With its country: +41 ..., or 0041 ... written in groups; digits alone are more likely a member's number.
_PHONE = re.compile(r"\s*(?:\+|00\d+[\s(/.-])")
# Ada <ada@example.org> of a message, mailto:ada@example.org?subject=... of a link.
_PASTED = re.compile(
    r"\s*(?:mailto:(?P<linked>[^\s?<>]+@[^\s?<>]+)(?:\?\S*)?|[^<>]*<(?P<named>[^\s<>]+@[^\s<>]+)>)\s*", re.IGNORECASE
)

Days = Annotated[int, Query(ge=1, le=366)]
Text = Annotated[str, Form(max_length=TEXT_MAX)]
Sent = Annotated[str, Field(max_length=TEXT_MAX)]


class AskForm(BaseModel):
    """The look-up form as it was sent; `first` and `last` are days as a browser writes them, empty when not used. What
    was left out is empty, too: whoever breaks the glass gets the form back with what they typed."""

    model_config = ConfigDict(frozen=True)

    tenant: Sent = ""
    value: Sent = ""
    reason: Sent = ""
    purpose: Sent = "support"
    ticket: Sent = ""
    by: Sent = AS_IT_LOOKS
    minutes: int = MINUTES
    days: int = DAYS_SHOWN
    first: Sent = ""
    last: Sent = ""

    def ask(self, zone: ZoneInfo, now: datetime) -> Ask:
        """Raises `Nobody` on a day that is none."""
        days, until = self._window(zone, now)
        return Ask(
            self.tenant, self._value, self.purpose, self.ticket, self.reason, self._by, self.minutes, days, until
        )

    @property
    def _by(self) -> str:
        """Whose accounts look like an e-mail or a phone number chooses."""
        if self.by != AS_IT_LOOKS:
            return self.by
        return "email" if "@" in self._value else "phone" if _PHONE.match(self._value) else "account"

    @property
    def _value(self) -> str:
        """What was pasted from a message's header or a link is taken for the e-mail in it."""
        found = _PASTED.fullmatch(self.value) if self.by in {AS_IT_LOOKS, "email"} else None
        return self.value if found is None else found["linked"] or found["named"]

    def _window(self, zone: ZoneInfo, now: datetime) -> tuple[int, datetime | None]:
        """(days, their end); None: up to now."""
        if not self.first:
            if self.last:
                raise Nobody("Say from which day, too.")
            return self.days, None
        today = now.astimezone(zone).date()
        first, last = _day(self.first), min(_day(self.last) if self.last else today, today)
        if first > last:
            raise Nobody("The other days end before they begin, or have not begun.")
        end = datetime.combine(last + timedelta(days=1), time(), zone)
        return (last - first).days + 1, None if last == today else end


EMPTY = AskForm()


def grants_router(desk: Desk) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    def form(request: Request, session: Viewer, status: int = 200, **context: Any) -> Response:
        given = {"given": EMPTY, "advice": (), "may": (), "trouble": ""} | context
        choices = {"purposes": PURPOSES, "terms": TERMS, "periods": PERIODS}
        tenants = desk.tenants(session)
        return desk.page(
            request, session, "look_up.html", status, section="look-up", tenants=tenants, **choices, **given
        )

    def timeline(request: Request, session: Viewer, view: View, days: int) -> Response:
        zone, now = zone_of(request, desk.identity.settings.zone), desk.identity.clock.now()
        window = (view.until - view.grant.since).days
        return desk.page(
            request,
            session,
            "timeline.html",
            section="grants",
            view=view,
            by_day=_by_day(zone, view.visits),
            errors=_errors(view.visits)[:ERRORS_LISTED],
            periods=[period for period in PERIODS if period < window] + [window] if window else [],
            days=min(days, window),
            terms=TERMS,
            minutes=MINUTES,
            sees_isolated=bool(session.roles & OFFICERS),
            note_max=NOTE_CHARACTERS_MAX,
            seconds_left=int((view.grant.ends - now).total_seconds()),
            masked_again=now + SHOWN if view.revealed else None,
        )

    def answered(request: Request, session: Session, given: AskForm, get: Callable[[Actor, Ask], Grant]) -> Response:
        """To the person's page, to what waits, or the form again with what to mend."""
        try:
            ask = given.ask(zone_of(request, desk.identity.settings.zone), desk.identity.clock.now())
            grant = get(actor_of(session), ask)
        except Waits:
            return RedirectResponse("/grants", 303)
        except Refused as refused:
            decision = refused.decision
            return form(request, session, 403, given=given, advice=decision.advice, may=roles_said(decision.may))
        except Nobody as nobody:
            return form(request, session, 404, given=given, trouble=str(nobody))
        return RedirectResponse(f"/grants/{grant.id}", 303)

    @router.get("/")
    def look_up(request: Request, session: Viewer) -> Response:
        """Who looks at nobody begins at their own first page."""
        first = desk.first_page(session)
        return form(request, session) if first == LOOK_UP else RedirectResponse(first, 303)

    @router.post("/grants")
    def ask(request: Request, session: Author, given: Annotated[AskForm, Form()]) -> Response:
        return answered(request, session, given, desk.gate.ask)

    @router.post("/break-glass")
    def break_glass(request: Request, session: Author, given: Annotated[AskForm, Form()]) -> Response:
        """The same form, without waiting for anybody."""
        at_once = given.model_copy(update={"minutes": BREAK_GLASS_MINUTES})
        return answered(request, session, at_once, desk.gate.break_glass)

    @router.get("/grants")
    def held(request: Request, session: Viewer) -> Response:
        actor = actor_of(session)
        grants, asked = desk.gate.held(actor), desk.access.approvals.asked(actor)
        return desk.page(request, session, "grants.html", section="grants", grants=grants, asked=asked)

    @router.get("/grants/{grant}")
    def show(
        request: Request, session: Viewer, grant: str, days: Days = DAYS_SHOWN, isolated: bool = False
    ) -> Response:
        """`isolated`: instead, what was kept apart at the end of its term."""
        view = desk.gate.view(actor_of(session), grant, days, isolated=isolated)
        return timeline(request, session, view, days)

    @router.post("/grants/{grant}/reveal")
    def reveal(
        *,
        request: Request,
        session: Author,
        grant: str,
        field: Text,
        reason: Text,
        visit: Annotated[int | None, Form()] = None,
        days: Annotated[int, Form(ge=1, le=366)] = DAYS_SHOWN,
        isolated: Annotated[bool, Form()] = False,
    ) -> Response:
        """The timeline with one field in clear, this once: the next look masks it again."""
        what = [Revealed(field, visit)]
        view = desk.gate.reveal(actor_of(session), grant, what, reason, days, isolated=isolated)
        return timeline(request, session, view, days)

    @router.post("/grants/{grant}/notes")
    def write_note(
        session: Author, grant: str, text: Annotated[str, Form(max_length=NOTE_CHARACTERS_MAX)] = ""
    ) -> Response:
        desk.gate.write_note(actor_of(session), grant, text)
        return RedirectResponse(f"/grants/{grant}#notes", 303)

    @router.post("/grants/{grant}/again")
    def again(session: Author, grant: str, reason: Text, minutes: Annotated[int, Form()] = MINUTES) -> Response:
        """A new grant as this one ends."""
        try:
            fresh = desk.gate.again(actor_of(session), grant, reason, minutes)
        except Waits:
            return RedirectResponse("/grants", 303)
        return RedirectResponse(f"/grants/{fresh.id}", 303)

    @router.get("/grants/{grant}/reveal")
    def masked_again(grant: str) -> Response:
        """Whoever reloads what a form answered gets the page."""
        return RedirectResponse(f"/grants/{grant}", 303)

    @router.get("/grants/{grant}/state")
    def state(session: Viewer, grant: str) -> Response:
        """An open page asks every few seconds, and is taken away when the grant is over."""
        runs = desk.gate.runs(actor_of(session), grant)
        return Response(status_code=204) if runs else Response(status_code=200, headers={"hx-refresh": "true"})

    @router.post("/grants/{grant}/end")
    def end(session: Author, grant: str) -> Response:
        desk.gate.end(actor_of(session), grant)
        return RedirectResponse("/grants", 303)

    _requests(router, desk)
    return router


def _requests(router: APIRouter, desk: Desk) -> None:
    """One's own, that waited for somebody else."""

    @router.post("/requests/{asked}/start")
    def start(session: Author, asked: str) -> Response:
        grant = desk.access.approvals.start(actor_of(session), asked)
        return RedirectResponse(f"/grants/{grant.id}", 303)

    @router.post("/requests/{asked}/withdraw")
    def withdraw(session: Author, asked: str) -> Response:
        desk.access.approvals.withdraw(actor_of(session), asked)
        return RedirectResponse("/grants", 303)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Nobody("Give a day as 2026-03-31.") from None


def _by_day(zone: ZoneInfo, visits: Sequence[Visit]) -> list[tuple[Visit, list[Visit]]]:
    """Visits of one day together, under their first."""
    days = [list(group) for _, group in groupby(visits, lambda visit: visit.start.astimezone(zone).date())]
    return [(group[0], group) for group in days]


def _errors(visits: Sequence[Visit]) -> list[tuple[Visit, Access]]:
    """Newest first: what a support person came for."""
    return [(visit, access) for visit in visits for access in reversed(visit.accesses) if access.is_error]
