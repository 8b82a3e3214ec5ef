"""One page's content: what is asked of the published figures for a `View`, and how the answers are laid out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from services.runtime.web.languages import N_, Language
from services.stats.dashboard.asking import Questions
from services.stats.dashboard.charts import Chart, day_chart, hour_chart
from services.stats.dashboard.figures import Change, change, written
from services.stats.dashboard.menus import (
    Choice,
    comparison_choices,
    earlier,
    kept_parameters,
    later,
    period_choices,
    tenant_choices,
)
from services.stats.dashboard.panels import Card, labelled, panel_of
from services.stats.dashboard.periods import COMPARISONS, Span
from services.stats.dashboard.rankings import Ranking, rank
from services.stats.dashboard.trust import Line, trust_lines
from services.stats.dashboard.view import View

__all__ = ["Report", "make_report"]


@dataclass(frozen=True, slots=True)
class CardShown:
    metric: str
    text: str
    explained: str
    value: str
    change: Change | None
    href: str
    current: bool
    provisional: bool


@dataclass(frozen=True, slots=True)
class FilterShown:
    column: str
    label: str
    clear: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the template of every page of figures reads."""

    view: View
    elsewhere: str
    tenant: str
    tenants: tuple[Choice, ...]
    period: str
    periods: tuple[Choice, ...]
    compared: str
    comparisons: tuple[Choice, ...]
    earlier: str
    later: str
    first: date
    last: date
    today: date
    hidden: tuple[tuple[str, str], ...]
    filter: FilterShown | None
    cards: tuple[CardShown, ...]
    chart: Chart
    panels: tuple[Ranking, ...]
    trust: tuple[Line, ...]
    threshold: int
    provisional: tuple[date, ...]
    empty: bool


def make_report(questions: Questions, tenants: Sequence[str]) -> Report:
    """Asks about twenty small questions; each reads published cells alone."""
    view = questions.view
    meta = _meta(questions)
    provisional = [date.fromisoformat(day) for day in meta["freshness"]["provisional_days"]]
    cards, figures = _cards(questions, provisional)
    chart_of = hour_chart if view.period.span.days == 1 else day_chart
    chart = chart_of(questions, provisional, view.href("/csv", of="chart"))
    panels = tuple(rank(questions, group, figures.get) for group in view.sheet.groups)
    return Report(
        view=view,
        elsewhere=view.elsewhere(),
        tenant=view.tenant,
        tenants=tenant_choices(view, tenants),
        period=view.period.described(view.today, view.language),
        periods=period_choices(view),
        compared=view.language.say(COMPARISONS[view.compare]),
        comparisons=comparison_choices(view),
        earlier=earlier(view),
        later=later(view),
        first=view.period.span.first,
        last=view.period.span.last,
        today=view.today,
        hidden=kept_parameters(view),
        filter=_filter_shown(view),
        cards=cards,
        chart=chart,
        panels=panels,
        trust=trust_lines(questions, meta, panels),
        threshold=meta["privacy"]["threshold"],
        provisional=tuple(provisional),
        empty=not provisional and meta["freshness"]["closed_through"] is None,
    )


_SUMMED = N_("Summed over days: who comes on two days counts twice.")
_SUMS = {"visitors": N_("Visitor-days"), "active_accounts": N_("Account-days")}


def _meta(questions: Questions) -> Mapping[str, Any]:
    """What the answers say of themselves: threshold, provisional days, how fresh. From a question that every tenant
    may ask without a filter."""
    meta = questions.rows(["visitors"], [], questions.view.period.span, filtered=False).meta
    assert meta is not None, "visitors without a filter are always offered"
    return meta


def _cards(questions: Questions, provisional: Sequence[date]) -> tuple[tuple[CardShown, ...], dict[str, float | None]]:
    """The cards, and their figures by metric (with `requests`, which shares of requests are of)."""
    view, span = questions.view, questions.view.period.span
    now = questions.figures(_figures(view), span)
    complete, before = _comparable(questions, span, provisional, now)
    going_on = any(day in provisional for day in span.dates())
    shown = [
        _card(view, card, now[card.metric], _changed(card, complete, before, view.language), going_on)
        for card in view.sheet.cards
        if card.metric in now
    ]
    return tuple(shown), now


def _figures(view: View) -> list[str]:
    """What the cards show, and requests, which shares are of."""
    return list(dict.fromkeys([*(card.metric for card in view.sheet.cards), "requests", "visitors"]))


def _comparable(
    questions: Questions, span: Span, provisional: Sequence[date], now: dict[str, float | None]
) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """Figures of the complete days, and of as many days before: a day that goes on is compared with nothing."""
    compared, wanted = questions.view.compared, _figures(questions.view)
    over = [day for day in span.dates() if day not in provisional]
    if compared is None or not over:
        return {}, {}
    if len(over) == span.days:
        return now, questions.figures(wanted, compared)
    whole = Span(over[0], over[-1])
    before = whole.moved(compared.first - span.first)
    return questions.figures(wanted, whole), questions.figures(wanted, before)


def _changed(
    card: Card, now: Mapping[str, float | None], before: Mapping[str, float | None], language: Language
) -> Change | None:
    return change(now.get(card.metric), before.get(card.metric), card.kind, card.better, language)


def _card(view: View, card: Card, figure: float | None, found: Change | None, going_on: bool) -> CardShown:
    days, language = view.period.span.days, view.language
    by_day = days > 1
    summed = card.metric in _SUMS and days > 1
    explained = language.say(card.explained)
    return CardShown(
        metric=card.metric,
        text=language.say(_SUMS[card.metric] if summed else card.text),
        explained=f"{explained} {language.say(_SUMMED)}" if summed else explained,
        value=written(figure, card.kind, language),
        change=found,
        href=view.with_metric(card.metric).href() if by_day else "",
        current=by_day and card == view.card,
        provisional=going_on and days == 1,
    )


def _filter_shown(view: View) -> FilterShown | None:
    if view.filter is None:
        return None
    panel = panel_of(view.filter.dimension)
    label = labelled(panel.dimension, view.filter.value, view.language)
    return FilterShown(view.language.say(panel.column), label, replace(view, filter=None).href())
