"""Work that depends on a value is done once per distinct value, and only on the values that need it."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

__all__ = ["mend"]


def mend(values: pl.Series, odd: pl.Series, function: Callable[[str], str | None]) -> pl.Series:
    """`values` with `function` applied where `odd` (a mask that depends on the value alone) is true.

    Nearly every value of a real log is already in its canonical form: one regular expression over the
    column finds the few that are not, and Python sees each of those once.
    """
    wanting = values.filter(odd).drop_nulls().unique()
    if wanting.is_empty():
        return values
    mended = pl.Series([function(text) for text in wanting.to_list()], dtype=pl.String)
    return values.replace(wanting, mended)
