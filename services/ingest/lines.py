"""A text -> its lines as one column, with the byte offset where each begins."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from services.ingest.formats.columns import LINE_BYTES_MAX

__all__ = ["Lines", "split_lines"]


@dataclass(frozen=True, slots=True)
class Lines:
    """`text` (String) and `positions` (Int64), a row a line; `sizes` (Int64) are bytes without the line feed.
    Bytes that are no UTF-8 stand as U+FFFD in `text`, and of a line that is too long only its beginning is kept:
    one of 16 MB must neither be copied by each step nor become objects."""

    text: pl.Series
    positions: pl.Series
    sizes: pl.Series

    def __len__(self) -> int:
        return self.text.len()

    def at(self, positions: pl.Series) -> Lines:
        """Those lines that begin at `positions`."""
        kept = self.positions.is_in(positions.implode())
        return Lines(self.text.filter(kept), self.positions.filter(kept), self.sizes.filter(kept))


def split_lines(text: bytes, first: int = 0) -> Lines:
    """Lines end at a line feed; the last one needs none. `first` is the offset of the text in its origin."""
    body = text[:-1] if text.endswith(b"\n") else text
    if not text:
        return Lines(pl.Series(dtype=pl.String), pl.Series(dtype=pl.Int64), pl.Series(dtype=pl.Int64))
    pieces = pc.split_pattern(_one(body), b"\n").values
    sizes = _series(pc.binary_length(pieces))
    ends = (sizes + 1).cum_sum()
    if (sizes.max() or 0) > LINE_BYTES_MAX:  # type: ignore[operator]  # an Int64 column's max is an int
        pieces = pc.binary_slice(pieces, 0, LINE_BYTES_MAX)
    return Lines(_decoded(pieces), ends - sizes - 1 + first, sizes)


def _one(body: bytes) -> pa.Array:
    """An array of one value on these very bytes. `pa.array` would copy them, and load pandas (1 s) first."""
    offsets = pa.py_buffer(struct.pack("<qq", 0, len(body)))
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(body)])


def _decoded(pieces: pa.Array) -> pl.Series:
    try:
        return _series(pieces.cast(pa.large_string()))
    except pa.ArrowInvalid:  # some byte is no UTF-8: line by line, and no line is lost for it
        return pl.Series([piece.decode(errors="replace") for piece in pieces.to_pylist()], dtype=pl.String)


def _series(array: pa.Array) -> pl.Series:
    series = pl.from_arrow(array)
    assert isinstance(series, pl.Series)
    return series
