"""The sentences below the figures that say how far they can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from services.runtime.web.languages import N_, Language
from services.stats.dashboard.asking import Questions
from services.stats.dashboard.rankings import Ranking

__all__ = ["Line", "trust_lines"]

_RULE = N_("Rows of fewer than about {threshold} people are merged; figures are rounded to {rounding}")
_CLOSED = N_("Closed through {day} ({zone})")
_CLOSED_AND_MORE = N_("Closed through {day} ({zone}); later days may still change")


@dataclass(frozen=True, slots=True)
class Line:
    icon: str
    text: str


def trust_lines(questions: Questions, meta: Mapping[str, Any], panels: Sequence[Ranking]) -> tuple[Line, ...]:
    """`meta` is what an answer says of itself."""
    language = questions.view.language
    found = [
        _rule(meta["privacy"], language),
        _bots(questions),
        _rest(panels[0], language) if panels else None,
        _fresh(meta["freshness"], language),
    ]
    return tuple(line for line in found if line)


def _rule(privacy: Mapping[str, Any], language: Language) -> Line:
    return Line("shield", language.say(_RULE, threshold=privacy["threshold"], rounding=privacy["rounding"]))


def _bots(questions: Questions) -> Line | None:
    span = questions.view.period.span
    requests = questions.rows(["requests"], ["event:bot_class"], span, filtered=False).by_value()
    if "human" not in requests:
        return None  # too few people: what is left says nothing about shares
    whole = sum(value or 0 for value in requests.values())
    bots = whole - (requests["human"] or 0)
    if not whole:
        return None
    share = questions.view.language.percent(100 * bots / whole)
    return Line("info", questions.view.language.say("{share} of requests were bots and are left out", share=share))


def _rest(panel: Ranking, language: Language) -> Line | None:
    rest = next((row.share for row in panel.rows if row.rest and row.share), "")
    if not rest:
        return None
    text = language.say(
        "{share} of {measured} are in (other) among {panel}, for privacy",
        share=rest,
        measured=panel.measured.lower(),
        panel=panel.text.lower(),
    )
    return Line("info", text)


def _fresh(freshness: Mapping[str, Any], language: Language) -> Line:
    through, zone = freshness["closed_through"], freshness["timezone"]
    if through is None:
        return Line("clock", language.say("No day shown here is closed: figures may still change ({zone})", zone=zone))
    day = language.weekday(date.fromisoformat(through), year=True)
    text = _CLOSED_AND_MORE if freshness["provisional_days"] else _CLOSED
    return Line("clock", language.say(text, day=day, zone=zone))
