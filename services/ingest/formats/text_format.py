"""A format of text lines: one pattern, run over all lines at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from services.ingest.accounting import RejectReason
from services.ingest.formats.columns import Format, explain
from services.ingest.formats.envelopes import unwrap
from services.ingest.formats.pattern import TAIL, Pattern, Token, build, check_roles, columns_of
from services.ingest.formats.roles import Reading, raw_columns

__all__ = ["TextFormat", "text_format"]


@dataclass(frozen=True, slots=True)
class TextFormat(Format):
    pattern: Pattern
    cut: str
    reading: Reading

    def parse(self, lines: pl.Series) -> pl.DataFrame:
        lines = unwrap(lines)
        fields = lines.str.extract_groups(self.pattern.text).struct.unnest()
        shape = explain(lines, fields[self.pattern.roles[0]].is_not_null(), self._why)
        if "user" in fields.columns:
            fields = fields.with_columns(pl.col("user").str.strip_suffix(" "))
        return raw_columns(fields, shape, self.reading)

    def pointer(self, line: str) -> str:
        """By the Rust engine, so that no line takes long."""
        text = unwrap(pl.Series([line], dtype=pl.String))
        count = len(self.pattern.fragments)
        for number in range(1, count + 1):
            if not text.str.contains(self.pattern.prefix(number))[0]:
                return self._column_at(number - 1)
        return "the end of the line"

    def _column_at(self, number: int) -> str:
        """What stands between two columns is told as the first until its blank, and from there as the second."""
        fragments = self.pattern.fragments
        before = number
        while before >= 0 and not fragments[before].is_column:
            if fragments[before].text.startswith((" ", "[ ")):
                return next((f.column for f in fragments[number:] if f.is_column), "the end of the line")
            before -= 1
        if before < 0:  # what a line begins with is told as the first column
            return next(f.column for f in fragments if f.is_column)
        return fragments[before].column

    def _why(self, rejects: pl.Series) -> pl.Series:
        reason = pl.Series("shape", [RejectReason.UNKNOWN_SHAPE.value]).new_from_index(0, rejects.len())
        return reason.set(rejects.str.contains(self.cut), RejectReason.CUT_SHORT.value) if self.cut else reason


def text_format(
    name: str,
    description: str,
    tokens: Sequence[Token],
    reading: Reading,
    *,
    names: str = "",
    tail: str = TAIL,
    strict: bool = True,
) -> TextFormat:
    """Raises `Fatal` for a format that no line could be an access by; `names` says what is missing in its words.
    `strict` false: such a format too, whose every line is then rejected."""
    pattern = build(tokens, reading.escape, tail)
    if strict:
        check_roles(pattern.roles, names)
    return TextFormat(name, description, columns_of(tokens), pattern, pattern.cut, reading)
