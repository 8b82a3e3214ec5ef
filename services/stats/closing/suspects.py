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
from services.stats.store import SQL

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


@cache
def thresholds() -> Mapping[str, Any]:
    """The content of `suspects.toml`: the parameters of `sql/make_habits.sql` and `sql/make_suspects.sql`."""
    return tomllib.loads(resources.files(__package__).joinpath("suspects.toml").read_text("utf-8"))


def find_suspected(analytics: Analytics, tables: Mapping[str, str]) -> bool:
    """Fills the table `suspects` (tenant, day, visitor, reason) from the events of the days in the table `pairs`,
    without the visitors in `objected`; `habits` is filled on the way. Returns whether there is any."""
    for statement in ("make_habits", "make_suspects"):
        analytics.command(sql(SQL, statement), {**tables, **thresholds(), "reasons": list(REASONS)})
    count = "SELECT count() > 0 AS found FROM {suspects:Identifier}"
    return bool(analytics.frame(count, {"suspects": tables["suspects"]})["found"][0])
