"""The dashboard's addresses: the pages, `/list` one table in full, `/csv` its rows, `/live` this moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from services.runtime.clock import Clock
from services.runtime.settings import Settings
from services.runtime.web.languages import Language
from services.runtime.web.pages import pages_of
from services.runtime.web.problems import Problem
from services.runtime.web.sessions import Session
from services.runtime.web.signin import Viewer
from services.stats.access.roles import scope_of
from services.stats.dashboard.accounts import ACCOUNT_TIMES, ACTIVE, active_accounts, span_of
from services.stats.dashboard.asking import Ask, Questions
from services.stats.dashboard.heat import heat_map
from services.stats.dashboard.live import Live, NowOf, live_line
from services.stats.dashboard.panels import EVENTS, OVERVIEW, QUALITY, SHEETS, Group, Panel, Sheet
from services.stats.dashboard.rankings import rank
from services.stats.dashboard.report import Report, make_report
from services.stats.dashboard.tables import EVENTS as EVENT_NAMES
from services.stats.dashboard.tables import ROUTES, ROWS_SHOWN, TABLES, tabulate
from services.stats.dashboard.view import View, read_view
from services.stats.delivery.partners import PARTNER
from services.stats.queries.api import Answerer, csv_response
from services.stats.queries.errors import QueryError
from services.stats.queries.metrics import REQUESTS_MIN
from services.stats.today.live import LiveTotals

__all__ = ["Dashboard", "dashboard_router"]

More = Callable[[Questions, Report], dict[str, Any]]
ROWS_MAX = 1000  # of a list; who wants more takes the CSV


@dataclass(frozen=True, slots=True)
class Dashboard:
    """What the pages need. `answering` gives what answers one page's questions; `tenants` names those with figures."""

    answering: Callable[[], Answerer]
    tenants: Callable[[], Sequence[str]]
    now_of: NowOf
    totals: LiveTotals
    settings: Settings
    clock: Clock

    def today(self) -> date:
        return self.clock.now().astimezone(ZoneInfo(self.settings.timezone)).date()

    def visible(self, session: Session) -> list[str]:
        """The tenants this person may see, by name."""
        seen = scope_of(session).tenants
        return sorted(self.tenants() if seen is None else seen)

    def live(self, tenant: str, language: Language) -> Live:
        today, now = self.today(), self.clock.now()
        return live_line(
            tenant,
            self.now_of(tenant, today - timedelta(days=1)),
            self.totals.of(tenant, today),
            now=now,
            zone=self.settings.zone,
            language=language,
            snapshot=timedelta(minutes=self.settings.statistics.snapshot_minutes),
        )

    def asking(self, session: Session) -> Ask:
        """What one page asks with; it reads the same figures once."""
        answer, scope = self.answering(), scope_of(session)

        def ask(request: Mapping[str, Any]) -> Mapping[str, Any]:
            return answer(request, scope)

        return ask


