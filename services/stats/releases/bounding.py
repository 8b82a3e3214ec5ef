"""Contributions of each visitor, cut to the bounds and proved to be within them before anything is drawn.

One pass over the events of all the days that are drawn together: their bounded cells go into a table in memory, the
assertion is computed on that table, and the sums are read from that same table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import polars as pl

from services.runtime.clickhouse import Analytics, sql
from services.runtime.errors import Fatal
from services.stats.days.states import TenantDay
from services.stats.releases.catalogues import Catalogue, fixed_names
from services.stats.releases.noise import Vectors
from services.stats.releases.split import Split

__all__ = ["Catalogues", "Secret", "bounded_sums"]

_SQL = "services.stats.releases.sql"
_PAIRS, _ROUTES, _BOUNDED, _NOBODY = "release_pairs", "release_routes", "release_bounded", "release_nobody"

Catalogues = Mapping[TenantDay, Mapping[str, Catalogue]]  # day -> measure -> its cells


class Secret(NamedTuple):
    """128 random bits that choose which cells of a visitor are kept; of one bounding, and then forgotten."""

    first: int
    second: int

    @classmethod
    def of(cls, random: bytes) -> Secret:
        return cls(int.from_bytes(random[:8]), int.from_bytes(random[8:16]))


def bounded_sums(
    analytics: Analytics, split: Split, catalogues: Catalogues, secret: Secret, objected: str | None = None
) -> dict[TenantDay, Vectors]:
    """Day -> measure -> exact bounded sums of its human visitors, in the order of the catalogue; 0 where nobody was.

    The sums are confidential: only `noise.draw` may take them. `objected`: a table of (tenant, day, visitor) that are
    not counted. Raises `Fatal` when one visitor adds more than `split` allows, and nothing is returned.
    """
    with _working_tables(analytics):
        _put_catalogues(analytics, catalogues)
        analytics.command(sql(_SQL, "no_objectors"), {"table": _NOBODY})
        analytics.command(sql(_SQL, "bounded_units"), _parameters(split, secret, objected or _NOBODY))
        _refuse_unbounded(analytics.frame(sql(_SQL, "check_bounds"), {"bounded": _BOUNDED}), split)
        sums = analytics.frame(sql(_SQL, "bounded_sums"), {"bounded": _BOUNDED})
    return _vectors(sums, catalogues)


@contextmanager
def _working_tables(analytics: Analytics) -> Iterator[None]:
    try:
        yield
    finally:
        for name in (_PAIRS, _ROUTES, _BOUNDED, _NOBODY):
            analytics.command("DROP TABLE IF EXISTS {table:Identifier} SYNC", {"table": name})


def _put_catalogues(analytics: Analytics, catalogues: Catalogues) -> None:
    """Whose days, and the routes that count on each."""
    pairs = [tuple(pair) for pair in catalogues]
    routes = [
        (*pair, route)
        for pair, measures in catalogues.items()
        for (route,) in (measures["visitors_by_route"].keys if "visitors_by_route" in measures else ())
    ]
    schema: dict[str, pl.DataType] = {"tenant": pl.String(), "day": pl.Date()}
    for table, rows, columns in ((_PAIRS, pairs, schema), (_ROUTES, routes, schema | {"route": pl.String()})):
        analytics.command(sql(_SQL, f"make_{table}"), {"table": table})
        if rows:
            analytics.insert(table, pl.DataFrame(rows, schema=columns, orient="row"))


def _parameters(split: Split, secret: Secret, objected: str) -> dict[str, object]:
    names = fixed_names()
    latency = names["latency_class"]
    return {
        **{"bounded": _BOUNDED, "pairs": _PAIRS, "routes": _ROUTES, "objected": objected},
        **{"secret_1": secret.first, "secret_2": secret.second},
        "routes_max": split["visitors_by_route"].cells_max,
        "places_max": split["visitors_by_country_and_device"].cells_max,
        "page_views_max": split["page_views"].contribution_max,
        "countries": list(names["country"]),
        "devices": list(names["device"]),
        "referrer_classes": list(names["referrer_class"]),
        "latency_classes": list(latency),
        "latency_ms": [int(bound) for bound in latency[:-1]],
    }


def _refuse_unbounded(seen: pl.DataFrame, split: Split) -> None:
    """`seen`: measure -> the most cells of one visitor, and the most and the least it adds to one cell."""
    bounds = {measure.name: measure for measure in split.measures}
    for row in seen.to_dicts():
        bound = bounds.get(row["measure"])
        if bound is None:
            raise Fatal("A measure that the split does not draw was bounded; nothing was drawn. Report this defect.")
        within = row["cells_seen_max"] <= bound.cells_max and row["contribution_seen_max"] <= bound.contribution_max
        if not within or row["contribution_seen_min"] < 0:
            raise Fatal(
                f"A visitor adds more to {bound.name} than the release bounds allow; nothing was drawn. "
                "Report this defect: the day's figures stay, its release waits."
            )


def _vectors(sums: pl.DataFrame, catalogues: Catalogues) -> dict[TenantDay, Vectors]:
    vectors = {
        pair: {name: [0] * len(catalogue.keys) for name, catalogue in measures.items()}
        for pair, measures in catalogues.items()
    }
    for tenant, day, measure, key1, key2, value in sums.iter_rows():
        catalogue = catalogues[TenantDay(tenant, day)][measure]
        place = catalogue.places.get((key1, key2)[: len(catalogue.keys[0])])
        if place is None:
            raise Fatal(f"A cell of {measure} is in no catalogue; nothing was drawn. Report this defect.")
        vectors[TenantDay(tenant, day)][measure][place] = int(value)
    return vectors  # type: ignore[return-value]  # a dict of lists is a mapping of sequences
