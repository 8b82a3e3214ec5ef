"""What a page's menus and arrows lead to: the same view with one thing changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from services.stats.dashboard.periods import COMPARISONS, PERIODS, TODAY, Period, Span
from services.stats.dashboard.view import View

__all__ = ["Choice", "comparison_choices", "earlier", "kept_parameters", "later", "period_choices", "tenant_choices"]


@dataclass(frozen=True, slots=True)
class Choice:
    """An entry of a menu; `key` presses it."""

    text: str
    href: str
    current: bool = False
    key: str = ""


def tenant_choices(view: View, tenants: Sequence[str]) -> tuple[Choice, ...]:
    """A filter's value belongs to one tenant and does not come along."""
    return tuple(Choice(t, replace(view, tenant=t, filter=None).href(), t == view.tenant) for t in tenants)


def period_choices(view: View) -> tuple[Choice, ...]:
    """Periods that end today."""
    return tuple(
        Choice(
            view.language.say(text),
            replace(view, period=Period(kind, Span(view.today - timedelta(days=days - 1), view.today))).href(),
            view.period.kind == kind and view.period.span.last == view.today,
            key,
        )
        for kind, (days, text, key) in {**PERIODS, "day": (1, TODAY, "d")}.items()
    )


def comparison_choices(view: View) -> tuple[Choice, ...]:
    """The key `c` switches the comparison off and on."""
    switched = "previous" if view.compare == "none" else "none"
    return tuple(
        Choice(
            view.language.say(text),
            replace(view, compare=how).href(),
            how == view.compare,
            "c" if how == switched else "",
        )
        for how, text in COMPARISONS.items()
    )


def later(view: View) -> str:
    """Empty at the present: the future has no figures."""
    if view.period.span.last >= view.today:
        return ""
    period = view.period.stepped(1)
    if period.span.last > view.today:
        period = Period(period.kind, period.span.moved(view.today - period.span.last))
    return replace(view, period=period).href()


def earlier(view: View) -> str:
    return replace(view, period=view.period.stepped(-1)).href()


def kept_parameters(view: View) -> tuple[tuple[str, str], ...]:
    """What a form that chooses days must not lose."""
    return tuple((name, value) for name, value in view.parameters() if name not in {"period", "from", "to", "date"})
