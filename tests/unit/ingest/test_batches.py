"""Accepted rows -> batches."""

from __future__ import annotations

import polars as pl

from services.ingest.batches import Part, encode_parts
from services.ingest.formats import FORMATS
from services.ingest.preparing import prepare
from services.runtime.batches import BATCH_BYTES_MAX, decode_access_batch
from tests.parts.edge import NOW, POLICY, SOURCE, combined, lines_of


def _part(origin: str, *lines: str) -> Part:
    prepared = prepare(lines_of(*lines), FORMATS["combined"], SOURCE, POLICY, NOW)
    return Part(origin, prepared.accepted, prepared.runs)


def test_small_bodies_share_a_batch() -> None:
    """In their order, each row under its own origin; a span ends where a reject stood."""
    parts = [_part("a", combined(0), "bad", combined(1), combined(2)), _part("b", combined(3)), _part("c", "bad")]
    (value,) = encode_parts("web", parts)
    batch = decode_access_batch(value)
    assert batch.frame["path"].to_list() == [f"/pages/{n}" for n in range(4)]
    line = len(combined(0)) + 1
    spans = [(s.origin, s.first, s.last, s.rows) for s in batch.spans]
    assert spans == [("a", 0, 0, 1), ("a", line + 4, 2 * line + 4, 2), ("b", 0, 0, 1)]


def test_columns_cut_into_pieces_at_different_rows_are_one_batch() -> None:
    """As joining small bodies leaves them in memory; polars' encoder panics on such a frame."""
    part = _part("a", *(combined(n) for n in range(4)))
    positions, times = part.frame["position"], part.frame["timestamp"]
    ragged = part.frame.with_columns(
        pl.concat([positions[:1], positions[1:]], rechunk=False), pl.concat([times[:3], times[3:]], rechunk=False)
    )
    (value,) = encode_parts("web", [Part("a", ragged, part.runs)])
    assert decode_access_batch(value).frame.equals(part.frame)


def test_no_batch_is_larger_than_a_message_may_be() -> None:
    """Also when rows are very unlike in length; nothing is lost and nothing changes place."""
    lines = [combined(n, target=f"/{n}" + "x" * (1900 if n > 2000 else 1)) for n in range(3000)]
    part = _part("a", *lines)
    values = encode_parts("web", [part])
    assert len(values) > 2
    assert all(len(value) <= BATCH_BYTES_MAX for value in values)
    assert pl.concat([decode_access_batch(value).frame for value in values]).equals(part.frame)


def test_many_rejects_make_no_oversized_header() -> None:
    """Every second line bad: a span a row."""
    lines = [combined(n // 2) if n % 2 else "bad" for n in range(40_000)]
    values = encode_parts("web", [_part("0123456789abcdef01234567", *lines)])
    assert all(len(value) <= BATCH_BYTES_MAX for value in values)
    assert sum(decode_access_batch(value).frame.height for value in values) == 20_000


def test_nothing_accepted_is_no_batch() -> None:
    """No empty messages."""
    assert encode_parts("web", [_part("a", "bad")]) == []
