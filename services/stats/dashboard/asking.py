"""Questions to the published figures, the way the query API takes them, for one `View`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.stats.dashboard.periods import Span
from services.stats.dashboard.view import View
from services.stats.queries.errors import QueryError

__all__ = ["Answer", "Ask", "Questions"]

# The query API for one person's tenants. Raises `QueryError` for what is not offered.
Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Answer:
    """`rows`: (dimension values, metric values); `refused` says why there are none."""

    rows: Sequence[tuple[tuple[str, ...], tuple[float | None, ...]]] = ()
    meta: Mapping[str, Any] | None = None
    refused: QueryError | None = None

    @property
    def is_provisional(self) -> bool:
        """Whether the span has days that may still change."""
        return bool(self.meta and self.meta["freshness"]["provisional_days"])

    def by_value(self) -> dict[str, float | None]:
        """The first metric by the first dimension."""
        return {dimensions[0]: metrics[0] for dimensions, metrics in self.rows}


@dataclass(frozen=True, slots=True)
class Questions:
    """Asks for `view`'s tenant, days and filter."""

    ask: Ask
    view: View

    def rows(
        self, metrics: Sequence[str], dimensions: Sequence[str], span: Span | None, filtered: bool = True
    ) -> Answer:
        """One query; a refusal becomes an `Answer` that says why, because a page shows the rest all the same."""
        if span is None:
            return Answer()
        try:
            answer = self.ask(self.request(metrics, dimensions, span, filtered))
        except QueryError as error:
            return Answer(refused=error)
        rows = [(tuple(map(str, row["dimensions"])), tuple(row["metrics"])) for row in answer["results"]]
        return Answer(rows, answer["meta"])

    def figures(self, metrics: Sequence[str], span: Span | None) -> dict[str, float | None]:
        """Each metric over all of `span`; one that is not offered under this filter is left out."""
        together = self.rows(metrics, [], span)
        if not together.refused:
            return dict(zip(metrics, together.rows[0][1], strict=True))
        if len(metrics) == 1:
            return {}
        return {name: value for metric in metrics for name, value in self.figures([metric], span).items()}

    def request(
        self, metrics: Sequence[str], dimensions: Sequence[str], span: Span, filtered: bool = True
    ) -> dict[str, Any]:
        only = self.view.filter if filtered else None
        return {
            "site_id": self.view.tenant,
            "metrics": list(metrics),
            "date_range": [span.first.isoformat(), span.last.isoformat()],
            "dimensions": list(dimensions),
            "filters": [["is", only.dimension, [only.value]]] if only else [],
        }