def dashboard_router(dashboard: Dashboard) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    def view_of(request: Request, session: Session, sheet: Sheet = OVERVIEW) -> View:
        language = pages_of(request).language(request)
        return read_view(request.query_params, dashboard.visible(session), dashboard.today(), language, sheet)

    def page_of(request: Request, session: Session, sheet: Sheet, more: More) -> Response:
        """A page of figures; `more` gives what its template shows besides."""
        tenants, minutes = dashboard.visible(session), dashboard.settings.statistics.snapshot_minutes
        if not tenants:
            return pages_of(request).render(request, "welcome.html", section=sheet.key, snapshot_minutes=minutes)
        questions = Questions(dashboard.asking(session), view_of(request, session, sheet))
        report = make_report(questions, tenants)
        live = dashboard.live(report.tenant, report.view.language)
        return pages_of(request).render(
            request, f"{sheet.key}.html", section=sheet.key, report=report, elsewhere=report.elsewhere,
            snapshot_minutes=minutes, live=live, **more(questions, report),
        )  # fmt: skip

    @router.get("/")
    def overview(request: Request, session: Viewer) -> Response:
        if PARTNER in session.roles:  # has no figures to look at
            return RedirectResponse("/partner", 303)
        return page_of(request, session, OVERVIEW, lambda _questions, _report: {})

    @router.get("/quality")
    def quality(request: Request, session: Viewer) -> Response:
        limit = ROWS_MAX if request.query_params.get("rows") == "all" else ROWS_SHOWN

        def more(questions: Questions, report: Report) -> dict[str, Any]:
            heat = heat_map(questions, report.provisional, questions.view.href("/csv", of="heat"))
            needed = {f"p{percent}": questions.view.language.number(n) for percent, n in REQUESTS_MIN.items()}
            return {"routes": tabulate(questions, ROUTES, limit), "heat": heat, "needed": needed}

        return page_of(request, session, QUALITY, more)

    @router.get("/events")
    def events(request: Request, session: Viewer) -> Response:
        def more(questions: Questions, _report: Report) -> dict[str, Any]:
            return {"events": tabulate(questions, EVENT_NAMES, ROWS_MAX), "accounts": active_accounts(questions)}

        return page_of(request, session, EVENTS, more)

    @router.get("/live")
    def live(request: Request, session: Viewer) -> Response:
        """The line about this moment; the pages ask for it again and again."""
        view = view_of(request, session)
        return pages_of(request).render(request, "live.html", live=dashboard.live(view.tenant, view.language))

    @router.get("/list")
    def one_list(request: Request, session: Viewer) -> Response:
        view = view_of(request, session, _sheet(request))
        group, panel = _chosen(request)
        view, text = view.with_tab(group, panel.dimension), request.query_params.get("q", "")
        questions = Questions(dashboard.asking(session), view)
        total = questions.figures([panel.metric], view.period.span)
        ranking = rank(questions, group, total.get, limit=ROWS_MAX, text=text)
        return pages_of(request).render(
            request, "list.html", section=view.sheet.key, elsewhere=view.elsewhere(), ranking=ranking, view=view,
            back=view.href(), period=view.period.described(view.today, view.language), text=text, of=panel.dimension,
        )  # fmt: skip

    @router.get("/csv")
    def rows(request: Request, session: Viewer) -> Response:
        view = view_of(request, session, _sheet(request))
        dimensions, metrics = _asked(request, view)
        of, span = request.query_params.get("of", ""), view.period.span
        span = span_of(of, span) if of in ACCOUNT_TIMES else span
        asked = Questions(dashboard.asking(session), view).request(metrics, dimensions, span)
        try:
            answer = dashboard.asking(session)(asked)
        except QueryError as error:
            raise Problem(400, "These figures cannot be combined", str(error)) from None
        return csv_response(answer, f"{view.tenant}-{'-'.join(dimensions).replace(':', '-')}-{span.first}-{span.last}")

    return router


def _asked(request: Request, view: View) -> tuple[list[str], list[str]]:
    """The dimensions and metrics of `of`: a panel, a wide table, the chart, or the map of hours."""
    of = request.query_params.get("of", "")
    if of == "chart":
        by_hour = view.period.span.days == 1
        return (["time:hour"], ["requests"]) if by_hour else (["time:day"], [view.card.metric])
    if of == "heat":
        return ["time:day", "time:hour"], ["requests"]
    if of in TABLES:
        wide = TABLES[of]
        only = view.filter is not None and view.filter.dimension != wide.dimension
        return [wide.dimension], ["requests"] if only else [column.metric for column in wide.columns]
    if of in ACCOUNT_TIMES:
        return [ACCOUNT_TIMES[of]], [ACTIVE]
    _, panel = _chosen(request)
    return [panel.dimension], [panel.metric]


def _sheet(request: Request) -> Sheet:
    """Whose addresses these are: what is chosen on a page is read as that page does."""
    name = request.query_params.get("sheet", OVERVIEW.key)
    found = next((sheet for sheet in SHEETS if sheet.key == name), None)
    if found is None:
        raise Problem(
            400,
            "There is no such choice",
            "`sheet` is one of {choices}.",
            values={"choices": ", ".join(s.key for s in SHEETS)},
        )
    return found


def _chosen(request: Request) -> tuple[Group, Panel]:
    of = request.query_params.get("of", "")
    for group in (group for sheet in SHEETS for group in sheet.groups):
        for panel in group.panels:
            if panel.dimension == of:
                return group, panel
    raise Problem(400, "There is no such table", "`of` is a dimension like event:page.")
