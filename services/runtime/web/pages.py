"""Rendering: one Jinja environment a service, everything escaped, an unknown name is an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse

from services.runtime.web.static import Assets

__all__ = ["THEME_COOKIE", "Link", "Pages", "pages_of", "theme_of"]

THEME_COOKIE = "voile_theme"
THEMES = ("light", "dark")


@dataclass(frozen=True, slots=True)
class Link:
    """An entry of the header. `section` is matched with what a page gives as `section`."""

    text: str
    href: str
    section: str


class Pages:
    """Templates of the shell and, before them, of the plane's own package (`<package>/templates`)."""

    def __init__(self, title: str, assets: Assets, package: str | None = None, navigation: Sequence[Link] = ()) -> None:
        self._title, self._navigation = title, tuple(navigation)
        own = [jinja2.PackageLoader(package)] if package else []
        self.environment = jinja2.Environment(
            loader=jinja2.ChoiceLoader([*own, jinja2.PackageLoader("services.runtime.web")]),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.environment.globals["asset"] = assets.url

    def render(self, request: Request, template: str, **context: Any) -> HTMLResponse:
        """A page with what the shell needs (who is signed in, theme, navigation) and `context`.

        Never its own address: on an error page that would be whatever somebody typed.
        """
        shell = {
            "service_title": self._title,
            "navigation": self._navigation,
            "session": getattr(request.state, "session", None),
            "theme": theme_of(request),
            "section": "",
        }
        return HTMLResponse(self.environment.get_template(template).render(shell | context))


def pages_of(request: Request) -> Pages:
    """The service's pages; `create_app` put them there."""
    return cast(Pages, request.app.state.pages)


def theme_of(request: Request) -> str:
    """`light`, `dark`, or empty: as the system prefers."""
    chosen = request.cookies.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else ""
