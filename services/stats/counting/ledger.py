"""The ledger row of a batch: what was read, what became of it, and how to recognise its rows again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from services.runtime.batches import Span
from services.runtime.consumer import Plan

__all__ = ["Tally", "checksum", "part_of"]

GOLDEN = np.uint64(11400714819323198485)  # 2^64 / golden ratio: spreads seconds over all bits (Knuth 6.4)
# Of the 64-bit sum 16 bits are kept: enough to notice other rows, too few to stand for one visitor after
# the rows are dropped (the ledger outlives them).
KEPT_SHIFT = np.uint64(48)

_SPANS = pl.List(pl.Struct({"source": pl.String, "origin": pl.String, "first": pl.Int64, "last": pl.Int64}))


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of a plan's rows; `spans` are the positions that this part is the first to hold."""

    spans: Sequence[Span] = ()
    rejected: int = 0
    duplicates: int = 0
    suppressed: int = 0
    late: int = 0
    lost: bool = False


def part_of(plan: Plan, events: pl.DataFrame, tally: Tally) -> pl.DataFrame:
    """`events` and the plan's ledger row in one frame: what a row does not use is null (the default)."""
    rows = events.with_columns(
        pl.lit(1, dtype=pl.Int8).alias("kind"), pl.lit(plan.ingest_day, dtype=pl.Date).alias("ingest_day")
    )
    return pl.concat([rows, _ledger_row(plan, events, tally)], how="diagonal", rechunk=True)


def checksum(events: pl.DataFrame) -> int:
    """0..65535 over `visitor` and `time` in any order; `sql/measure_part.sql` computes the same."""
    seconds = events["time"].dt.epoch("s").to_numpy().astype(np.uint64)
    total = np.bitwise_xor(events["visitor"].to_numpy(), seconds * GOLDEN).sum(dtype=np.uint64)
    return int(total >> KEPT_SHIFT)


def _ledger_row(plan: Plan, events: pl.DataFrame, tally: Tally) -> pl.DataFrame:
    spans = [{"source": s.source, "origin": s.origin, "first": s.first, "last": s.last} for s in tally.spans]
    return pl.DataFrame(
        {
            "kind": pl.Series([2], dtype=pl.Int8),
            "ingest_day": [plan.ingest_day],
            "event_day": [plan.ingest_day],
            "tenant": [""],
            "topic_id": [plan.topic_id],
            "log_partition": pl.Series([plan.partition.number], dtype=pl.UInt32),
            "first_offset": [plan.first],
            "last_offset": [plan.last],
            "spans": pl.Series([spans], dtype=_SPANS),
            "rows": pl.Series([events.height], dtype=pl.UInt64),
            "rejected": pl.Series([tally.rejected], dtype=pl.UInt64),
            "duplicates": pl.Series([tally.duplicates], dtype=pl.UInt64),
            "suppressed": pl.Series([tally.suppressed], dtype=pl.UInt64),
            "late_rows": pl.Series([tally.late], dtype=pl.UInt64),
            "checksum": pl.Series([checksum(events)], dtype=pl.UInt64),
            "lost": pl.Series([int(tally.lost)], dtype=pl.UInt8),
            "attempt": pl.Series([min(plan.attempt, 255)], dtype=pl.UInt8),
            "lookups": [plan.lookups],
        }
    )
