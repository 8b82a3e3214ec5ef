"""Rendering: one Jinja environment a service, everything escaped, an unknown name is an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from services.runtime.web.languages import LANGUAGE_COOKIE, Language, chosen_language, html, html_many, language
from services.runtime.web.static import Assets

__all__ = ["THEME_COOKIE", "Link", "Pages", "pages_of", "remember", "theme_of"]

THEME_COOKIE = "voile_theme"
_LOOK_S = 365 * 24 * 3600
THEMES = ("light", "dark")


@dataclass(frozen=True, slots=True)
class Link:
    """An entry of the header; `text` is in the catalogue. `section` is matched with what a page gives as `section`;
    `role`: only who has it sees the entry, `not_role`: who has it does not (the page itself decides who gets in).
    `count`: what waits there."""

    text: str
    href: str
    section: str
    role: str = ""
    count: int = 0
    not_role: str = ""


class Pages:
    """Templates of the shell and, before them, of the plane's own package (`<package>/templates`).

    `languages`: those that all of the plane's pages are in; the first is the one for who wants none of them.
    """

    def __init__(
        self,
        title: str,
        assets: Assets,
        package: str | None = None,
        navigation: Sequence[Link] = (),
        languages: Sequence[str] = ("en",),
    ) -> None:
        self._title, self._navigation, self.languages = title, tuple(navigation), tuple(languages)
        own = [jinja2.PackageLoader(package)] if package else []
        self.environment = jinja2.Environment(
            loader=jinja2.ChoiceLoader([*own, jinja2.PackageLoader("services.runtime.web")]),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.environment.globals |= {"asset": assets.url, "_": html, "_many": html_many}

    def language(self, request: Request) -> Language:
        """What this request's page is written in."""
        return chosen_language(request, self.languages)

    def render(self, request: Request, template: str, **context: Any) -> HTMLResponse:
        """A page with what the shell needs (who is signed in, theme, navigation) and `context`.

        `elsewhere` in it is what the links of the header carry on, such as the tenant.
        Never its own address: on an error page that would be whatever somebody typed.
        """
        chosen = self.language(request)
        shell = {
            "language": chosen,
            "languages": [language(code) for code in self.languages],
            "service_title": chosen.say(self._title),
            "navigation": self._navigation,
            "session": getattr(request.state, "session", None),
            "theme": theme_of(request),
            "section": "",
            "elsewhere": "",
        }
        page = HTMLResponse(self.environment.get_template(template).render(shell | context))
        if request.query_params.get("lang") == chosen.code:  # a link in one language: what follows is in it, too
            remember(page, LANGUAGE_COOKIE, chosen.code)
        return page


def pages_of(request: Request) -> Pages:
    """The service's pages; `create_app` put them there."""
    return cast(Pages, request.app.state.pages)


def remember(response: Response, cookie: str, value: str) -> None:
    """What somebody chose of how pages look; nothing of who they are."""
    response.set_cookie(cookie, value, max_age=_LOOK_S, path="/", samesite="lax")


def theme_of(request: Request) -> str:
    """`light`, `dark`, or empty: as the system prefers."""
    chosen = request.cookies.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else ""
