"""What was seen: intervals merge, repeats are absorbed, whole columns at once."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime import avro
from services.runtime.batches import AccessBatch, Coverage, Span, encode_access_batch, read_batch_header
from services.runtime.errors import Poison


def _batch(*spans: Span) -> AccessBatch:
    positions = [p for s in spans for p in range(s.first, s.first + s.rows)]
    rows = {"position": positions, "timestamp": [datetime(2026, 1, 1)] * len(positions)}
    frame = pl.DataFrame(rows, schema_overrides={"timestamp": pl.Datetime("ms")})
    return AccessBatch(pl.concat([avro.empty_frame("access_log"), frame], how="diagonal"), "s", spans)


intervals = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 15)), max_size=12)


@given(intervals, st.integers(0, 60), st.integers(0, 20))
def test_coverage_equals_a_set_of_positions(added: list[tuple[int, int]], first: int, length: int) -> None:
    """The slow, obvious model: a set."""
    coverage, model = Coverage(), set()
    for start, size in added:
        coverage.add(Span("s", "o", start, start + size, size + 1))
        model |= set(range(start, start + size + 1))
    asked = Span("s", "o", first, first + length, length + 1)
    found = {p for a, b in coverage.overlaps(asked) for p in range(a, b + 1)}
    assert found == model & set(range(first, first + length + 1))
    kept = coverage.keep_new(_batch(asked))["position"].to_list()
    assert kept == [p for p in range(first, first + length + 1) if p not in model]


def test_origins_and_sources_are_apart() -> None:
    """The same position of another file is another event."""
    coverage = Coverage([Span("s", "a", 0, 9, 10)])
    assert coverage.keep_new(_batch(Span("s", "b", 0, 9, 10))).height == 10
    assert coverage.keep_new(_batch(Span("s", "a", 5, 14, 10))).height == 5


def test_a_span_twice_in_one_batch_counts_once() -> None:
    """Two requests with one idempotency key can share a batch."""
    assert Coverage().keep_new(_batch(Span("s", "a", 0, 4, 5), Span("s", "a", 0, 4, 5))).height == 5


def test_the_header_tells_what_the_rows_hold() -> None:
    """Spans, rows and named accounts are known without decoding a row."""
    batch = _batch(Span("s", "a", 0, 4, 5), Span("s", "b", 7, 7, 1))
    named = batch.frame.with_columns(account=pl.Series(["ann", None, "bob", None, None, None]))
    header = read_batch_header(encode_access_batch(AccessBatch(named, "s", batch.spans)))
    assert (header.source, tuple(header.spans), header.rows, header.accounts) == ("s", batch.spans, 6, 2)
    assert read_batch_header(encode_access_batch(batch)).accounts == 0


def test_a_header_before_a_cut_block_is_poison() -> None:
    """A batch that lost its end is not taken for one that names nobody."""
    value = encode_access_batch(_batch(Span("s", "a", 0, 4, 5)))
    for end in range(0, len(value), 7):
        with pytest.raises(Poison):
            read_batch_header(value[:end])
