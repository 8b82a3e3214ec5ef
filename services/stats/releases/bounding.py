"""Contributions of each visitor, cut to the bounds and proved to be within them before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from services.runtime.clickhouse import Analytics, sql
from services.runtime.errors import Fatal
from services.stats.releases.split import Measure, Split

__all__ = ["bounded_sums"]

_SQL = "services.stats.releases.sql"


def bounded_sums(analytics: Analytics, split: Split, tenant: str, day: date) -> dict[str, int]:
    """Measure -> exact bounded sum of the tenant's human visitors that day; 0 where nobody was.

    The sums are confidential: only `noise.draw` may take them. Raises `Fatal` when one visitor
    adds more than `split` allows, and nothing is returned.
    """
    bounds = {m.name: m for m in split.drawn}
    parameters = {"tenant": tenant, "day": day, "page_views_max": bounds["page_views"].contribution_max}
    _refuse_unbounded(_bounded(analytics, "check_bounds", parameters), bounds)
    sums = {row["measure"]: int(row["value"]) for row in _bounded(analytics, "bounded_sums", parameters)}
    return {name: sums.get(name, 0) for name in bounds}


def _bounded(analytics: Analytics, query: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    text = f"WITH bounded AS (\n{sql(_SQL, 'bounded_units')})\n{sql(_SQL, query)}"
    return analytics.frame(text, parameters).to_dicts()


def _refuse_unbounded(seen: list[dict[str, Any]], bounds: Mapping[str, Measure]) -> None:
    for row in seen:
        bound = bounds.get(row["measure"])
        if bound is None:
            raise Fatal("A measure that the split does not draw was bounded; nothing was drawn. Report this defect.")
        within = row["cells_seen_max"] <= bound.cells_max and row["contribution_seen_max"] <= bound.contribution_max
        if not within or row["contribution_seen_min"] < 0:
            raise Fatal(
                f"A visitor adds more to {bound.name} than the release bounds allow; nothing was drawn. "
                "Report this defect: the day's figures stay, its release waits."
            )
