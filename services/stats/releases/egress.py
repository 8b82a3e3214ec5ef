"""The last gate before a package is signed: it holds the declared files, columns and keys, and nothing else.

It reads the finished bytes again, as a partner would, and knows nothing of how they were made.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from datetime import date

import polars as pl

from services.runtime.errors import Fatal
from services.stats.releases.contents import REASONS
from services.stats.releases.names import written
from services.stats.releases.period import Period
from services.stats.releases.tables import DTYPES, OBS_STATUS, Table

__all__ = ["DOCUMENTS", "check_egress"]

DOCUMENTS = frozenset({"README.md", "privacy.json", "datapackage.json", "dcat.jsonld"})


def check_egress(
    files: Mapping[str, bytes], period: Period, tables: Collection[Table], names: Mapping[str, Collection[str]]
) -> None:
    """`names`: column of names -> those that were declared. Raises `Fatal` when something is there that was not
    declared; nothing is signed then."""
    declared = DOCUMENTS | {f"{table.name}.{kind}" for table in tables for kind in ("csv", "parquet")}
    _require(files.keys() == declared, "a file")
    for table in tables:
        as_csv, as_parquet = read_csv(files[f"{table.name}.csv"], table), read_parquet(files[f"{table.name}.parquet"])
        _require(dict(as_parquet.schema) == {n: DTYPES[t] for n, t in table.columns.items()}, "a column")
        _require(as_csv.equals(as_parquet), "a difference between CSV and Parquet")
        for column in names.keys() & as_csv.columns:
            _require(set(as_csv[column]) <= {written(column, name) for name in names[column]}, f"a {column}")
        _require(_texts(as_csv, "obs_status") <= OBS_STATUS.keys(), "a status")
        _require(_texts(as_csv, "period") <= {period.interval}, "a period")
        _require(_texts(as_csv, "reason") <= REASONS, "a reason")
        _require(not any(as_csv.null_count().row(0)), "an empty cell")
        _require(_days(as_csv) <= set(period.days), "a day")


def read_csv(data: bytes, table: Table) -> pl.DataFrame:
    """The frame of the declared columns. Raises `Fatal` when the header is another."""
    header = data.split(b"\n", 1)[0].decode("utf-8", "replace").split(",")
    _require(header == list(table.columns), "a column")
    return pl.read_csv(io.BytesIO(data), schema={name: DTYPES[kind] for name, kind in table.columns.items()})


def read_parquet(data: bytes) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(data))


def _days(frame: pl.DataFrame) -> set[date]:
    return set(frame["day"]) if "day" in frame.columns else set()


def _texts(frame: pl.DataFrame, column: str) -> set[str]:
    return set(frame[column]) if column in frame.columns else set()


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise Fatal(f"The package would hold {what} that is not declared; it was not signed. Report this defect.")
