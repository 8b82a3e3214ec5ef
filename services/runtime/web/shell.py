"""One way to make a service's web application: health, metrics, headers, errors, pages, sign-in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from fastapi import APIRouter, FastAPI, Form
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from services.runtime.metrics import Metrics
from services.runtime.web.guard import Guard, Limits, is_asked_here
from services.runtime.web.languages import LANGUAGE_COOKIE
from services.runtime.web.pages import THEME_COOKIE, Link, Pages, pages_of, remember
from services.runtime.web.problems import Problem, handle_problems
from services.runtime.web.static import SHARED_ASSETS, Assets

if TYPE_CHECKING:
    from services.runtime.web.door import Door

__all__ = ["create_app"]


def create_app(
    title: str,
    *,
    metrics: Metrics,
    ready: Callable[[], Sequence[str]] = tuple,
    hosts: Collection[str] | None = (),
    door: Door | None = None,
    templates: str | None = None,
    navigation: Sequence[Link] = (),
    languages: Sequence[str] = ("en",),
    assets: Sequence[Path] = (),
    limits: Limits | None = None,
) -> FastAPI:
    """An application with `/healthz`, `/readyz`, `/metrics`, `/openapi.json` and what every page needs.

    Where people sign in, `/metrics` is for this machine alone: its counters move with every access (ADR 0260).

    `ready` names what is missing (empty: ready). `hosts` are the names it answers to, besides this machine's
    own; None: any name, for a service that no browser has a session with. `door` lets people sign in; without
    it there are no people here (ingest). `templates` is the package whose `templates/` folder holds the plane's
    pages, which are in all of `languages`; `assets` are more folders of files they load.
    """
    app = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    files = Assets(SHARED_ASSETS, *assets)
    app.state.pages = Pages(title, files, templates, navigation, languages)
    app.state.door = door
    app.state.metrics = metrics
    app.add_middleware(Guard, hosts=hosts, limits=limits or Limits(), metrics=metrics)
    handle_problems(app)
    _operations(app, metrics, ready, is_public=door is None)
    _look(app, files)
    if door is not None:
        _let_people_in(app)
    return app


def _let_people_in(app: FastAPI) -> None:
    """Imported here: ingest has no people, and does without what their sign-in stands on."""
    from services.runtime.web.account import account_router
    from services.runtime.web.oidc import oidc_router
    from services.runtime.web.signin import install_sign_in

    install_sign_in(app)
    app.include_router(account_router)
    app.include_router(oidc_router)


def _operations(app: FastAPI, metrics: Metrics, ready: Callable[[], Sequence[str]], is_public: bool) -> None:
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    def alive() -> dict[str, bool]:
        return {"alive": True}

    @router.get("/readyz")
    def is_ready() -> Response:
        missing = list(ready())
        return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)

    @router.get("/metrics")
    def metrics_page(request: Request) -> Response:
        if not (is_public or is_asked_here(request)):
            raise Problem(404, "There is no such page")
        return Response(metrics.render(), media_type=CONTENT_TYPE_LATEST)

    app.include_router(router)


def _look(app: FastAPI, files: Assets) -> None:
    router = APIRouter(include_in_schema=False)

    @router.get("/assets/{digest}/{name}")
    def asset(request: Request) -> Response:
        return files.answer(request)

    @router.post("/theme")
    def choose_theme(request: Request, theme: Annotated[Literal["light", "dark", "system"], Form()]) -> Response:
        """Remembered without a script, so that a page has the right colours from its first byte."""
        response = RedirectResponse(_page_before(request), 303)
        if theme == "system":
            response.delete_cookie(THEME_COOKIE, path="/")
        else:
            remember(response, THEME_COOKIE, theme)
        return response

    @router.post("/language")
    def choose_language(request: Request, lang: Annotated[str, Form()]) -> Response:
        if lang not in pages_of(request).languages:
            raise Problem(400, "There is no such language here")
        response = RedirectResponse(_without_language(_page_before(request)), 303)
        remember(response, LANGUAGE_COOKIE, lang)
        return response

    app.include_router(router)


def _page_before(request: Request) -> str:
    """The page of this service that the form was on, by its Referer; else `/`: no redirect leads elsewhere."""
    try:
        before = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return "/"
    here = before.scheme in {"http", "https"} and before.netloc == request.headers.get("host")
    path = urlunsplit(("", "", before.path, before.query, ""))
    return path if here and path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() else "/"


def _without_language(page: str) -> str:
    """A link's `?lang=` would win over what was just chosen."""
    path, mark, query = page.partition("?")
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "lang"]
    return f"{path}{mark}{urlencode(kept)}" if kept else path
