"""What every format gives: one frame of raw columns, a row a line, in the order of the lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import polars as pl

from services.ingest.accounting import RejectReason

__all__ = ["LINE_BYTES_MAX", "RAW", "Format", "complete", "explain", "given"]

LINE_BYTES_MAX = (
    64 * 1024
)  # nginx takes 4 header buffers of 8 kB; escaped as \xHH that is 128 kB at worst, in practice 10

# `shape` is the reject reason of a line that has not this format's shape, else null. `status` is still
# text: validation says why it is wrong. `time` is naive UTC; `time_text` is null when the line has no time.
RAW: Mapping[str, pl.DataType] = {
    "shape": pl.String(),
    "time_text": pl.String(),
    "time": pl.Datetime("ms"),
    "address": pl.String(),
    "forwarded": pl.String(),  # X-Forwarded-For
    "forwarded_7239": pl.String(),  # Forwarded, of RFC 7239
    "real_ip": pl.String(),  # X-Real-IP
    "user": pl.String(),
    "method": pl.String(),
    "target": pl.String(),
    "protocol": pl.String(),
    "status": pl.String(),
    "response_bytes": pl.Int64(),
    "duration_ms": pl.Int64(),
    "referrer": pl.String(),
    "user_agent": pl.String(),
    "host": pl.String(),
    "route": pl.String(),
    "event": pl.String(),
    "gpc": pl.Boolean(),
    "dnt": pl.Boolean(),
}


class Format(Protocol):
    """Turns lines into the columns of `RAW`. Stateless; several threads share one."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    def parse(self, lines: pl.Series) -> pl.DataFrame:
        """Never raises for what stands in a line: such a line has its reason in `shape`."""
        ...


def complete(frame: pl.DataFrame) -> pl.DataFrame:
    """Exactly the columns of `RAW`; what the format does not carry is null."""
    absent = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in RAW.items() if name not in frame.columns]
    return frame.with_columns(absent).select(list(RAW))


def given(column: pl.Expr) -> pl.Expr:
    """Null where a server writes "nothing here": an empty text or a dash."""
    return pl.when(column.is_in(["", "-"])).then(None).otherwise(column)


def explain(lines: pl.Series, matched: pl.Series, why: Callable[[str], RejectReason]) -> pl.Series:
    """`shape` for all lines: only those that did not match are looked at one by one."""
    if matched.all():
        return pl.Series("shape", [None], dtype=pl.String).new_from_index(0, lines.len())
    rejects = lines.filter(~matched)
    reasons = pl.Series([_why(text, why).value for text in rejects.to_list()], dtype=pl.String)
    rows = pl.arange(0, lines.len(), eager=True).filter(~matched)
    return pl.Series("shape", [None], dtype=pl.String).new_from_index(0, lines.len()).scatter(rows, reasons)


def _why(text: str, why: Callable[[str], RejectReason]) -> RejectReason:
    return why(text) if text.strip("\x00 \t\r") else RejectReason.EMPTY_LINE
