"""A wide table: the values of one dimension, with several figures each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from services.runtime.web.languages import N_
from services.stats.dashboard.asking import Answer, Questions
from services.stats.dashboard.figures import Kind, written
from services.stats.dashboard.fine_print import fine_print
from services.stats.dashboard.panels import labelled
from services.stats.dashboard.rankings import Tab, combinable
from services.stats.dashboard.view import Filter, View
from services.stats.figures.cubes import OTHER

__all__ = ["EVENTS", "ROUTES", "ROWS_SHOWN", "TABLES", "Column", "Table", "TableRow", "Wide", "tabulate"]

ROWS_SHOWN = 15

Figures = Mapping[str, float | None]  # metric -> figure


@dataclass(frozen=True, slots=True)
class Column:
    metric: str
    text: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Wide:
    """Which table. `orders`: sort of the address -> (its name, the metrics that it puts the largest of first)."""

    key: str
    dimension: str
    text: str
    column: str
    columns: tuple[Column, ...]
    orders: Mapping[str, tuple[str, tuple[str, ...]]]


ROUTES = Wide(
    "routes",
    "event:page",
    N_("Pages and addresses"),
    N_("Page"),
    (
        Column("requests", N_("Requests"), "count"),
        Column("client_error_rate", N_("4xx"), "percent"),
        Column("error_rate", N_("5xx"), "percent"),
        Column("latency_p50", N_("p50"), "milliseconds"),
        Column("latency_p95", N_("p95"), "milliseconds"),
        Column("latency_p99", N_("p99"), "milliseconds"),
    ),
    {
        "": (N_("Most asked for"), ("requests",)),
        "slowest": (N_("Slowest"), ("latency_p95", "latency_p50")),
        "failing": (N_("Most failing"), ("error_rate", "client_error_rate")),
    },
)

EVENTS = Wide(
    "names",
    "event:name",
    N_("Application events"),
    N_("Event"),
    (Column("visitors", N_("Visitors"), "count"), Column("requests", N_("Times"), "count")),
    {"": (N_("Most visitors"), ("visitors",))},
)
TABLES = {wide.key: wide for wide in (ROUTES, EVENTS)}


@dataclass(frozen=True, slots=True)
class TableRow:
    label: str
    href: str
    figures: tuple[str, ...]
    rest: bool
    chosen: bool


@dataclass(frozen=True, slots=True)
class Table:
    """`columns` are those that are offered under the filter."""

    key: str
    text: str
    column: str
    columns: tuple[str, ...]
    orders: tuple[Tab, ...]
    rows: tuple[TableRow, ...]
    count: int
    more: str
    csv: str
    trust: str


def tabulate(questions: Questions, wide: Wide, limit: int = ROWS_SHOWN) -> Table:
    view, say = questions.view, questions.view.language.say
    found, columns, first = _figures(questions, wide)
    values = _ordered(found, wide.orders.get(view.sort, wide.orders[""])[1])
    shown = [value for value in values if value != OTHER][:limit] + [value for value in values if value == OTHER]
    return Table(
        key=wide.key,
        text=say(wide.text),
        column=say(wide.column),
        columns=tuple(say(column.text) for column in columns),
        orders=tuple(
            Tab(say(text), replace(view, sort=sort).href(), sort == view.sort)
            for sort, (text, _) in wide.orders.items()
        ),
        rows=tuple(_row(view, wide, value, found[value], columns) for value in shown),
        count=len(values),
        more=view.href(rows="all") if len(shown) < len(values) else "",
        csv=view.href("/csv", of=wide.key),
        trust=fine_print(view, first, _rest(found, columns, view), paired=_is_paired(view, wide)) if columns else "",
    )


def _is_paired(view: View, wide: Wide) -> bool:
    """Filtered by its own dimension a table shows all its values, and marks the chosen one."""
    return view.filter is not None and view.filter.dimension != wide.dimension


def _rest(found: Mapping[str, Figures], columns: Sequence[Column], view: View) -> str:
    """The share of (other) in the first column, where that is a count of things that exclude each other."""
    counted = {value: figures.get(columns[0].metric) or 0 for value, figures in found.items()}
    if columns[0].metric != "requests" or not counted.get(OTHER):
        return ""
    return view.language.percent(100 * counted[OTHER] / sum(counted.values()))


def _figures(questions: Questions, wide: Wide) -> tuple[dict[str, dict[str, float | None]], list[Column], Answer]:
    """By value; the columns that are offered: each is asked for by itself, because under a filter few are; and an
    answer that says how fresh it is."""
    found: dict[str, dict[str, float | None]] = {}
    columns, told = [], Answer()
    paired = _is_paired(questions.view, wide)
    for column in wide.columns:
        answer = questions.rows([column.metric], [wide.dimension], questions.view.period.span, filtered=paired)
        if not answer.refused:
            columns.append(column)
            told = answer
            for value, figure in answer.by_value().items():
                found.setdefault(value, {})[column.metric] = figure
    return found, columns, told


def _ordered(found: Mapping[str, Figures], metrics: Sequence[str]) -> list[str]:
    """The largest first, by the first metric that a value has; ties by what is asked for most, then by name."""

    def place(value: str) -> tuple[object, ...]:
        figures = found[value]
        wanted = [-(figures.get(metric) or 0) for metric in (*metrics, "requests")]
        return (*wanted, value)

    return sorted(found, key=place)


def _row(view: View, wide: Wide, value: str, figures: Figures, columns: Sequence[Column]) -> TableRow:
    chosen = view.filter == Filter(wide.dimension, value)
    only = replace(view, filter=None if chosen else Filter(wide.dimension, value))
    return TableRow(
        label=labelled(wide.dimension, value, view.language),
        href="" if value == OTHER or not combinable(wide.dimension) else only.href(),
        figures=tuple(written(figures.get(column.metric), column.kind, view.language) for column in columns),
        rest=value == OTHER,
        chosen=chosen,
    )
