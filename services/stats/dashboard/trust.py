"""The sentences below the figures that say how far they can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from services.stats.dashboard.asking import Questions
from services.stats.dashboard.rankings import Ranking

__all__ = ["Line", "trust_lines"]

_BOTS = ("declared", "suspected")


@dataclass(frozen=True, slots=True)
class Line:
    icon: str
    text: str


def trust_lines(questions: Questions, meta: Mapping[str, Any], panels: Sequence[Ranking]) -> tuple[Line, ...]:
    """`meta` is what an answer says of itself."""
    found = [_rule(meta["privacy"]), _bots(questions), _rest(panels[0]), _fresh(meta["freshness"])]
    return tuple(line for line in found if line)


def _rule(privacy: Mapping[str, Any]) -> Line:
    merged = f"Rows of fewer than about {privacy['threshold']} people are merged"
    return Line("shield", f"{merged}; figures are rounded to {privacy['rounding']}")


def _bots(questions: Questions) -> Line | None:
    span = questions.view.period.span
    requests = questions.rows(["requests"], ["event:bot_class"], span, filtered=False).by_value()
    if "human" not in requests:
        return None  # people are merged into (other): what is left says nothing about shares
    whole = sum(value or 0 for value in requests.values())
    bots = sum(requests.get(kind) or 0 for kind in _BOTS)
    return Line("info", f"{100 * bots / whole:.0f} % of requests were bots and are left out") if whole else None


def _rest(panel: Ranking) -> Line | None:
    rest = next((row.share for row in panel.rows if row.rest and row.share), "")
    return Line("info", f"{rest} of visitors are in (other) among {panel.text.lower()}, for privacy") if rest else None


def _fresh(freshness: Mapping[str, Any]) -> Line:
    through = freshness["closed_through"]
    if through is None:
        return Line("clock", f"No day shown here is closed: figures may still change ({freshness['timezone']})")
    going_on = "; later days may still change" if freshness["provisional_days"] else ""
    day = date.fromisoformat(through)
    closed = f"Closed through {day:%a} {day.day} {day:%b} {day.year}"
    return Line("clock", f"{closed} ({freshness['timezone']}){going_on}")
