"""The canaries of the audit: a visitor that uses the bounds to the full, and one that goes far beyond them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property

import numpy as np
import polars as pl

from services.runtime.clickhouse import Analytics
from services.stats.days.states import TenantDay
from services.stats.releases.catalogues import Catalogue

__all__ = ["CANARIES", "Canary", "put_canaries", "tenants_of"]

DAY = date(2026, 1, 1)  # any day: the store is empty and thrown away
_CANARY, _OTHER = 2, 1  # visitors
_PLACES = (("FR", "desktop"), ("BE", "mobile"), ("CH", "tablet"))
_CLASSES = (("direct",), ("search",), ("social",))
_MILLISECONDS = {("10",): 5, ("1000",): 700, ("more",): 99_999}
_FILLED = {"page_view": 1, "bot_class": "human", "late": 0, "kind": "event", "ingest_day": DAY, "event_day": DAY}
_TYPES = {"visitor": pl.UInt64, "page_view": pl.UInt8, "late": pl.UInt8, "duration_ms": pl.Int64}


@dataclass(frozen=True)
class Canary:
    """`routes` pages, each `views` times from each of `places` places, so that its answers are of as many classes."""

    name: str
    routes: int
    views: int
    places: int

    @cached_property
    def catalogues(self) -> Mapping[str, Catalogue]:
        """Small ones: the sampler's cost goes with the cells, and what nobody is in tells the attacker nothing."""
        return {
            "visitors_by_route": Catalogue(tuple((route,) for route in self.paths)),
            "visitors": Catalogue(((),)),
            "page_views": Catalogue(((),)),
            "visitors_by_country_and_device": Catalogue(_PLACES[: self.places]),
            "visitors_by_referrer_class": Catalogue(_CLASSES[: self.places]),
            "requests_by_latency_class": Catalogue(tuple(_MILLISECONDS)[: self.places]),
        }

    def weights(self, measure: str) -> np.ndarray:
        """What it would add to each cell if nothing bounded it."""
        adds = float(self.routes * self.views * self.places) if measure == "page_views" else 1.0
        return np.full(len(self.catalogues[measure].keys), adds)

    def others(self, measure: str) -> np.ndarray:
        """What the one other visitor of the tenant adds: the first page, once."""
        return np.array([1, *[0] * (len(self.catalogues[measure].keys) - 1)])

    @property
    def paths(self) -> Sequence[str]:
        return [f"/page/{number:02}" for number in range(self.routes)]

    @property
    def accesses(self) -> list[dict[str, object]]:
        return [
            {"visitor": _CANARY, "route": route, **_place(number)}
            for route in self.paths
            for number in range(self.places)
            for _ in range(self.views)
        ]


CANARIES = (
    Canary("to the bounds", routes=15, views=4, places=1),
    Canary("beyond the bounds", routes=30, views=3, places=3),
)


def tenants_of(canary: Canary, count: int) -> list[TenantDay]:
    return [TenantDay(f"{canary.name} {number}", DAY) for number in range(count)]


def put_canaries(analytics: Analytics, canary: Canary, there: np.ndarray) -> None:
    """Events of one tenant for each of `there`, which says where the canary is; another visitor is everywhere."""
    tenants = pl.DataFrame({"tenant": [pair.tenant for pair in tenants_of(canary, there.size)], "there": there})
    other = {"visitor": _OTHER, "route": canary.paths[0], **_place(0)}
    for who, accesses in ((pl.lit(True), [other]), (pl.col("there"), canary.accesses)):
        rows = pl.DataFrame([{**_FILLED, **access} for access in accesses], schema_overrides=_TYPES)
        analytics.insert("events", tenants.filter(who).drop("there").join(rows, how="cross"))


def _place(number: int) -> dict[str, object]:
    country, device = _PLACES[number]
    return {
        **{"time": datetime(2026, 1, 1, 9, tzinfo=UTC), "country": country, "device": device},
        **{"referrer_class": _CLASSES[0][0], "duration_ms": list(_MILLISECONDS.values())[number]},
    }
