"""What every format gives: one frame of raw columns, a row a line, in the order of the lines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from services.ingest.accounting import RejectReason
from services.ingest.lines import LINE_BYTES_MAX, Lines, split_lines

__all__ = ["LINE_BYTES_MAX", "RAW", "Column", "Format", "complete", "explain", "given"]

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


@dataclass(frozen=True, slots=True)
class Column:
    """One place of a line, for people: `written` is its name in the server's own words, `column` what of `RAW`
    it fills ("" when it is read over)."""

    written: str
    column: str


@dataclass(frozen=True, slots=True)
class Format(ABC):
    """Turns lines into the columns of `RAW`. Immutable; several threads share one. `name` is what `format_named`
    knows it by, `columns` what stands in a line, in its order."""

    name: str
    description: str
    columns: Sequence[Column]
    is_json: ClassVar[bool] = False  # whether a line is an object, so that a JSON body may hold it
    line_bytes_max: ClassVar[int] = LINE_BYTES_MAX
    joins: ClassVar[bool] = True  # whether bodies may be read as one: no line changes what the next ones mean

    @abstractmethod
    def parse(self, lines: pl.Series) -> pl.DataFrame:
        """A row a line. Never raises for what stands in a line: such a line has its reason in `shape`."""

    def pointer(self, line: str) -> str:  # noqa: ARG002
        """Of a line that has not this shape: the first column that does not fit, "" when that cannot be said."""
        return ""

    def lines(self, text: bytes, first: int = 0) -> Lines:
        """The lines of log in `text`, which stands at the offset `first` of its origin."""
        return self.records(split_lines(text, first, self.line_bytes_max))

    def records(self, lines: Lines) -> Lines:
        """The log lines that `lines` hold: the same, unless a line holds several."""
        return lines

    def directives(self, lines: pl.Series) -> pl.Series | None:  # noqa: ARG002
        """Which lines say how others are to be read and are no lines of log themselves; None: there are no such."""
        return None

    def after(self, text: bytes) -> Format:  # noqa: ARG002
        """The format in force behind `text`, whole lines that began under this one."""
        return self


def complete(frame: pl.DataFrame) -> pl.DataFrame:
    """Exactly the columns of `RAW`; what the format does not carry is null."""
    absent = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in RAW.items() if name not in frame.columns]
    return frame.with_columns(absent).select(list(RAW))


def given(column: pl.Expr) -> pl.Expr:
    """Null where a server writes "nothing here": an empty text or a dash."""
    return pl.when(column.is_in(["", "-"])).then(None).otherwise(column)


def explain(lines: pl.Series, matched: pl.Series, why: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """`shape` for all lines. `why` (lines -> reasons) is asked about those alone that did not match."""
    nothing = pl.Series("shape", [None], dtype=pl.String).new_from_index(0, lines.len())
    if matched.all():
        return nothing
    rejects = lines.filter(~matched)
    empty = rejects.str.strip_chars("\x00 \t\r") == ""
    reasons = why(rejects).set(empty, RejectReason.EMPTY_LINE.value)
    return nothing.scatter(pl.arange(0, lines.len(), eager=True).filter(~matched), reasons)
