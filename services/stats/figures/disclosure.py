"""The disclosure rule: which figures may be shown, and how. Every output of the statistics plane goes through here.

A cell needs at least K + h visitors, and K networks or K accounts. What needs help joins `(other)`, which takes in the
next smallest row until it passes itself. Values are told as 5 * floor((n + u) / 5). h and u are in 0..4 and keyed by
(day's key, cell, measure): asking again changes nothing, and nobody without the key can calibrate fakes against them.

Pairs are guarded along both dimensions: whoever knows the single's row and adds up the pair's rows must not be left
with a few people. So the hidden part of every row and of every column passes the rule too, or the row gives up more.

Pure functions on columns; no store, no clock, no randomness.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NewType

import polars as pl

from services.stats.figures.cubes import OTHER, Cube

__all__ = [
    "KEYS",
    "NOISE",
    "PUBLISHED",
    "ROUNDING",
    "THRESHOLD",
    "DayKeys",
    "PeopleOf",
    "PublishedCells",
    "Rule",
    "noise",
    "publish",
    "publish_sums",
    "retold",
    "rounded",
    "together",
]

THRESHOLD = 10  # k: visitors, and networks or accounts
ROUNDING = 5  # values are multiples of it
NOISE = 5  # h and u are in 0..NOISE-1


DayKeys = Mapping[tuple[str, date], bytes]
PeopleOf = Callable[[pl.DataFrame], pl.DataFrame]  # cells (KEYS) -> one row a (cell, visitor) in them
KEYS = ("tenant", "day", "dim1", "dim2")
PUBLISHED: Mapping[str, pl.DataType] = {
    "tenant": pl.String(),
    "day": pl.Date(),
    "cube": pl.String(),
    "dim1": pl.String(),
    "dim2": pl.String(),
    "measure": pl.String(),
    "value": pl.Int64(),
}
# Columns PUBLISHED. What keeps, writes and shows cells takes this type, and only this module makes it of figures:
# the type checker, and tests/privacy/test_one_rule.py, hold every output to the rule.
PublishedCells = NewType("PublishedCells", pl.DataFrame)
_GATE = "threshold"  # the "measure" that h is keyed by


@dataclass(frozen=True, slots=True)
class Rule:
    """The numbers of the rule; only tests and attacks use others than the default."""

    threshold: int = THRESHOLD
    margin: int = NOISE
    networks: bool = True
    complete: bool = True  # hide a second row where hiding one would give it away
    keyed_by_measure: bool = True


STRICT = Rule()


def publish(people: pl.DataFrame, cube: Cube, keys: DayKeys, rule: Rule = STRICT) -> PublishedCells:
    """The rows of `cube` that may be shown, one a measure (`PUBLISHED`), from one row a (cell, visitor).

    A (tenant, day) without a key in `keys` gets nothing.
    """
    return publish_sums(
        _sum_cells(people, KEYS, cube), lambda cells: people.join(cells, on=KEYS, how="semi"), cube, keys, rule
    )


def publish_sums(
    sums: pl.DataFrame, people_of: PeopleOf, cube: Cube, keys: DayKeys, rule: Rule = STRICT
) -> PublishedCells:
    """As `publish`, from the exact sums of the cells (`cubes.cell_sums`).

    Who is in a cell matters only where cells merge into `(other)`; `people_of` is asked for those alone.
    """
    known = sums.join(_known(keys), on=["tenant", "day"], how="semi")
    cells = _with_gate(known, cube, keys, rule).with_row_index("cell")
    if not cube.dimensions or cells["passes"].all():
        return rounded(cells.filter("passes"), cube, keys, rule)
    hidden = _Hidden(cells, people_of)
    hidden.add(cells.filter(~pl.col("passes"))["cell"].to_list())
    while True:
        merged = [_sum_cells(_without_names(hidden.people, fixed, cube), KEYS, cube) for fixed in _directions(cube)]
        slices = [_with_gate(others, cube, keys, rule) for others in merged]
        more = _next_smallest(cells, hidden.cells, slices, cube) if rule.complete else set()
        if not more:
            break
        hidden.add(more)
    shown = cells.filter(~pl.col("cell").is_in(list(hidden.cells))).drop("cell")
    others = [s.filter("passes").select(shown.columns) for s in slices]
    return rounded(pl.concat([shown, *others]), cube, keys, rule)


class _Hidden:
    """The cells that lose their name, and everybody in them."""

    def __init__(self, cells: pl.DataFrame, people_of: PeopleOf) -> None:
        self._named, self._people_of = cells, people_of
        self._people: list[pl.DataFrame] = []
        self.cells: set[int] = set()

    @property
    def people(self) -> pl.DataFrame:
        return pl.concat(self._people)

    def add(self, more: Iterable[int]) -> None:
        new = sorted(set(more) - self.cells)
        self.cells |= set(new)
        self._people.append(self._people_of(self._named.filter(pl.col("cell").is_in(new)).select(KEYS)))


def rounded(cells: pl.DataFrame, cube: Cube, keys: DayKeys, rule: Rule = STRICT) -> PublishedCells:
    """Long form, each value a multiple of 5 (of the measure's unit): 5 * floor((n + u) / 5)."""
    units = {m.name: m.unit for m in cube.measures}
    people = cube.measured("people") or ["visitors"]
    long = (
        cells.rename({"people": people[0]})
        .unpivot(list(units), index=list(KEYS), variable_name="measure", value_name="exact")
        .with_columns(cube=pl.lit(cube.name))
    )
    u = noise(long, keys, "measure" if rule.keyed_by_measure else None)
    unit = pl.col("measure").replace_strict(units, return_dtype=pl.Int64)
    value = (pl.col("exact").cast(pl.Int64) // unit + u) // ROUNDING * ROUNDING * unit
    shown = long.with_columns(value=value).select(list(PUBLISHED))
    return PublishedCells(shown.cast(dict(PUBLISHED)))  # type: ignore[arg-type]  # polars' stubs take no mapping of types


def together(frames: Iterable[PublishedCells]) -> PublishedCells:
    """The cells of several cubes or days in one frame; none at all is an empty one."""
    return PublishedCells(pl.concat([pl.DataFrame(schema=dict(PUBLISHED)), *frames]))


def retold(cells: PublishedCells, cube: str, names: pl.Expr) -> PublishedCells:
    """`cells` once more as those of `cube`: `names` gives the value of its dimension, null for what is left out.

    Cells of one name are summed. Nothing is told that a reader of `cells` could not add up.
    """
    named = cells.with_columns(cube=pl.lit(cube), dim1=names).drop_nulls("dim1")
    summed = named.group_by(list(PUBLISHED)[:-1]).agg(pl.col("value").sum()).sort(KEYS)
    return PublishedCells(summed.select(list(PUBLISHED)))


def noise(cells: pl.DataFrame, keys: DayKeys, measure: str | None) -> pl.Series:
    """One number in 0..4 a row, from keyed BLAKE2b (RFC 7693) over (tenant, day, cube, dim1, dim2, measure)."""
    columns = ["tenant", "day", "cube", "dim1", "dim2", *([measure] if measure else [])]
    rows = cells.select(columns).iter_rows()
    return pl.Series("noise", [_draw(keys[(row[0], row[1])], row) for row in rows], dtype=pl.Int64)


def _draw(key: bytes, cell: Sequence[object]) -> int:
    digest = hashlib.blake2b(key=key, person=b"voile.cell", digest_size=8)
    for part in cell:
        text = str(part).encode()
        digest.update(len(text).to_bytes(4, "big") + text)
    return int.from_bytes(digest.digest(), "big") % NOISE


def _sum_cells(people: pl.DataFrame, keys: Sequence[str], cube: Cube) -> pl.DataFrame:
    """One row a cell: people, networks, accounts, exact measures. A visitor in several merged cells counts once."""
    visits, sums = cube.measured("visits"), cube.measured("sum")
    capped = [pl.col(m).sum().clip(upper_bound=cube.cap) if cube.cap else pl.col(m).sum() for m in sums]
    one_row_a_visitor = people.group_by([*keys, "visitor"]).agg(
        pl.col("network", "account").max(), *(pl.col(m).bitwise_or() for m in visits), *capped
    )
    return one_row_a_visitor.group_by(keys).agg(
        pl.len().cast(pl.Int64).alias("people"),
        pl.col("network").n_unique().cast(pl.Int64).alias("networks"),
        pl.col("account").filter(pl.col("account") != 0).n_unique().cast(pl.Int64).alias("accounts"),
        *(pl.col(m).bitwise_count_ones().cast(pl.Int64).sum() for m in visits),
        *(pl.col(m).sum() for m in sums),
    )


def _with_gate(cells: pl.DataFrame, cube: Cube, keys: DayKeys, rule: Rule) -> pl.DataFrame:
    cells = cells.with_columns(cube=pl.lit(cube.name), gate=pl.lit(_GATE)).sort(KEYS)
    # h decides only between k and k + 4 visitors: nobody else needs the hash
    close = pl.col("people").is_between(rule.threshold, rule.threshold + rule.margin - 1)
    undecided = cells.filter(close)
    h = undecided.select(*KEYS, h=noise(undecided, keys, "gate") % rule.margin)
    cells = cells.join(h, on=KEYS, how="left")
    enough = pl.col("people") >= rule.threshold + pl.col("h").fill_null(0)
    spread = (pl.col("networks") >= rule.threshold) | (pl.col("accounts") >= rule.threshold)
    passes = enough & spread if rule.networks else enough
    return cells.with_columns(passes=passes).drop("cube", "gate", "h").sort(KEYS)


def _directions(cube: Cube) -> list[tuple[str, ...]]:
    """The dimensions that stay fixed while the others are added up: what a reader can add up and subtract."""
    return [()] if len(cube.dimensions) == 1 else [("dim1",), ("dim2",)]


def _without_names(people: pl.DataFrame, fixed: tuple[str, ...], cube: Cube) -> pl.DataFrame:
    """Everybody hidden, under the name of the `(other)` row of the slice they are in."""
    both = {"dim1": OTHER, "dim2": OTHER if len(cube.dimensions) == 2 else ""}
    labels = [pl.lit(label).alias(name) for name, label in both.items() if name not in fixed]
    return people.with_columns(labels)


def _next_smallest(cells: pl.DataFrame, hidden: set[int], slices: Sequence[pl.DataFrame], cube: Cube) -> set[int]:
    """Of every slice whose `(other)` may not be shown, the smallest row still shown; it loses its name."""
    shown = cells.filter(~pl.col("cell").is_in(list(hidden))).sort("people", *KEYS)
    more: set[int] = set()
    for fixed, others in zip(_directions(cube), slices, strict=True):
        short = others.filter(~pl.col("passes"))
        candidates = shown.join(short, on=["tenant", "day", *fixed], how="semi", maintain_order="left")
        smallest = candidates.group_by(["tenant", "day", *fixed], maintain_order=True).first()
        more |= set(smallest["cell"].to_list())
    return more


def _known(keys: DayKeys) -> pl.DataFrame:
    schema = {"tenant": pl.String(), "day": pl.Date()}
    return pl.DataFrame([{"tenant": t, "day": d} for t, d in keys], schema=schema)
