"""Cases: those that are open by their due date, one page a case, and the legal holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Form, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.enricher.access.decisions import Actor
from services.enricher.access.grants import Nobody
from services.enricher.console.case_words import CASE_WORDS
from services.enricher.console.look import Desk, actor_of
from services.enricher.rights.book import CaseFile, NoSuchCase
from services.enricher.rights.desk import Cases, Wanted
from services.enricher.rights.documents import Gone
from services.enricher.rights.states import IdentityCheck, Kind, Refusal, State
from services.runtime.errors import WrongUse
from services.runtime.marks import N_
from services.runtime.web.languages import LANGUAGES
from services.runtime.web.pages import pages_of
from services.runtime.web.problems import Problem, problem_response
from services.runtime.web.signin import Author, Viewer

__all__ = ["cases_router", "prepare_cases"]

Text = Annotated[str, Form(max_length=2000)]
EMPTY: Mapping[str, Any] = {"tenant": "", "by": "account", "value": "", "kind": "erasure", "note": "", "language": "en"}
# State -> which forms its page offers; the policies decide who may send them.
ACTIONS: Mapping[State, tuple[str, ...]] = {
    State.RECEIVED: ("check", "extend", "refuse", "cancel"),
    State.IDENTIFIED: ("approve", "execute", "extend", "refuse", "cancel"),
    State.APPROVED: ("execute", "extend", "refuse", "cancel"),
    State.DEFERRED: ("execute", "extend", "refuse", "cancel"),
    State.EXECUTING: ("execute",),
    State.EXECUTED: ("execute",),
}
_NO_APPROVAL = frozenset(set(Kind) - {Kind.ERASURE, Kind.ACCESS, Kind.PORTABILITY})


def cases_router(desk: Desk, cases: Cases) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    def form(request: Request, session: Viewer, status: int = 200, **context: Any) -> Response:
        context = {"given": EMPTY, "trouble": ""} | context
        return desk.page(
            request,
            session,
            "case_new.html",
            status,
            section="cases",
            tenants=desk.tenants(session),
            answer_languages={code: name for code, (name, _) in LANGUAGES.items()},
            case_words=CASE_WORDS,
            **context,
        )

    @router.get("/cases")
    def listed(request: Request, session: Viewer, closed: Annotated[bool, Query()] = False) -> Response:
        actor = actor_of(session)
        return desk.page(
            request,
            session,
            "cases.html",
            section="cases",
            cases=[(file, _days_left(desk, file)) for file in cases.listed(actor, closed=closed)],
            closed=closed,
            holds=cases.holds(actor) if "dpo" in session.roles else (),
            tenants=desk.tenants(session),
            case_words=CASE_WORDS,
        )

    @router.get("/cases/new")
    def new(request: Request, session: Viewer) -> Response:
        return form(request, session)

    @router.post("/cases")
    def take_in(
        *,
        request: Request,
        session: Author,
        tenant: Text,
        value: Text,
        kind: Annotated[Kind, Form()],
        note: Text,
        by: Text = "account",
        language: Text = "en",
        lift: Annotated[bool, Form()] = False,
    ) -> Response:
        """The receipt, or the form again with what to mend."""
        given = {"tenant": tenant, "by": by, "value": value, "kind": kind.value, "note": note, "language": language}
        wanted = Wanted(tenant, value, kind, by=by, note=note, lift=lift, language=language)
        try:
            file = cases.open(actor_of(session), wanted)
        except (Nobody, WrongUse) as trouble:
            return form(request, session, 400, given=given, trouble=_said(request, trouble))
        return desk.page(request, session, "case_receipt.html", section="cases", file=file, case_words=CASE_WORDS)

    @router.get("/cases/{case}")
    def show(request: Request, session: Viewer, case: str) -> Response:
        view = cases.view(actor_of(session), case)
        return desk.page(
            request,
            session,
            "case.html",
            section="cases",
            view=view,
            file=view.file,
            left=_days_left(desk, view.file),
            actions=_actions(view.file, actor_of(session)),
            alone=view.file.kind in _NO_APPROVAL,
            case_words=CASE_WORDS,
        )

    _decisions(router, cases)
    _outcomes(router, cases)
    _holds(router, cases)
    return router


def _decisions(router: APIRouter, cases: Cases) -> None:
    @router.post("/cases/{case}/check")
    def check(session: Author, case: str, how: Annotated[IdentityCheck, Form()], reason: Text = "") -> Response:
        cases.check(actor_of(session), case, how, reason)
        return _back(case)

    @router.post("/cases/{case}/approve")
    def approve(session: Author, case: str, reason: Text) -> Response:
        cases.approve(actor_of(session), case, reason)
        return _back(case)

    @router.post("/cases/{case}/refuse")
    def refuse(session: Author, case: str, why: Annotated[Refusal, Form()], reason: Text) -> Response:
        cases.refuse(actor_of(session), case, why, reason)
        return _back(case)

    @router.post("/cases/{case}/extend")
    def extend(session: Author, case: str, reason: Text) -> Response:
        cases.extend(actor_of(session), case, reason)
        return _back(case)

    @router.post("/cases/{case}/cancel")
    def cancel(session: Author, case: str, reason: Text) -> Response:
        cases.cancel(actor_of(session), case, reason)
        return _back(case)


def _outcomes(router: APIRouter, cases: Cases) -> None:
    @router.post("/cases/{case}/execute")
    def execute(session: Author, case: str) -> Response:
        cases.execute(actor_of(session), case)
        return _back(case)

    @router.post("/cases/{case}/without")
    def without(session: Author, case: str, worker: Text, reason: Text) -> Response:
        cases.go_on_without(actor_of(session), case, worker, reason)
        return _back(case)

    @router.post("/cases/{case}/package")
    def package(session: Author, case: str) -> Response:
        """By a form: whoever follows a link by mistake must not use the one time up."""
        name, content = cases.take_package(actor_of(session), case)
        return _download(name, content, "application/zip")

    @router.get("/cases/{case}/documents/{name}")
    def document(session: Viewer, case: str, name: str) -> Response:
        return _download(name, cases.document(actor_of(session), case, name), "application/octet-stream")


def _holds(router: APIRouter, cases: Cases) -> None:
    @router.post("/holds")
    def place(session: Author, tenant: Text, account: Text, reason: Text) -> Response:
        cases.hold(actor_of(session), tenant, account, reason)
        return RedirectResponse("/cases#holds", 303)

    @router.post("/holds/{hold}/lift")
    def lift(session: Author, hold: str, reason: Text) -> Response:
        cases.lift(actor_of(session), hold, reason)
        return RedirectResponse("/cases#holds", 303)


def prepare_cases(app: FastAPI) -> None:
    """Answers for what the desk raises besides refusals."""

    async def on_wrong_use(request: Request, error: Exception) -> Response:
        missing = isinstance(error, NoSuchCase | Gone)
        title = N_("There is no such page") if missing else N_("This is not possible now")
        assert isinstance(error, WrongUse)
        return problem_response(request, Problem(404 if missing else 409, title, error.text, values=error.values))

    app.add_exception_handler(WrongUse, on_wrong_use)


def _said(request: Request, trouble: Nobody | WrongUse) -> str:
    """In the page's language."""
    text, values = (trouble.text, trouble.values) if isinstance(trouble, WrongUse) else (str(trouble), {})
    return pages_of(request).language(request).say(text, **values)


