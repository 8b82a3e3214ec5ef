"""`/privacy`, for everybody: what holds now and what held before; `/privacy.json` the same for programs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from services.runtime.settings import Settings
from services.runtime.web.languages import Language
from services.runtime.web.pages import pages_of
from services.runtime.web.problems import Problem
from services.runtime.web.signin import session_of
from services.stats.dashboard.policies import Held, Policies, Texts
from services.stats.dashboard.privacy import Facts, texts_of

__all__ = ["privacy_router"]

_NUMBER_MAX = 1_000_000  # above every number there is: an address cannot ask the records for an endless one


@dataclass(frozen=True, slots=True)
class _Shown:
    """`held` None: nothing is kept yet, the text is made from the settings of this moment."""

    held: Held | None
    texts: Texts
    history: list[Held]


def privacy_router(policies: Policies, settings: Settings) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    def shown(request: Request) -> _Shown:
        history = policies.history()
        asked = request.query_params.get("version")
        if asked is None and not history:
            return _Shown(None, texts_of(settings, Facts()), [])
        number = history[0].number if asked is None else _number(asked)
        held = next((each for each in history if each.number == number), None)
        texts = policies.texts(number) if held else None
        if held is None or texts is None:
            raise Problem(404, "There is no such version", "The page lists those there are.")
        return _Shown(held, texts, history)

    @router.get("/privacy")
    def page(request: Request) -> Response:
        session_of(request)
        found, pages = shown(request), pages_of(request)
        language = pages.language(request)
        policy = found.texts.get(language.code) or next(iter(found.texts.values()))
        history = [_entry(held, settings.zone, language) for held in found.history]
        chosen = next((entry for entry in history if found.held and entry["number"] == found.held.number), None)
        return pages.render(request, "privacy.html", policy=policy, history=history, chosen=chosen)

    @router.get("/privacy.json")
    def as_json(request: Request) -> Response:
        found = shown(request)
        versions = [_told(held) for held in found.history]
        return JSONResponse({**(_told(found.held) if found.held else {}), "texts": found.texts, "versions": versions})

    return router


def _number(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < len(str(_NUMBER_MAX)) else 0
    if number == 0:
        raise Problem(400, "There is no such choice", "`version` is the number of one.")
    return number


def _entry(held: Held, zone: ZoneInfo, language: Language) -> dict[str, Any]:
    since, until = (_day(at, zone, language) for at in (held.since, held.until))
    return {"number": held.number, "since": since, "until": until, "href": f"/privacy?version={held.number}"}


def _day(at: datetime | None, zone: ZoneInfo, language: Language) -> str:
    return language.day(at.astimezone(zone).date()) if at else ""


def _told(held: Held) -> dict[str, Any]:
    return {
        "version": held.number,
        "since": held.since.isoformat(),
        "until": held.until.isoformat() if held.until else None,
    }
