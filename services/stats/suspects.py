"""Bots that say nothing: visitors that behave as programs do, each with a reason from a closed list.

Decided from a visitor's whole day, so when the day closes and in each snapshot; the rows stay, under another class.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from services.runtime.clickhouse import Analytics, sql

__all__ = ["REASONS", "find_suspected", "thresholds"]

REASONS = (
    "asked for robots.txt",
    "looked for weaknesses",
    "only HEAD requests",
    "only errors",
    "a page every two seconds",
    "800 pages in a day",
    "never followed a link",
)
_SQL = "services.stats.sql"


@cache
def thresholds() -> Mapping[str, Any]:
    """The content of `suspects.toml`: the parameters of `sql/make_suspects.sql`."""
    return tomllib.loads(resources.files("services.stats").joinpath("suspects.toml").read_text("utf-8"))


def find_suspected(analytics: Analytics, suspects: str, pairs: str, objected: str) -> bool:
    """Fills the table `suspects` (tenant, day, visitor, reason) from the events of the days in the table `pairs`,
    without the visitors in `objected`. Returns whether there is any."""
    names = {"suspects": suspects, "pairs": pairs, "objected": objected}
    analytics.command(sql(_SQL, "make_suspects"), {**names, **thresholds(), "reasons": list(REASONS)})
    return bool(
        analytics.frame("SELECT count() > 0 AS found FROM {suspects:Identifier}", {"suspects": suspects})["found"][0]
    )
