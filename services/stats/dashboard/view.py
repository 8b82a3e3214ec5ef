"""What a page shows, as its address says it: everything is in the URL, so that a link shows the same to a colleague."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from urllib.parse import urlencode

from services.runtime.web.languages import Language
from services.runtime.web.problems import Problem
from services.stats.cubes import OTHER
from services.stats.dashboard.panels import CARDS, GROUPS, Group
from services.stats.dashboard.periods import COMPARISONS, Period, Span, compared, read_period

__all__ = ["Filter", "View", "read_view"]


@dataclass(frozen=True, slots=True)
class Filter:
    """`dimension` is `value`: the one that may be set."""

    dimension: str
    value: str


@dataclass(frozen=True, slots=True)
class View:
    """`tabs`: group key -> the dimension shown in it, only where it is not the group's first."""

    tenant: str
    today: date
    language: Language
    period: Period
    compare: str = "previous"
    metric: str = "visitors"
    filter: Filter | None = None
    tabs: tuple[tuple[str, str], ...] = ()

    @property
    def compared(self) -> Span | None:
        return compared(self.period.span, self.compare)

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
        found += [("metric", self.metric)] if self.metric != "visitors" else []
        found += [("filter", self.filter.dimension), ("value", self.filter.value)] if self.filter else []
        return [*found, *self.tabs]

    def href(self, path: str = "/", **more: str) -> str:
        return f"{path}?{urlencode([*self.parameters(), *more.items()])}"


def read_view(parameters: Mapping[str, str], tenants: Sequence[str], today: date, language: Language) -> View:
    """From an address. `tenants` are those the person may see, the first is the default. `language` is the person's
    and not the address's: a link shows a colleague the same in their own.

    Raises `Problem`: 404 for a tenant that is not among them (whether it exists stays unsaid), 400 for the rest.
    """
    tenant = parameters.get("tenant", tenants[0] if tenants else "")
    if tenant not in tenants:
        raise Problem(404, "There is no such tenant here", "It does not exist, or you may not see it.")
    return View(
        tenant=tenant,
        today=today,
        language=language,
        period=read_period(parameters, today),
        compare=_one_of(parameters, "compare", list(COMPARISONS), "previous"),
        metric=_one_of(parameters, "metric", [card.metric for card in CARDS], "visitors"),
        filter=_filter(parameters),
        tabs=tuple(_tabs(parameters)),
    )


def _one_of(parameters: Mapping[str, str], field: str, allowed: Sequence[str], default: str) -> str:
    value = parameters.get(field, default)
    if value not in allowed:
        values = {"field": field, "choices": ", ".join(allowed)}
        raise Problem(400, "There is no such choice", "`{field}` is one of {choices}.", values=values)
    return value


def _filter(parameters: Mapping[str, str]) -> Filter | None:
    if "filter" not in parameters:
        return None
    dimensions = [panel.dimension for group in GROUPS for panel in group.panels]
    dimension = _one_of(parameters, "filter", dimensions, "")
    value = parameters.get("value", "")
    if value in {"", OTHER}:
        raise Problem(400, "There is nothing to show by", "`value` is one that has a name in the table.")
    return Filter(dimension, value)


def _tabs(parameters: Mapping[str, str]) -> list[tuple[str, str]]:
    chosen = []
    for group in GROUPS:
        if group.key in parameters:
            dimensions = [panel.dimension for panel in group.panels]
            chosen.append((group.key, _one_of(parameters, group.key, dimensions, dimensions[0])))
    return chosen
