"""The campaign a link belongs to: `utm_source`, `utm_medium`, `utm_campaign`, of tenants that opted in, others never.

Whoever writes a link chooses these words, and may have put a recipient's address or number into them; so they are
judged like a path's segments, and what could identify becomes a placeholder.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from urllib.parse import unquote_plus

import polars as pl

from services.stats.counting.routes import placeholder_of
from services.stats.tenants.registry import Tenants

__all__ = ["UTM", "Campaigns"]

UTM = ("utm_source", "utm_medium", "utm_campaign")
VALUES_KEPT_MAX = 10_000  # distinct values remembered; a tenant has some dozen campaigns
# A year, perhaps with a month or a day: campaigns are called so, and it is nobody's number.
_YEAR = re.compile(r"(?<!\d)(19|20)\d\d([-_.]?(0[1-9]|1[0-2])([-_.]?(0[1-9]|[12]\d|3[01]))?)?(?!\d)")
_BETWEEN = re.compile(r"[\s/|+:,]+")


class Campaigns:
    """Reads the parameters that `ingest.query_parameters` let through."""

    def __init__(self, tenants: Tenants) -> None:
        self._tenants = tenants
        self._shown = lru_cache(VALUES_KEPT_MAX)(shown)

    def put_campaign(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Adds the columns `UTM` ("": none) from `query` and `tenant`."""
        opted = [tenant.id for tenant in self._tenants.all() if tenant.campaigns]
        if not opted or frame["query"].null_count() == frame.height:
            return frame.with_columns(pl.lit("").alias(name) for name in UTM)
        query = pl.when(pl.col("tenant").is_in(opted)).then("query")
        raw = frame.with_columns(query.str.extract(rf"(?:^|&){name}=([^&]*)").alias(name) for name in UTM)
        return raw.with_columns(self._classified(raw[name]) for name in UTM)

    def _classified(self, values: pl.Series) -> pl.Series:
        distinct = values.drop_nulls().unique()
        found = pl.Series([self._shown(value) for value in distinct.to_list()], dtype=pl.String)
        return values.replace_strict(distinct, found, default="", return_dtype=pl.String)


def shown(value: str) -> str:
    """What is kept of one parameter's value: lower case, words joined by `-`, or a placeholder. A dot between words is
    first name and surname here, as in paths."""
    text = unicodedata.normalize("NFKC", unquote_plus(value)).strip()
    text = _BETWEEN.sub("-", text).strip("-")
    dotted = "." in text.strip(".")
    placeholder = placeholder_of(_YEAR.sub("", text) or "a")
    return placeholder or ("{name}" if dotted else text.lower())
