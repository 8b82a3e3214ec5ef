"""Active accounts by week and month. Whoever is active on two days of a week is one account there, not two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from services.runtime.web.languages import N_, Language
from services.stats.dashboard.asking import Questions
from services.stats.dashboard.figures import written
from services.stats.dashboard.fine_print import rule
from services.stats.dashboard.periods import Span

__all__ = ["ACCOUNT_TIMES", "ACTIVE", "Accounts", "AccountsRow", "active_accounts", "span_of"]

ACTIVE = "active_accounts"
ACCOUNT_TIMES: Mapping[str, str] = {"weeks": "time:week", "months": "time:month"}  # of the address -> dimension
_TITLES = {"weeks": N_("Active accounts by week"), "months": N_("Active accounts by month")}
_AT_LEAST = {"weeks": timedelta(weeks=13), "months": timedelta(days=365)}
_LAST_OF_WEEK = timedelta(days=6)


@dataclass(frozen=True, slots=True)
class AccountsRow:
    """`bar` is percent of the widest."""

    label: str
    value: str
    bar: float


@dataclass(frozen=True, slots=True)
class Accounts:
    """`rows`: weeks or months, the newest first."""

    key: str
    text: str
    column: str
    rows: tuple[AccountsRow, ...]
    csv: str
    trust: str


def span_of(key: str, span: Span) -> Span:
    """The days shown, and more before them: few weeks and months begin within thirty days."""
    return Span(min(span.first, span.last - _AT_LEAST[key]), span.last)


def active_accounts(questions: Questions) -> tuple[Accounts, ...]:
    """Of weeks and of months; nothing where they are not offered, as under a filter."""
    found = (_accounts(questions, key) for key in ACCOUNT_TIMES)
    return tuple(accounts for accounts in found if accounts is not None)


def _accounts(questions: Questions, key: str) -> Accounts | None:
    view = questions.view
    answer = questions.rows([ACTIVE], [ACCOUNT_TIMES[key]], span_of(key, view.period.span))
    if answer.refused:
        return None
    figures = {date.fromisoformat(first): figure for first, figure in answer.by_value().items()}
    most = max((figure or 0 for figure in figures.values()), default=0)
    rows = [
        AccountsRow(
            _LABELS[key](view.language, first),
            written(figures[first], "count", view.language),
            100 * (figures[first] or 0) / most if most else 0,
        )
        for first in sorted(figures, reverse=True)
    ]
    say = view.language.say
    column = say(N_("Week")) if key == "weeks" else say(N_("Month"))
    return Accounts(key, say(_TITLES[key]), column, tuple(rows), view.href("/csv", of=key), rule(view))


_LABELS: Mapping[str, Callable[[Language, date], str]] = {
    "weeks": lambda language, first: language.days(first, first + _LAST_OF_WEEK),
    "months": lambda language, first: language.month(first),
}
