"""One table of the page: values by how many, with the rest that may not be told apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from services.runtime.web.languages import N_, Language
from services.stats.dashboard.asking import Answer, Questions
from services.stats.dashboard.figures import written
from services.stats.dashboard.fine_print import fine_print
from services.stats.dashboard.panels import METRIC_NAMES, Group, Panel, labelled, panel_of
from services.stats.dashboard.view import Filter, View
from services.stats.figures.cubes import OTHER, declared_cubes
from services.stats.queries.request import DIMENSIONS

__all__ = ["Ranking", "Row", "Tab", "combinable", "rank"]

ROWS_SHOWN = 9  # and the rest: ten lines, so that panels beside each other are equally high


@dataclass(frozen=True, slots=True)
class Row:
    """`bar` is percent of the widest bar. `href` sets the filter; empty where no other panel could use it."""

    label: str
    title: str
    value: str
    share: str
    bar: float
    href: str
    rest: bool
    chosen: bool


@dataclass(frozen=True, slots=True)
class Tab:
    text: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class Ranking:
    key: str
    text: str
    column: str
    measured: str
    caption: str
    tabs: tuple[Tab, ...]
    rows: tuple[Row, ...]
    count: int
    more: str
    csv: str
    refused: str  # why this table cannot be shown under the filter
    trust: str


def rank(
    questions: Questions,
    group: Group,
    total: Callable[[str], float | None],
    limit: int = ROWS_SHOWN,
    text: str = "",
) -> Ranking:
    """The panel of `group` that the view shows. `total` is the figure that shares are of, by metric; `text` keeps
    only the rows that have it in them."""
    view = questions.view
    panel = panel_of(view.tab(group))
    # Filtered by its own dimension a panel shows all its values and marks the chosen one: that is how one changes it.
    own = view.filter is not None and view.filter.dimension == panel.dimension
    answer = questions.rows([panel.metric], [panel.dimension], view.period.span, filtered=not own)
    values = sorted(answer.by_value().items(), key=lambda item: (item[0] == OTHER, -(item[1] or 0), item[0]))
    say = view.language.say
    found = [item for item in values if text.casefold() in labelled(panel.dimension, item[0], view.language).casefold()]
    shown = [item for item in found if item[0] != OTHER][:limit] + [item for item in found if item[0] == OTHER]
    # Kinds of requests exclude each other, so their sum is the whole; one person is in many rows of pages.
    whole = None if own else sum(v or 0 for _, v in values) if panel.metric == "requests" else total(panel.metric)
    paired = view.filter is not None and not own
    if paired and answer.is_provisional and panel.metric != "requests":
        whole = _of_closed_days(questions, panel.metric, answer)
    scale = _Scale(max((value or 0 for _, value in shown), default=0), whole, view.language)
    rest = scale.share(dict(found).get(OTHER)) if dict(found).get(OTHER) else ""
    return Ranking(
        key=group.key,
        text=say(panel.text),
        column=say(panel.column),
        measured=say(METRIC_NAMES[panel.metric]),
        caption=say("{rows} by {metric}", rows=say(panel.text), metric=say(METRIC_NAMES[panel.metric]).lower()),
        tabs=tuple(_tab(view, group, each) for each in group.panels if each == panel or _offered(questions, each)),
        rows=tuple(_row(view, panel, value, figure, scale) for value, figure in shown),
        count=len(values),
        more=view.href("/list", of=panel.dimension) if len(values) > len(shown) else "",
        csv=view.href("/csv", of=panel.dimension),
        refused=_refusal(view) if answer.refused else "",
        trust="" if answer.refused else fine_print(view, answer, rest, paired=paired),
    )


def _of_closed_days(questions: Questions, metric: str, answer: Answer) -> float:
    """What rows of two dimensions are a share of: these exist of closed days alone, the card has today in it."""
    assert answer.meta is not None
    provisional = set(answer.meta["freshness"]["provisional_days"])
    days = questions.rows([metric], ["time:day"], questions.view.period.span).by_value()
    return sum(value or 0 for day, value in days.items() if day not in provisional)


def _offered(questions: Questions, panel: Panel) -> bool:
    span = questions.view.period.span
    return not panel.optional or bool(questions.rows([panel.metric], [panel.dimension], span, filtered=False).rows)


def _tab(view: View, group: Group, panel: Panel) -> Tab:
    return Tab(
        view.language.say(panel.text), view.with_tab(group, panel.dimension).href(), panel.dimension == view.tab(group)
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    """What a row's bar and share are of; `whole` None: no shares."""

    widest: float
    whole: float | None
    language: Language

    def bar(self, figure: float | None) -> float:
        return 100 * (figure or 0) / self.widest if self.widest else 0

    def share(self, figure: float | None) -> str:
        if not self.whole:
            return ""
        percent = 100 * (figure or 0) / self.whole
        return self.language.percent(percent, 1 if 0 < percent < 0.95 else 0)


def _row(view: View, panel: Panel, value: str, figure: float | None, scale: _Scale) -> Row:
    label, rest = labelled(panel.dimension, value, view.language), value == OTHER
    chosen = view.filter == Filter(panel.dimension, value)
    return Row(
        label=label,
        title=view.language.say(_REST) if rest else label,
        value=written(figure, "count", view.language),
        share=scale.share(figure),
        bar=scale.bar(figure),
        href="" if rest or not combinable(panel.dimension) else _filtered(view, panel.dimension, value, chosen),
        rest=rest,
        chosen=chosen,
    )


def combinable(dimension: str) -> bool:
    """Whether a filter on it leaves any other table."""
    return any(DIMENSIONS[dimension] in cube.dimensions for cube in declared_cubes().cubes if len(cube.dimensions) == 2)


def _refusal(view: View) -> str:
    assert view.filter is not None, "every panel is offered without a filter"
    column = view.language.say(panel_of(view.filter.dimension).column)
    return view.language.say("Not shown by {column}: together they would single people out.", column=column.lower())


_REST = N_("Everything that too few people share to be shown by itself")


def _filtered(view: View, dimension: str, value: str, chosen: bool) -> str:
    """A click on the chosen row takes the filter away."""
    return replace(view, filter=None if chosen else Filter(dimension, value)).href()
