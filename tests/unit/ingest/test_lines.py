"""A text -> lines and where they begin."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.lines import split_lines


@given(st.binary(max_size=200).map(lambda b: b.replace(b"\r", b"\n")), st.integers(0, 2**40))
def test_lines_and_positions_are_those_of_the_text(text: bytes, first: int) -> None:
    """Any bytes: no line is lost, each position is the line's offset, broken UTF-8 becomes U+FFFD."""
    lines = split_lines(text, first)
    pieces = text.split(b"\n")[: -1 if text.endswith(b"\n") or not text else None]
    assert lines.text.to_list() == [piece.decode(errors="replace") for piece in pieces]
    assert lines.sizes.to_list() == [len(piece) for piece in pieces]
    for position, piece in zip(lines.positions.to_list(), pieces, strict=True):
        assert text[position - first :].startswith(piece)
        assert position == first or text[position - first - 1] == ord("\n")


def test_some_of_the_lines() -> None:
    """By where they begin."""
    lines = split_lines(b"a\nbb\nccc\n", 10).at(pl.Series([10, 15]))
    assert (lines.text.to_list(), lines.positions.to_list()) == (["a", "ccc"], [10, 15])
