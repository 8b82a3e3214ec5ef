"""Where a client is: a country, from tables of the regional registries that are compiled into `iptocc`."""

from __future__ import annotations

from importlib.metadata import version

import iptocc
import polars as pl

from services.stats.distinct import put_per_distinct

__all__ = ["UNKNOWN", "put_country", "version_of_countries"]

UNKNOWN = "ZZ"  # ISO 3166-1 keeps ZZ for private use; CLDR gives it to "unknown region"


def put_country(frame: pl.DataFrame) -> pl.DataFrame:
    """Adds `country`, ISO 3166-1 alpha-2 or `ZZ`, from `client_address`."""
    return put_per_distinct(frame, ["client_address"], _put_countries)


def version_of_countries() -> str:
    return version("iptocc")


def _put_countries(distinct: pl.DataFrame) -> pl.DataFrame:
    addresses = distinct["client_address"].fill_null("").to_list()
    found = pl.Series("country", iptocc.country_code(addresses), dtype=pl.String)
    return distinct.with_columns(found.fill_null(UNKNOWN))
