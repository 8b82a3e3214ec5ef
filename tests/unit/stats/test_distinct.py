"""Once per distinct value, joined back."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from services.stats.distinct import put_per_distinct

VALUES = st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.integers(0, 3)), max_size=30)


@given(VALUES)
def test_it_is_the_row_by_row_result_in_the_same_order(rows: list[tuple[str | None, int]]) -> None:
    """Nulls are values; rows keep their order even when the step turns its own around."""
    frame = pl.DataFrame(rows, schema={"x": pl.String, "y": pl.Int64}, orient="row")
    seen: list[int] = []

    def step(distinct: pl.DataFrame) -> pl.DataFrame:
        seen.append(distinct.height)
        return distinct.with_columns(z=pl.concat_str(pl.col("x").fill_null("-"), "y")).reverse()

    found = put_per_distinct(frame, ["x", "y"], step)
    assert found.rows() == [(x, y, f"{x or '-'}{y}") for x, y in rows]
    assert seen == [len(set(rows))]
