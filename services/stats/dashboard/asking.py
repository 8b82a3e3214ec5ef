"""Questions to the published figures, the way the query API takes them, for one `View`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.stats.dashboard.periods import Span
from services.stats.dashboard.view import View
from services.stats.queries import QueryError

__all__ = ["Answer", "Ask", "Questions"]

Ratio = Mapping[str, float | None]


class Ask(Protocol):
    """The query API for one person's tenants. Raises `QueryError` for what is not offered."""

    def __call__(self, request: Mapping[str, Any]) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """`rows`: (dimension values, metric values); `refused` says why there are none."""

    rows: Sequence[tuple[tuple[str, ...], tuple[float | None, ...]]] = ()
    meta: Mapping[str, Any] | None = None
    refused: str = ""

    def by_value(self) -> dict[str, float | None]:
        """The first metric by the first dimension."""
        return {dimensions[0]: metrics[0] for dimensions, metrics in self.rows}


@dataclass(frozen=True, slots=True)
class Questions:
    """Asks for `view`'s tenant, days and filter."""

    ask: Ask
    view: View

    def rows(self, metrics: Sequence[str], dimensions: Sequence[str], span: Span | None, filtered: bool = True) -> Answer:
        """One query; a refusal becomes an `Answer` that says why, because a page shows the rest all the same."""
        if span is None:
            return Answer()
        try:
            answer = self.ask(self._request(metrics, dimensions, span, filtered))
        except QueryError as error:
            return Answer(refused=str(error))
        rows = [(tuple(map(str, row["dimensions"])), tuple(row["metrics"])) for row in answer["results"]]
        return Answer(rows, answer["meta"])

    def figures(self, metrics: Sequence[str], span: Span | None) -> dict[str, float | None]:
        """Each metric over all of `span`; one that is not offered under this filter is left out."""
        found: dict[str, float | None] = {}
        for metric in metrics:
            answer = self.rows([metric], [], span)
            if not answer.refused:
                found[metric] = answer.rows[0][1][0] if answer.rows else None
        return found

    def _request(
        self, metrics: Sequence[str], dimensions: Sequence[str], span: Span, filtered: bool
    ) -> dict[str, Any]:
        only = self.view.filter if filtered else None
        return {
            "site_id": self.view.tenant,
            "metrics": list(metrics),
            "date_range": [span.first.isoformat(), span.last.isoformat()],
            "dimensions": list(dimensions),
            "filters": [["is", only.dimension, [only.value]]] if only else [],
        }
