"""The dashboard's addresses: `/` the page, `/list` one table in full, `/csv` its rows, `/privacy` for everybody."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.runtime.clock import Clock
from services.runtime.settings import Settings
from services.runtime.web.pages import pages_of
from services.runtime.web.problems import Problem
from services.runtime.web.sessions import EVERY_TENANT, Session
from services.runtime.web.signin import Viewer, session_of
from services.stats.api import Answerer, csv_response, scope_of
from services.stats.dashboard.asking import Ask, Questions
from services.stats.dashboard.panels import GROUPS, Group, Panel
from services.stats.dashboard.privacy import Facts, policy_of
from services.stats.dashboard.rankings import rank
from services.stats.dashboard.report import make_report
from services.stats.dashboard.view import View, read_view
from services.stats.queries import QueryError

__all__ = ["Dashboard", "dashboard_router"]

ROWS_MAX = 1000  # of a list; who wants more takes the CSV


@dataclass(frozen=True, slots=True)
class Dashboard:
    """What the pages need. `answering` gives what answers one page's questions; `tenants` names those with figures."""

    answering: Callable[[], Answerer]
    tenants: Callable[[], Sequence[str]]
    settings: Settings
    clock: Clock

    def today(self) -> date:
        return self.clock.now().astimezone(ZoneInfo(self.settings.timezone)).date()

    def visible(self, session: Session) -> list[str]:
        """The tenants this person may see, by name."""
        if EVERY_TENANT in session.tenants:
            return sorted(self.tenants())
        return sorted(session.tenants)

    def asking(self, session: Session) -> Ask:
        """What one page asks with; it reads the same figures once."""
        answer, scope = self.answering(), scope_of(session.tenants)

        def ask(request: Mapping[str, Any]) -> Mapping[str, Any]:
            return answer(request, scope)

        return ask


def dashboard_router(dashboard: Dashboard) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    def view_of(request: Request, session: Session) -> View:
        language = pages_of(request).language(request)
        return read_view(request.query_params, dashboard.visible(session), dashboard.today(), language)

    @router.get("/")
    def overview(request: Request, session: Viewer) -> Response:
        tenants = dashboard.visible(session)
        if not tenants:
            return pages_of(request).render(request, "welcome.html", section="overview")
        report = make_report(dashboard.asking(session), view_of(request, session), tenants)
        minutes = dashboard.settings.statistics.snapshot_minutes
        return pages_of(request).render(
            request, "overview.html", section="overview", report=report, snapshot_minutes=minutes
        )

    @router.get("/list")
    def one_list(request: Request, session: Viewer) -> Response:
        view = view_of(request, session)
        group, panel = _chosen(request)
        view, text = view.with_tab(group, panel.dimension), request.query_params.get("q", "")
        questions = Questions(dashboard.asking(session), view)
        total = questions.figures([panel.metric], view.period.span)
        ranking = rank(questions, group, total.get, limit=ROWS_MAX, text=text)
        return pages_of(request).render(
            request, "list.html", section="overview", ranking=ranking, view=view, back=view.href(),
            period=view.period.described(view.today, view.language), text=text, of=panel.dimension,
        )  # fmt: skip

    @router.get("/csv")
    def rows(request: Request, session: Viewer) -> Response:
        view = view_of(request, session)
        dimension, metric = _asked(request, view)
        asked = Questions(dashboard.asking(session), view).request([metric], [dimension], view.period.span)
        try:
            answer = dashboard.asking(session)(asked)
        except QueryError as error:
            raise Problem(400, "These figures cannot be combined", str(error)) from None
        span = view.period.span
        return csv_response(answer, f"{view.tenant}-{dimension.replace(':', '-')}-{span.first}-{span.last}")

    @router.get("/privacy")
    def privacy(request: Request) -> Response:
        session_of(request)
        pages = pages_of(request)
        policy = policy_of(dashboard.settings, Facts(), pages.language(request))
        return pages.render(request, "privacy.html", policy=policy)

    return router


def _asked(request: Request, view: View) -> tuple[str, str]:
    """The dimension and metric of `of`: a panel, or the chart."""
    if request.query_params.get("of") == "chart":
        return ("time:hour", "requests") if view.period.span.days == 1 else ("time:day", view.metric)
    _, panel = _chosen(request)
    return panel.dimension, panel.metric


def _chosen(request: Request) -> tuple[Group, Panel]:
    of = request.query_params.get("of", "")
    for group in GROUPS:
        for panel in group.panels:
            if panel.dimension == of:
                return group, panel
    raise Problem(400, "There is no such table", "`of` is a dimension like event:page.")
