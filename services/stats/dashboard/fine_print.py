"""The line below each table and chart: what is in (other), what may still change, from how many people on."""

from __future__ import annotations

from services.runtime.web.languages import N_
from services.stats.dashboard.asking import Answer
from services.stats.dashboard.view import View
from services.stats.figures.disclosure import THRESHOLD

__all__ = ["fine_print", "rule"]

_REST = N_("{share} in (other)")
_PROVISIONAL = N_("provisional")
_CLOSED_ALONE = N_("closed days alone")
_CLOSED = N_("closed days")
_RULE = N_("from {threshold} people on")


def fine_print(view: View, answer: Answer, rest: str = "", *, paired: bool = False) -> str:
    """Of what `answer` told; `rest` is the written share of (other). `paired`: by two dimensions at once, which exists
    of closed days alone."""
    say = view.language.say
    parts = [say(_REST, share=rest)] if rest else []
    if answer.is_provisional:
        parts.append(say(_CLOSED_ALONE if paired else _PROVISIONAL))
    else:
        parts.append(say(_CLOSED))
    return " · ".join([*parts, rule(view)])


def rule(view: View) -> str:
    """From how many people on. How figures are rounded stands once a page (`trust.py`)."""
    return view.language.say(_RULE, threshold=THRESHOLD)
