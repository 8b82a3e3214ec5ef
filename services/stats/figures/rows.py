"""The gathered rows: with numbers for names, because the engine groups by numbers at half the cost of text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from string import Template

import polars as pl

from services.runtime.clickhouse import Analytics, sql
from services.stats.store import SQL

__all__ = ["OTHER", "UNNAMED", "Rows", "number_names"]

OTHER = "(other)"  # the row that takes in what may not stand alone; no value of an event can be called so
UNNAMED = "(unknown)"
_NAMED = ("tenant", "dim1", "dim2")


@dataclass(frozen=True, slots=True)
class Rows:
    """`table` holds the rows, `names_table` (name, number) numbers their names for the engine, `names` are those by
    number. `timed`: some row has a duration.

    Number 0 is "", for a dimension that a cube has not; an event's "" and "(other)" have the number of "(unknown)".
    """

    table: str
    names_table: str
    names: pl.Series
    timed: bool

    def put_names(self, cells: pl.DataFrame) -> pl.DataFrame:
        """`cells` with names where the numbers of tenant, dim1 and dim2 stood."""
        return cells.with_columns(self.names.gather(cells[column]).alias(column) for column in _NAMED)

    def put_numbers(self, cells: pl.DataFrame) -> pl.DataFrame:
        """The other way round."""
        numbers = pl.int_range(self.names.len(), dtype=pl.UInt32, eager=True)
        return cells.with_columns(pl.col(column).replace_strict(self.names, numbers) for column in _NAMED)


def number_names(analytics: Analytics, table: str, names_table: str, dimensions: Iterable[str]) -> Rows:
    """Fills `names_table` with the names of all tenants and `dimensions` (SQL) of the gathered `table`. Tenants come
    first, so that their numbers fit into 16 bits."""
    found = ["", UNNAMED]
    for expression in ("tenant", *dimensions):
        query = Template(sql(SQL, "distinct_names")).substitute(dimension=expression)
        found += analytics.frame(query, {"rows": table})["name"].to_list()
    names = pl.Series("name", list(dict.fromkeys(found)), dtype=pl.String)
    numbers = pl.int_range(names.len(), dtype=pl.UInt32, eager=True).alias("number")
    analytics.command(sql(SQL, "make_names"), {"table": names_table})
    analytics.insert(names_table, pl.DataFrame([names, numbers.set(names.is_in(["", OTHER]), 1)]))
    timed = bool(analytics.frame(sql(SQL, "any_duration"), {"rows": table})["timed"][0])
    return Rows(table, names_table, names, timed)
