"""A text -> its lines as one column, with the byte offset where each begins."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

import polars as pl

__all__ = ["LINE_BYTES_MAX", "Lines", "indexed", "split_lines"]

LINE_BYTES_MAX = (
    64 * 1024
)  # nginx takes 4 header buffers of 8 kB; escaped as \xHH that is 128 kB at worst, in practice 10


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
        return self.where(self.positions.is_in(positions.implode()))

    def where(self, kept: pl.Series) -> Lines:
        """Those lines where the mask is true."""
        return Lines(self.text.filter(kept), self.positions.filter(kept), self.sizes.filter(kept))


def indexed(lines: Lines) -> Lines:
    """With their number as position, as in a body."""
    return Lines(lines.text, pl.arange(0, len(lines), eager=True), lines.sizes)


def split_lines(text: bytes, first: int = 0, line_bytes_max: int = LINE_BYTES_MAX) -> Lines:
    """Lines end at a line feed; the last one needs none. `first` is the offset of the text in its origin. A byte order
    mark before the first line, which Windows' programs write, is no part of it."""
    if not text:
        return Lines(pl.Series(dtype=pl.String), pl.Series(dtype=pl.Int64), pl.Series(dtype=pl.Int64))
    body = text[:-1] if text.endswith(b"\n") else text
    lines, sizes = _cut_singly(body, line_bytes_max) if _may_be_too_long(body) else _cut(body)
    if text.startswith(codecs.BOM_UTF8):
        lines = lines.clone().scatter(0, lines[0].removeprefix("\ufeff"))
    ends = (sizes + 1).cum_sum()
    return Lines(lines, ends - sizes - 1 + first, sizes)


def _may_be_too_long(body: bytes) -> bool:
    """A line that is too long leaves a stretch of half its length without a line feed. Cheap: one look a stretch."""
    step = LINE_BYTES_MAX // 2
    return any(body.find(b"\n", at, at + step) < 0 for at in range(0, len(body) - step, step))


def _cut(body: bytes) -> tuple[pl.Series, pl.Series]:
    """By polars alone: pyarrow is as fast, but its start with numpy's is a fifth of a short import's time."""
    try:
        lines = pl.Series([body.decode()], dtype=pl.String).str.split("\n").explode()
    except UnicodeDecodeError:  # some byte is no UTF-8: line by line, and no line is lost for it
        return _cut_singly(body, LINE_BYTES_MAX)
    return lines, lines.str.len_bytes().cast(pl.Int64)


def _cut_singly(body: bytes, line_bytes_max: int) -> tuple[pl.Series, pl.Series]:
    """Slower; but no byte can spoil another line, and of one that is too long no more is copied than to reject it."""
    pieces = body.split(b"\n")
    decoded = [piece[:line_bytes_max].decode(errors="replace") for piece in pieces]
    return pl.Series(decoded, dtype=pl.String), pl.Series([len(piece) for piece in pieces], dtype=pl.Int64)
