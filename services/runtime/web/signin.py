"""Signing in and out, and what a route asks for: a `Viewer` to read, an `Author` to change something."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.runtime.web.guard import LOOPBACK, host_name
from services.runtime.web.pages import pages_of
from services.runtime.web.problems import Problem, problem_response, wants_page
from services.runtime.web.sessions import LINK_MINUTES, Session, Sessions

__all__ = ["Author", "Door", "SignInNeeded", "Viewer", "author", "install_sign_in", "session_of", "viewer"]


class SignInNeeded(Problem):
    """Nobody is signed in: browsers get the page that says how, programs a 401."""

    def __init__(self) -> None:
        super().__init__(401, "Nobody is signed in", headers={"www-authenticate": "Bearer"})


@dataclass(frozen=True, slots=True)
class Door:
    """How one service lets people in.

    The cookie is `__Host-voile_<service>`: host-only, Secure, whole path. Services on one host differ in
    their cookie's name, because cookies ignore ports. Over plain http browsers agree on Secure cookies
    not even for this machine itself (Safari refuses them), so there, and only there, it is `voile_<service>`.
    """

    service: str
    sessions: Sessions
    same_site: Literal["strict", "lax"] = "strict"
    plane: str = ""  # what commands call it, where that is not `service`

    def cookie_name(self, request: Request) -> str:
        return f"__Host-voile_{self.service}" if _is_secure(request) else f"voile_{self.service}"

    def token(self, request: Request) -> str:
        return request.cookies.get(self.cookie_name(request), "")

    def open(self, request: Request, response: Response, token: str) -> None:
        response.set_cookie(
            self.cookie_name(request),
            token,
            path="/",
            secure=_is_secure(request),
            httponly=True,
            samesite=self.same_site,
        )

    def close(self, request: Request, response: Response) -> None:
        response.delete_cookie(
            self.cookie_name(request),
            path="/",
            secure=_is_secure(request),
            httponly=True,
            samesite=self.same_site,
        )
        response.headers["clear-site-data"] = '"cache", "storage"'


def _is_secure(request: Request) -> bool:
    """Everything is, except a browser on this machine over plain http. A forwarded scheme can only add safety."""
    if "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", "")):
        return True
    return host_name(request.headers.get("host", "")) not in LOOPBACK


def _door(request: Request) -> Door:
    door = request.app.state.door
    assert isinstance(door, Door), "create_app was given no sessions"
    return door


def session_of(request: Request) -> Session | None:
    """The session of this request, or None. Remembers it for the page's header."""
    door: Door | None = request.app.state.door
    token = door.token(request) if door else ""
    session = door.sessions.current(token) if door and token else None
    request.state.session = session
    return session


def viewer(request: Request) -> Session:
    session = session_of(request)
    if session is None:
        raise SignInNeeded
    return session


async def author(request: Request, session: Annotated[Session, Depends(viewer)]) -> Session:
    """The session, once the request shows its CSRF token: header `X-CSRF-Token` (htmx) or form field `csrf`."""
    given = request.headers.get("x-csrf-token") or str((await request.form()).get("csrf", ""))
    if not secrets.compare_digest(given.encode(), session.csrf.encode()):
        raise Problem(403, "The form is out of date", "Its token is missing or belongs to another session.")
    return session


Viewer = Annotated[Session, Depends(viewer)]
Author = Annotated[Session, Depends(author)]

router = APIRouter(include_in_schema=False)


@router.get("/login")
def how_to_sign_in(request: Request) -> Response:
    if session_of(request) is not None:
        return RedirectResponse("/", 303)
    return pages_of(request).render(request, "login.html", **_login_texts(_door(request)))


@router.get("/login/{token}")
def offer_link(request: Request, token: str) -> Response:
    """A button: mail scanners and chat previews follow links, they do not press buttons."""
    return _link_page(request, _door(request).sessions.link_is_good(token))


@router.post("/login/{token}")
async def use_link(request: Request, token: str) -> Response:
    door = _door(request)
    fresh = await run_in_threadpool(door.sessions.sign_in, token)
    if fresh is None:
        return await run_in_threadpool(_link_page, request, False)
    before = door.token(request)
    if before:  # a session never outlives the next sign-in of the same browser
        await run_in_threadpool(door.sessions.sign_out, before)
    response = RedirectResponse("/", 303)
    door.open(request, response, fresh)
    return response


def _link_page(request: Request, good: bool) -> Response:
    page = pages_of(request).render(request, "login_link.html", good=good, **_login_texts(_door(request)))
    page.status_code = 200 if good else 410
    return page


@router.post("/logout")
def sign_out(request: Request, _session: Author) -> Response:
    door = _door(request)
    door.sessions.sign_out(door.token(request))
    response = RedirectResponse("/login", 303)
    door.close(request, response)
    return response


def install_sign_in(app: FastAPI, door: Door) -> None:
    """The routes above, and the page for who is not signed in."""

    async def on_sign_in_needed(request: Request, error: Exception) -> Response:
        assert isinstance(error, SignInNeeded)
        if not wants_page(request):
            return problem_response(request, error)
        page = pages_of(request).render(request, "login.html", **_login_texts(door))
        page.status_code = 401
        return page

    app.include_router(router)
    app.add_exception_handler(SignInNeeded, on_sign_in_needed)


def _login_texts(door: Door) -> dict[str, object]:
    return {"plane": door.plane or door.service, "link_minutes": LINK_MINUTES}
