"""Work that depends on a value is done once per distinct value and joined back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

__all__ = ["put_per_distinct"]


def put_per_distinct(
    frame: pl.DataFrame, on: Sequence[str], step: Callable[[pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame:
    """`frame`, rows in its order, with the columns that `step` adds to its distinct values of `on`.

    `step` gets a frame of the columns `on`, one row a distinct combination (nulls are values), and
    returns the same rows, in any order, with more columns.
    """
    keys = frame.select(on)
    table = step(keys.unique())
    found = keys.join(table, on=list(on), how="left", nulls_equal=True, maintain_order="left")
    return frame.hstack(found.drop(on))
