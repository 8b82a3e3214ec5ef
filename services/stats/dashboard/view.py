"""What a page shows, as its address says it: everything is in the URL, so that a link shows the same to a colleague."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from urllib.parse import urlencode

from services.runtime.web.languages import Language
from services.runtime.web.problems import Problem
from services.stats.dashboard.panels import OVERVIEW, Card, Group, Sheet
from services.stats.dashboard.periods import COMPARISONS, Period, Span, compared, read_period
from services.stats.figures.cubes import OTHER

__all__ = ["SORTS", "Filter", "View", "read_view"]

SORTS = ("slowest", "failing")  # besides the first order


@dataclass(frozen=True, slots=True)
class Filter:
    """`dimension` is `value`: the one that may be set."""

    dimension: str
    value: str


@dataclass(frozen=True, slots=True)
class View:
    """`metric`: the card that the chart is of. `tabs`: group key -> the dimension shown in it, only where it is not
    the group's first. `sort`: what a wide table begins with, empty: with what is most."""

    sheet: Sheet
    tenant: str
    today: date
    language: Language
    period: Period
    compare: str = "previous"
    metric: str = ""
    filter: Filter | None = None
    tabs: tuple[tuple[str, str], ...] = ()
    sort: str = ""

    @property
    def compared(self) -> Span | None:
        return compared(self.period.span, self.compare)

    @property
    def card(self) -> Card:
        return next(card for card in self.sheet.cards if card.metric == (self.metric or self.sheet.cards[0].metric))

    def tab(self, group: Group) -> str:
        return dict(self.tabs).get(group.key, group.panels[0].dimension)

    def with_tab(self, group: Group, dimension: str) -> View:
        others = tuple((key, value) for key, value in self.tabs if key != group.key)
        return replace(
            self, tabs=others if dimension == group.panels[0].dimension else (*others, (group.key, dimension))
        )

    def parameters(self) -> list[tuple[str, str]]:
        found = [("tenant", self.tenant), *self.period.parameters(self.today).items()]
        found += [("compare", self.compare)] if self.compare != "previous" else []
        found += [("metric", self.metric)] if self.metric else []
        found += [("sort", self.sort)] if self.sort else []
        found += [("filter", self.filter.dimension), ("value", self.filter.value)] if self.filter else []
        return [*found, *self.tabs]

    def href(self, path: str = "", **more: str) -> str:
        """The page itself, or `path`: a part of this page."""
        part = [("sheet", self.sheet.key)] if path and self.sheet != OVERVIEW else []
        return f"{path or self.sheet.path}?{urlencode([*self.parameters(), *part, *more.items()])}"

    def with_metric(self, metric: str) -> View:
        return replace(self, metric="" if metric == self.sheet.cards[0].metric else metric)

    def elsewhere(self) -> str:
        """What the other pages take over: tenant, days and comparison, as the end of an address."""
        plain = replace(self, metric="", filter=None, tabs=(), sort="")
        return f"?{urlencode(plain.parameters())}"


def read_view(
    parameters: Mapping[str, str], tenants: Sequence[str], today: date, language: Language, sheet: Sheet = OVERVIEW
) -> View:
    """Of `sheet`, from an address. `tenants` are those the person may see, the first is the default. `language` is the
    person's and not the address's: a link shows a colleague the same in their own.

    Raises `Problem`: 404 for a tenant that is not among them (whether it exists stays unsaid), 400 for the rest.
    """
    tenant = parameters.get("tenant", tenants[0] if tenants else "")
    if tenant not in tenants:
        raise Problem(404, "There is no such tenant here", "It does not exist, or you may not see it.")
    cards = [card.metric for card in sheet.cards]
    metric = _one_of(parameters, "metric", cards, cards[0])
    return View(
        sheet=sheet,
        tenant=tenant,
        today=today,
        language=language,
        period=read_period(parameters, today),
        compare=_one_of(parameters, "compare", list(COMPARISONS), "previous"),
        metric="" if metric == cards[0] else metric,
        filter=_filter(parameters, sheet),
        tabs=tuple(_tabs(parameters, sheet)),
        sort=_one_of(parameters, "sort", ["", *SORTS], ""),
    )


def _one_of(parameters: Mapping[str, str], field: str, allowed: Sequence[str], default: str) -> str:
    value = parameters.get(field, default)
    if value not in allowed:
        values = {"field": field, "choices": ", ".join(allowed)}
        raise Problem(400, "There is no such choice", "`{field}` is one of {choices}.", values=values)
    return value


def _filter(parameters: Mapping[str, str], sheet: Sheet) -> Filter | None:
    if "filter" not in parameters:
        return None
    dimension = _one_of(parameters, "filter", sheet.dimensions, "")
    value = parameters.get("value", "")
    if value in {"", OTHER}:
        raise Problem(400, "There is nothing to show by", "`value` is one that has a name in the table.")
    return Filter(dimension, value)


def _tabs(parameters: Mapping[str, str], sheet: Sheet) -> list[tuple[str, str]]:
    chosen = []
    for group in sheet.groups:
        if group.key in parameters:
            dimensions = [panel.dimension for panel in group.panels]
            chosen.append((group.key, _one_of(parameters, group.key, dimensions, dimensions[0])))
    return chosen
