"""Accepted rows -> messages for `access-log.v1`, none larger than a batch may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from services.runtime.batches import BATCH_BYTES_MAX, AccessBatch, Span, encode_access_batch

__all__ = ["Part", "encode_parts", "spans"]

_ROW_BYTES = 40  # numbers, flags and the lengths of texts of one row, as Avro writes them (measured: 31 to 38)
_SPAN_BYTES = 48  # one span in the header: origin, two positions, a count


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one origin, sorted by position. `runs` numbers the stretches that no rejected position
    interrupts: a span must not cover a position that a corrected format may fill later."""

    origin: str
    frame: pl.DataFrame
    runs: pl.Series


def encode_parts(source: str, parts: Sequence[Part]) -> list[bytes]:
    """The parts share batches, in their order; each batch is under `BATCH_BYTES_MAX`."""
    full = [part for part in parts if part.frame.height]
    if not full:
        return []
    frame = pl.concat([part.frame for part in full]) if len(full) > 1 else full[0].frame
    found = pl.concat([spans(part) for part in full])
    rows = _rows_at_most(frame, found.height)
    return [value for start in range(0, frame.height, rows) for value in _encode(source, frame, found, start, rows)]


def spans(part: Part) -> pl.DataFrame:
    """origin, position (of each row), run: what `_cut` makes spans of."""
    return pl.DataFrame({"position": part.frame["position"], "run": part.runs.cast(pl.UInt32)}).with_columns(
        pl.lit(part.origin).alias("origin")
    )


def _rows_at_most(frame: pl.DataFrame, height: int) -> int:
    texts = frame.select(pl.col(pl.String).str.len_bytes().sum()).sum_horizontal().item() or 0
    total = int(texts) + height * _ROW_BYTES
    batches = -(-total // int(BATCH_BYTES_MAX * 0.9))  # some slack: rows are not equally long
    return max(1, -(-height // batches))


def _encode(source: str, frame: pl.DataFrame, places: pl.DataFrame, start: int, rows: int) -> list[bytes]:
    """One container, or more when the estimate was too low."""
    part = frame.slice(start, rows)
    cut = _cut(source, places.slice(start, rows))
    if len(cut) * _SPAN_BYTES < BATCH_BYTES_MAX or part.height == 1:
        value = encode_access_batch(AccessBatch(part, source, cut))
        if len(value) <= BATCH_BYTES_MAX or part.height == 1:
            return [value]
    half = -(-part.height // 2)
    first = _encode(source, frame, places, start, half)
    return [*first, *_encode(source, frame, places, start + half, part.height - half)]


def _cut(source: str, places: pl.DataFrame) -> list[Span]:
    groups = places.group_by("origin", "run", maintain_order=True).agg(
        pl.col("position").first().alias("first"), pl.col("position").last().alias("last"), pl.len().alias("rows")
    )
    return [Span(source, o, f, la, n) for o, _, f, la, n in groups.iter_rows()]
