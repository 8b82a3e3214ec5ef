"""Work that depends on a value is done once per distinct value and joined back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

__all__ = ["put_per_distinct"]


def put_per_distinct(
    frame: pl.DataFrame, on: Sequence[str], compute: Callable[[pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame:
    """`frame` with the columns that `compute` returns for its distinct values of `on`.

    `compute` gets a frame of the columns `on`, one row a distinct combination (nulls are values), and
    returns as many rows of new columns in the same order.
    """
    keys = frame.select(on)
    values = keys.unique()
    table = values.hstack(compute(values))
    found = keys.join(table, on=list(on), how="left", nulls_equal=True, maintain_order="left")
    return frame.hstack(found.drop(on))
