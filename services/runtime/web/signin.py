"""Signing in and out, and what a route asks for: a `Viewer` to read, an `Author` to change something."""

from __future__ import annotations

import secrets
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, FastAPI, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.runtime.web.door import Door, door_of, note
from services.runtime.web.pages import pages_of
from services.runtime.web.passwords import LENGTH_MAX
from services.runtime.web.people import NAME_MAX
from services.runtime.web.problems import Problem, problem_response, wants_page
from services.runtime.web.sessions import LINK_MINUTES, Session

__all__ = ["Author", "SignInNeeded", "Viewer", "author", "install_sign_in", "session_of", "too_often", "viewer"]

CODE_MAX = 40  # a recovery code with its dashes has 19

Next = Literal["", "account/set-up"]  # where a link leads: an invitation to where one chooses a password


BY_ITSELF = "x-by-itself"  # header of what a page asks without anybody touching it


class SignInNeeded(Problem):
    """Nobody is signed in: browsers get the page that says how, programs a 401."""

    def __init__(self) -> None:
        super().__init__(401, "Nobody is signed in", headers={"www-authenticate": "Bearer"})


def session_of(request: Request) -> Session | None:
    """The session of this request, or None. Remembers it for the page's header."""
    door: Door | None = request.app.state.door
    token = door.token(request) if door else ""
    used = BY_ITSELF not in request.headers
    session = door.sessions.current(token, used=used) if door and token else None
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
    return _login_page(request, 200)


@router.post("/login")
def use_password(
    request: Request,
    name: Annotated[str, Form(max_length=NAME_MAX)] = "",
    password: Annotated[str, Form(max_length=LENGTH_MAX)] = "",
    code: Annotated[str, Form(max_length=CODE_MAX)] = "",
) -> Response:
    """Name, password and code at once: nobody learns which of them was wrong, or who exists."""
    door, name = door_of(request), name.strip()
    too_often(request, "password", name)
    response = RedirectResponse("/", 303)
    if door.credentials.check(name, password, code) and door.let_in(request, response, name, "password"):
        note(request, "password", "ok")
        return response
    note(request, "password", "wrong")
    return _login_page(request, 401, failed=True)


def too_often(request: Request, method: str, name: str | None = None) -> None:
    """Raises the answer for who tries too often, by this account or from this address."""
    wait_s = door_of(request).attempts.wait_s(request, name)
    if wait_s:
        note(request, method, "limited")
        raise Problem(
            429,
            "Too many tries",
            "Try again in {seconds} seconds; until then even what is right is refused.",
            headers={"retry-after": str(wait_s)},
            values={"seconds": wait_s},
        )


@router.get("/login/{token}")
def offer_link(request: Request, token: str) -> Response:
    """A button: mail scanners and chat previews follow links, they do not press buttons."""
    return _link_page(request, door_of(request).sessions.link_is_good(token))


@router.post("/login/{token}")
def use_link(request: Request, token: str, to: Next = "") -> Response:
    door = door_of(request)
    fresh = door.sessions.sign_in(token)
    if fresh is None:
        note(request, "link", "over")
        return _link_page(request, False)
    note(request, "link", "ok")
    response = RedirectResponse(f"/{to}", 303)
    door.replace(request, response, fresh)
    return response


@router.post("/logout")
def sign_out(request: Request, session: Author) -> Response:
    door = door_of(request)
    door.sessions.sign_out(door.token(request))
    note(request, session.method, "signed_out")
    response = RedirectResponse("/oidc/signed-out" if session.method == "oidc" and door.provider else "/login", 303)
    door.close(request, response)
    return response


def install_sign_in(app: FastAPI) -> None:
    """The routes above, and the page for who is not signed in."""

    async def on_sign_in_needed(request: Request, error: Exception) -> Response:
        assert isinstance(error, SignInNeeded)
        if not wants_page(request):
            return problem_response(request, error)
        return _login_page(request, 401)

    app.include_router(router)
    app.add_exception_handler(SignInNeeded, on_sign_in_needed)


def _login_page(request: Request, status: int, *, failed: bool = False) -> Response:
    door = door_of(request)
    page = pages_of(request).render(
        request,
        "login.html",
        failed=failed,
        has_provider=door.provider is not None,
        provider=door.title,
        **_texts(door),
    )
    page.status_code = status
    return page


def _link_page(request: Request, good: bool) -> Response:
    page = pages_of(request).render(request, "login_link.html", good=good, **_texts(door_of(request)))
    page.status_code = 200 if good else 410
    return page


def _texts(door: Door) -> dict[str, object]:
    return {"plane": door.plane, "link_minutes": LINK_MINUTES}
