"""Which format a file has, and what a format makes of it: for `voile formats detect` and `voile formats test`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

import polars as pl

from services.ingest.accounting import MEANING, RejectReason
from services.ingest.formats import Format
from services.ingest.formats.columns import RAW, Column
from services.ingest.lines import Lines
from services.ingest.preparing import Policy, canonicalise, parse, validate
from services.ingest.receivers.text import open_text
from services.ingest.sources import Source

__all__ = ["SAMPLE_BYTES", "Failure", "FieldShown", "Fit", "Trial", "rank", "sample", "try_format"]

SAMPLE_BYTES = 4 * 1024 * 1024  # 20 000 lines of an ordinary log: every format is tried on them in two seconds
_HIDDEN = {"address": "(an address)", "forwarded": "(addresses)", "user": "(a name)"}
_AT_FAULT = {  # the column by which validation rejects
    RejectReason.BAD_TIMESTAMP: "time",
    RejectReason.FUTURE_TIMESTAMP: "time",
    RejectReason.BAD_ADDRESS: "address",
    RejectReason.BAD_STATUS: "status",
    RejectReason.BAD_REQUEST: "target",
}
_WHOLE = frozenset({RejectReason.EMPTY_LINE, RejectReason.TOO_LONG})  # no column is at fault
_SOURCE = Source("sample", "sample", "", authenticated=True)
_POLICY = Policy([], [], lambda _: "")


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a format reads a file. `columns`: how many of an access log's columns it found something for;
    `usual`: the share of the fields that a file names itself (`#Fields`) that this format usually has."""

    name: str
    lines: int
    accepted: int
    columns: int
    usual: float

    @property
    def share(self) -> float:
        return self.accepted / self.lines if self.lines else 0.0


@dataclass(frozen=True, slots=True)
class FieldShown:
    """A place of a line: its name in the server's words, the column and type it becomes, and the first value found."""

    written: str
    column: str
    type: str
    example: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The first line that was rejected (counted from 1), why, and the first column that does not fit."""

    line: int
    reason: str
    column: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Trial:
    lines: int
    accepted: int
    rejected: Mapping[str, int]
    timed: bool
    fields: Sequence[FieldShown]
    failure: Failure | None


def sample(raw: BinaryIO) -> bytes:
    """The head of a file, plain or gzip, cut back to whole lines. Raises `Fatal` on another compression."""
    text = open_text(raw).peek(SAMPLE_BYTES)
    return text if len(text) < SAMPLE_BYTES else text[: text.rfind(b"\n") + 1] or text


def rank(text: bytes, formats: Iterable[Format], now: datetime) -> list[Fit]:
    """Best first: by the share of lines that would be accepted, then by what is found in them; of equals the one
    that `formats` names first."""
    fits = [_fit(text, format_, now) for format_ in formats]
    return sorted(fits, key=lambda fit: (-fit.share, -fit.columns, -fit.usual))


def _fit(text: bytes, format_: Format, now: datetime) -> Fit:
    raw, reasons, _ = _read(text, format_, now)
    accepted = raw.filter(reasons.is_null())
    found = sum(accepted[name].null_count() < accepted.height for name in RAW if name != "shape")
    named = {column.written for column in format_.after(text).columns}
    usual = len(named & {column.written for column in format_.columns}) / max(len(named), 1)
    return Fit(format_.name, raw.height, accepted.height, found, round(usual, 4))


def try_format(text: bytes, format_: Format, now: datetime, *, reveal: bool = False) -> Trial:
    """`reveal`: addresses and names of users are shown as they are."""
    raw, reasons, lines = _read(text, format_, now)
    accepted = raw.filter(reasons.is_null())
    counts = reasons.drop_nulls().value_counts(sort=True)
    return Trial(
        lines=raw.height,
        accepted=accepted.height,
        rejected=dict(counts.iter_rows()),
        timed=accepted.height > 0 and accepted["time"].null_count() == 0,
        fields=[_shown(column, accepted, reveal) for column in format_.after(text).columns],
        failure=_failure(text, format_, raw, reasons, lines),
    )


def _read(text: bytes, format_: Format, now: datetime) -> tuple[pl.DataFrame, pl.Series, Lines]:
    """(the columns of RAW, the reason of each rejected line, the lines of log)."""
    raw, lines = parse(format_.lines(text), format_)
    validated = validate(canonicalise(raw, _SOURCE, _POLICY), now)
    return raw, validated["reason"], lines


def _shown(column: Column, accepted: pl.DataFrame, reveal: bool) -> FieldShown:
    names = [name for name in column.column.split(", ") if name]
    kinds = ", ".join(dict.fromkeys(_kind(name) for name in names))
    examples = (_example(accepted[name], "" if reveal else _HIDDEN.get(name, "")) for name in names)
    return FieldShown(column.written, column.column, kinds, " ".join(e for e in examples if e))


def _kind(name: str) -> str:
    dtype = RAW[name]
    return {pl.Int64(): "number", pl.Boolean(): "yes or no"}.get(dtype, "time" if dtype.is_temporal() else "text")


def _example(values: pl.Series, instead: str) -> str:
    found = values.drop_nulls().head(1).to_list()
    return (instead or str(found[0])) if found else ""


def _failure(text: bytes, format_: Format, raw: pl.DataFrame, reasons: pl.Series, lines: Lines) -> Failure | None:
    rejected = reasons.is_not_null().arg_true()
    if rejected.is_empty():
        return None
    row = int(rejected[0])
    reason, position = RejectReason(reasons[row]), int(lines.positions[row])
    known = format_.after(text[:position])
    column = _AT_FAULT.get(reason, "")
    if reason is RejectReason.MISSING_FIELD:
        column = "address" if raw["address"][row] is None else "time"
    pointer = _written(known.columns, column) if column else known.pointer(lines.text[row])
    number = text.count(b"\n", 0, position) + 1
    return Failure(number, reason.value, "" if reason in _WHOLE else pointer, MEANING[reason])


def _written(columns: Sequence[Column], name: str) -> str:
    """In the server's own words; several, where it may stand in several places."""
    return ", ".join(dict.fromkeys(column.written for column in columns if name in column.column.split(", ")))
