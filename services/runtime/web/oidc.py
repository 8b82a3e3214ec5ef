"""Signing in at an OpenID provider: there, back, and out again.

The way there is a link and not a form, because the page's policy lets forms go to this service alone. The way back
ends on a page of ours that leads on: a browser does not send a strict cookie along a redirect that another site began.
"""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.runtime.web.door import Door, door_of, note, origin_of
from services.runtime.web.languages import N_
from services.runtime.web.pages import pages_of
from services.runtime.web.people import NotAdmitted, rights_of
from services.runtime.web.problems import Problem
from services.runtime.web.provider import Flow, NotTrusted, Person, Provider, ProviderAway
from services.runtime.web.signin import too_often

__all__ = ["oidc_router"]

FLOW_S = 600  # to sign in at the provider, with a second factor there
_VALUE_MAX = 4096

Value = Annotated[str, Query(max_length=_VALUE_MAX)]

oidc_router = APIRouter(include_in_schema=False)

_REFUSALS = {
    "no_group": (
        N_("You have no rights here yet"),
        N_(
            "Your organisation knows you, and none of your groups may use this service. Ask whoever runs this "
            "installation to add one of your groups to the settings, under login.oidc.groups."
        ),
    ),
    "no_name": (
        N_("Your name did not come along"),
        N_(
            "The provider sends no usable name. Whoever runs this installation looks at login.oidc.name_claim and at "
            "login.oidc.scope."
        ),
    ),
    "name_taken": (
        N_("Somebody else has your name here"),
        N_("Whoever runs this installation sees who it is with voile user list, and can remove one of you."),
    ),
}


@oidc_router.get("/oidc/start")
def begin(request: Request) -> Response:
    """Off to the provider, with a state that only this browser has."""
    door, flow = door_of(request), Flow.fresh()
    try:
        url = _provider(door).authorization_url(flow, _callback(request))
    except ProviderAway:
        raise _away(request) from None
    response = RedirectResponse(url, 303)
    door.keep_flow(request, response, flow.written(), FLOW_S)
    return response


@oidc_router.get("/oidc/callback")
def come_back(request: Request, code: Value = "", state: Value = "", error: Value = "") -> Response:
    """Whoever the provider says it is, with the rights of their groups; or a page that says why not."""
    door, flow = door_of(request), Flow.read(door_of(request).flow(request))
    provider = _provider(door)
    too_often(request, "oidc")
    if flow is None or not hmac.compare_digest(flow.state.encode(), state.encode()):
        raise _refused(request, "not_begun")
    if error or not code:
        raise _refused(request, "declined")
    name = _admitted(request, door, _person(request, provider, code, flow))
    page = pages_of(request).render(request, "signed_in.html")
    if not door.let_in(request, page, name, "oidc"):
        raise _refused(request, "not_begun")
    door.keep_flow(request, page, "", 0)
    note(request, "oidc", "ok")
    return page


@oidc_router.get("/oidc/signed-out")
def signed_out(request: Request) -> Response:
    """The session here is over; whether the provider's is, too, is the person's choice."""
    door = door_of(request)
    try:
        url = _provider(door).end_session_url(f"{origin_of(request)}/login")
    except ProviderAway:
        url = ""
    return pages_of(request).render(request, "signed_out.html", url=url, provider=door.title)


def _person(request: Request, provider: Provider, code: str, flow: Flow) -> Person:
    try:
        return provider.person(code, flow, _callback(request))
    except ProviderAway:
        raise _away(request) from None
    except NotTrusted as refusal:
        raise _refused(request, refusal.code) from None


def _admitted(request: Request, door: Door, person: Person) -> str:
    try:
        return door.people.admit(person.subject, person.name, rights_of(person.groups, door.groups, door.plane))
    except NotAdmitted as refusal:
        note(request, "oidc", refusal.code)
        raise Problem(403, *_REFUSALS[refusal.code]) from None


def _provider(door: Door) -> Provider:
    if door.provider is None:
        raise Problem(404, "There is no such page", "No OpenID provider is set up here (login.oidc.issuer).")
    return door.provider


def _callback(request: Request) -> str:
    return f"{origin_of(request)}/oidc/callback"


def _refused(request: Request, code: str) -> Problem:
    """One answer for all that does not prove who it is: the log's code tells the operator which it was."""
    note(request, "oidc", code)
    return Problem(
        400,
        "This sign-in did not work",
        "It was not begun in this browser, is over, was declined or used before, or what the provider says does not "
        "hold. Begin again from the page Sign in; if it stays, tell whoever runs this installation.",
    )


def _away(request: Request) -> Problem:
    note(request, "oidc", "provider_away")
    return Problem(
        503,
        "The provider does not answer",
        "Signing in at your organisation is not possible at the moment. Who has a password or a link for this service "
        "can use it meanwhile.",
        headers={"retry-after": "30"},
    )
