"""`/account`: who one is here, one's password, second factor and open sessions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.runtime.web.door import Door, door_of, note
from services.runtime.web.languages import N_
from services.runtime.web.pages import pages_of
from services.runtime.web.passwords import LENGTH_MAX, LENGTH_MIN, trouble_with
from services.runtime.web.problems import Problem
from services.runtime.web.sessions import Session
from services.runtime.web.signin import CODE_MAX, Author, SignInNeeded, Viewer, too_often
from services.runtime.web.totp import enrolment_uri, is_secret, new_secret, qr_svg, spaced

__all__ = ["account_router"]

LINK_PROVES_FOR = timedelta(minutes=30)  # after that, who walks up to an open page could choose a password
_WRONG_CODE = N_("The code is not the one that your authenticator shows now. Nothing was changed.")
_WRONG = N_("The password or the code is wrong. Nothing was changed.")

Password = Annotated[str, Form(max_length=LENGTH_MAX)]
Code = Annotated[str, Form(max_length=CODE_MAX)]
Secret = Annotated[str, Form(max_length=64)]
Id = Annotated[str, Form(max_length=64)]

account_router = APIRouter(include_in_schema=False)


@account_router.get("/account")
def account(request: Request, session: Viewer) -> Response:
    return _account(request, session)


@account_router.get("/account/set-up")
def choose(request: Request, session: Viewer) -> Response:
    """For who came by a link: a password and an authenticator, together."""
    _require_link(request, session)
    return _factor_page(request, session, "set_up.html")


@account_router.post("/account/set-up")
def set_up(
    request: Request, session: Author, password: Password = "", secret: Secret = "", code: Code = ""
) -> Response:
    door = door_of(request)
    _require_link(request, session)
    trouble = trouble_with(password, session.user, door.plane)
    wants_factor = door.credentials.factor_required or bool(code)
    if trouble or (wants_factor and not is_secret(secret)):
        return _factor_page(request, session, "set_up.html", trouble=trouble or _WRONG_CODE, secret=secret)
    codes = door.credentials.set_up(session.user, password, secret if wants_factor else "", code)
    if codes is None:
        return _factor_page(request, session, "set_up.html", trouble=_WRONG_CODE, secret=secret)
    return _anew(request, session, codes)


@account_router.post("/account/password")
def change_password(request: Request, session: Author, current: Password = "", password: Password = "") -> Response:
    """Every other session ends: somebody else may be in one of them."""
    door = door_of(request)
    _require_password(door, session)
    too_often(request, "password", session.user)
    trouble = trouble_with(password, session.user, door.plane)
    if not trouble and not door.credentials.change_password(session.user, current, password):
        trouble = _WRONG
        note(request, "password", "wrong")
    return _account(request, session, trouble) if trouble else _anew(request, session, ())


@account_router.get("/account/factor")
def choose_factor(request: Request, session: Viewer) -> Response:
    _require_password(door_of(request), session)
    return _factor_page(request, session, "factor.html")


@account_router.post("/account/factor")
def replace_factor(
    request: Request, session: Author, current: Password = "", secret: Secret = "", code: Code = ""
) -> Response:
    """A new authenticator takes the place of the old one, and new recovery codes that of the old ones."""
    door = door_of(request)
    _require_password(door, session)
    too_often(request, "password", session.user)
    codes = door.credentials.replace_factor(session.user, current, secret, code) if is_secret(secret) else None
    if codes is None:
        note(request, "password", "wrong")
        return _factor_page(request, session, "factor.html", trouble=_WRONG, secret=secret)
    return _anew(request, session, codes)


@account_router.post("/account/sessions/end")
def end_session(request: Request, session: Author, id: Id = "") -> Response:
    """One of one's own, or with no `id` all but this one."""
    door = door_of(request)
    if id:
        door.sessions.end(session.user, id)
    else:
        door.sessions.end_all(session.user, but=door.token(request))
    return RedirectResponse("/account", 303)


def _account(request: Request, session: Session, trouble: str = "") -> Response:
    door = door_of(request)
    return _page(
        request,
        "account.html",
        400 if trouble else 200,
        trouble=trouble,
        standing=door.credentials.standing(session.user),
        opened=door.sessions.opened(session.user, door.token(request)),
        may_set_up=_may_set_up(door, session),
        provider=door.title,
        length_min=LENGTH_MIN,
        length_max=LENGTH_MAX,
        plane=door.plane,
    )


def _factor_page(request: Request, session: Session, template: str, *, trouble: str = "", secret: str = "") -> Response:
    """`secret`: the one shown before, so that what was scanned goes on being right."""
    secret = secret if is_secret(secret) else new_secret()
    return _page(
        request,
        template,
        400 if trouble else 200,
        trouble=trouble,
        secret=secret,
        spaced=spaced(secret),
        qr=qr_svg(enrolment_uri(secret, session.user, f"Voile {door_of(request).plane}")),
        factor_required=door_of(request).credentials.factor_required,
        length_min=LENGTH_MIN,
        length_max=LENGTH_MAX,
    )


def _anew(request: Request, session: Session, codes: Sequence[str]) -> Response:
    """After a change of what signs in: every session and link ends, this browser gets a new one."""
    door = door_of(request)
    door.sessions.end_all(session.user)
    fresh = door.sessions.begin(session.user, "password")
    if fresh is None:
        raise SignInNeeded
    request.state.session = door.sessions.current(fresh)  # the page's own forms are the new session's
    done: Response = RedirectResponse("/account", 303)
    if codes:
        done = _page(request, "recovery_codes.html", 200, codes=codes)
    door.open(request, done, fresh)
    note(request, "password", "changed")
    return done


def _may_set_up(door: Door, session: Session) -> bool:
    fresh = door.clock.now() - session.created < LINK_PROVES_FOR
    return session.method == "link" and fresh and not session.is_managed


def _require_link(request: Request, session: Session) -> None:
    if not _may_set_up(door_of(request), session):
        raise Problem(
            403,
            "A password is chosen with a new link",
            "The link must be less than half an hour old, and yours to choose one with: who comes from an OpenID "
            "provider has none here. Whoever runs this installation makes links.",
        )


def _require_password(door: Door, session: Session) -> None:
    if session.is_managed or not door.credentials.standing(session.user).password:
        raise Problem(403, "There is no password here to change", "You sign in with a link or at your organisation.")


def _page(request: Request, template: str, status: int, **context: Any) -> Response:
    page = pages_of(request).render(request, template, section="account", **context)
    page.status_code = status
    return page