def _actions(file: CaseFile, actor: Actor) -> tuple[str, ...]:
    """Without what is certainly refused: an approval of one's own, an execution that nobody approved, and whatever is
    the officer's."""
    offered = ACTIONS.get(file.state, ())
    if "dpo" not in actor.roles:
        cares = "tenant-admin" in actor.roles or file.opened_by == actor.name
        offered = tuple(action for action in offered if cares and action in {"check", "cancel"})
    if file.opened_by == actor.name:
        offered = tuple(action for action in offered if action not in {"approve", "extend", "refuse"})
    if file.state is State.IDENTIFIED:
        unwanted = "approve" if file.kind in _NO_APPROVAL else "execute"
        offered = tuple(action for action in offered if action != unwanted)
    if file.extended:
        offered = tuple(action for action in offered if action != "extend")
    return offered


def _days_left(desk: Desk, file: CaseFile) -> int | None:
    """Until the case has to be answered, negative when it is past; None once it was."""
    if file.is_closed or file.state in {State.EXECUTING, State.EXECUTED}:
        return None
    today = desk.identity.clock.now().astimezone(desk.identity.settings.zone).date()
    return (file.due - today).days


def _back(case: str) -> Response:
    return RedirectResponse(f"/cases/{case}", 303)


def _download(name: str, content: bytes, media_type: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(content, media_type=media_type, headers=headers)
