"""How figures are written: exact where that is short, never a number for what may not be shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from services.runtime.web.languages import Language

__all__ = ["HIDDEN", "Change", "Kind", "change", "written"]

HIDDEN = "<10"  # nobody, or too few to show: the two look the same on purpose
_NOTHING = "–"
Kind = Literal["count", "ratio", "percent", "seconds", "milliseconds"]
_COMPACT_FROM = 10_000_000
_SAME = 0.01  # of the figure before: less than that is rounding, no change


@dataclass(frozen=True, slots=True)
class Change:
    """Against the comparison: percent for counts, points for percentages. `good` None: neither good nor bad."""

    text: str
    direction: Literal["up", "down", "same"]
    good: bool | None


def written(value: float | None, kind: Kind, language: Language) -> str:
    """The figure as people read it; None is what is not there or may not be shown."""
    if value is None:
        return HIDDEN if kind == "count" else _NOTHING
    return _WRITERS[kind](value, language)


def _count(value: float, language: Language) -> str:
    return f"{language.number(value / 1_000_000, 1)} M" if value >= _COMPACT_FROM else language.number(value)


def _seconds(value: float, language: Language) -> str:
    minutes, seconds = divmod(round(value), 60)
    return f"{language.number(minutes)} m {seconds:02d} s" if minutes else f"{seconds} s"


_WRITERS: Mapping[Kind, Callable[[float, Language], str]] = {
    "count": _count,
    "ratio": lambda value, language: language.number(value, 1),
    "percent": lambda value, language: language.percent(value, 2 if 0 < value < 1 else 0),
    "seconds": _seconds,
    "milliseconds": lambda value, language: f"{language.number(value)} ms",
}


def change(
    now: float | None,
    before: float | None,
    kind: Kind,
    better: Literal["more", "less", "neither"],
    language: Language,
) -> Change | None:
    """None when either figure is missing, or there is nothing to divide by."""
    if now is None or before is None or (before == 0 and kind != "percent"):
        return None
    difference = now - before if kind == "percent" else (now - before) / before * 100
    if abs(now - before) <= _SAME * before:
        return Change(language.say("no change"), "same", None)
    direction: Literal["up", "down"] = "up" if difference > 0 else "down"
    good = None if better == "neither" else (direction == "up") == (better == "more")
    return Change(_signed(difference, kind, language), direction, good)


def _signed(difference: float, kind: Kind, language: Language) -> str:
    sign, size = "+" if difference > 0 else "-", abs(difference)
    if kind == "percent":
        return sign + language.say("{points} pt", points=language.number(size, 2 if size < 0.1 else 1))
    return sign + (language.percent(size) if size < 1000 else f"{language.number(size / 100)} ×")
