"""Who is in which cell, made up without a store: the input of the disclosure rule."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

import polars as pl

from services.stats.figures.cubes import Cube, Measure
from services.stats.figures.disclosure import STRICT, DayKeys, Rule, publish

DAY = date(2026, 11, 2)
TENANT = "harbour"
VISITORS = Measure("visitors", "people")
TOTAL = Cube("total", (), "people", (VISITORS,), None)
SINGLE = Cube("country", ("country",), "people", (VISITORS,), 50)
PAIR = Cube("country*device", ("country", "device"), "people", (VISITORS,), 50)


class Person(NamedTuple):
    """One visitor in one cell; `dim2` stays empty in singles."""

    visitor: int
    dim1: str = ""
    dim2: str = ""
    network: int | None = None
    account: int = 0


def key_of(number: int) -> bytes:
    """One of many day keys."""
    return number.to_bytes(32, "big")


def keys_of(number: int = 1) -> DayKeys:
    return {(TENANT, DAY): key_of(number)}


def people(persons: Iterable[Person]) -> pl.DataFrame:
    rows = [
        (TENANT, DAY, p.dim1, p.dim2, p.visitor, p.visitor if p.network is None else p.network, p.account)
        for p in persons
    ]
    schema = {
        "tenant": pl.String(), "day": pl.Date(), "dim1": pl.String(), "dim2": pl.String(),
        "visitor": pl.UInt64(), "network": pl.UInt16(), "account": pl.UInt64(),
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def crowd(count: int, dim1: str = "", dim2: str = "", first: int = 1) -> list[Person]:
    """`count` visitors, each on a network of its own."""
    return [Person(n, dim1, dim2) for n in range(first, first + count)]


def shown(persons: Iterable[Person], cube: Cube, key: int = 1, rule: Rule = STRICT) -> dict[tuple[str, str], int]:
    """(dim1, dim2) -> published visitors."""
    cells = publish(people(persons), cube, keys_of(key), rule)
    visitors = cells.filter(pl.col("measure") == "visitors")
    return {(d1, d2): value for d1, d2, value in visitors.select("dim1", "dim2", "value").iter_rows()}
