"""What arrives as records, not as lines: each is an event of fields, or an envelope around a line of the source.

A collector that does not parse sends `{"log": "<line>"}`; one record of a body may be the one, the next the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson
import polars as pl

from services.ingest.accounting import RejectReason
from services.ingest.formats import Format, format_named
from services.ingest.formats.json_lines import first_given, json_columns
from services.ingest.formats.native import NATIVE
from services.ingest.formats.times import any_time
from services.ingest.lines import Lines, indexed
from services.ingest.sources import Source

__all__ = ["FIELDS_MAX", "Gathered", "Mixed", "event_format", "unwrapped"]

FIELDS_MAX = 256  # of one event, all levels together; OpenTelemetry's own limit is 128, and an access has some 30
_LINE_KEYS = ("log", "message")  # Fluent Bit, Docker; Vector, Filebeat, Logstash
_TIME_KEYS = ("date", "@timestamp", "timestamp", "time")
_FIELD_KEYS = ("client_address", "path", "url")  # one of these: an event of fields, whatever else is in it
_OWN_TIME = "timestamp"  # Voile's name, and the last that nginx's format looks for
_LINE_ENDS = "\r\n"


@dataclass(frozen=True, slots=True, eq=False)
class Mixed(Format):
    """Reads a body whose rows are of two kinds. All series have a row a record: `is_line` (Boolean), `times`
    (Datetime ms, for records without a time of their own), `refused` (a reject reason known beforehand, or null)."""

    is_line: pl.Series
    times: pl.Series
    refused: pl.Series
    line_format: Format
    record_format: Format
    joins: ClassVar[bool] = False

    def parse(self, lines: pl.Series) -> pl.DataFrame:
        frame = self._parsed(lines)
        return frame.with_columns(
            pl.coalesce(self.refused, pl.col("shape")).alias("shape"),
            pl.when(pl.col("time_text").is_null()).then(self.times).otherwise(pl.col("time")).alias("time"),
        )

    def directives(self, lines: pl.Series) -> pl.Series | None:
        found = self.line_format.directives(lines)
        return None if found is None else found & self.is_line

    def _parsed(self, lines: pl.Series) -> pl.DataFrame:
        if not self.is_line.any():
            return self.record_format.parse(lines)
        if self.is_line.all():
            return self.line_format.parse(lines)
        kinds = ((self.is_line, self.line_format), (~self.is_line, self.record_format))
        parts = [
            format_.parse(lines.filter(mask)).with_columns(mask.arg_true().alias("row")) for mask, format_ in kinds
        ]
        return pl.concat(parts).sort("row").drop("row")


_MIXED = ("mixed", "records, some of which hold a line", ())


@dataclass(slots=True)
class Gathered:
    """Records one by one -> columns."""

    texts: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    lines: list[bool] = field(default_factory=list)
    times: list[str | None] = field(default_factory=list)
    refused: list[str | None] = field(default_factory=list)

    def add(self, event: Mapping[str, Any], time: str | None, *, wants_line: bool) -> None:
        """An event of fields, or with `wants_line` the line that is wrapped in it, if it is an envelope."""
        line = next((event[key] for key in _LINE_KEYS if isinstance(event.get(key), str)), None)
        if wants_line and line is not None and not any(key in event for key in _FIELD_KEYS):
            self.add_line(line, time)
        else:
            self.add_event(event if time is None else {_OWN_TIME: time, **event}, time)

    def add_line(self, text: str, time: str | None) -> None:
        """`time`, here and below, is of the record: any text that `any_time` reads, for a line without one."""
        text = text.strip(_LINE_ENDS)
        self._add(text, len(text.encode(errors="replace")), is_line=True, time=time)

    def add_event(
        self, fields: Mapping[str, Any], time: str | None, *, size: int | None = None, is_line: bool = False
    ) -> None:
        """`size` in bytes as it came, when it is not that of its JSON."""
        try:
            text = orjson.dumps(fields, default=_no_json, option=orjson.OPT_NON_STR_KEYS)
        except orjson.JSONEncodeError:  # bytes as a name, or too deep
            self.refuse(RejectReason.BAD_FIELD, size or 0)
            return
        self._add(text.decode(), len(text) if size is None else size, is_line=is_line, time=time)

    def refuse(self, reason: RejectReason, size: int) -> None:
        self._add("", size, is_line=False, time=None, reason=reason.value)

    def columns(self, line_format: Format, record_format: Format) -> tuple[Lines, Format]:
        texts = pl.Series(self.texts, dtype=pl.String)
        lines = Lines(texts, pl.arange(0, texts.len(), eager=True), pl.Series(self.sizes, dtype=pl.Int64))
        is_line = pl.Series(self.lines, dtype=pl.Boolean)
        times = any_time(pl.Series(self.times, dtype=pl.String))
        refused = pl.Series(self.refused, dtype=pl.String)
        return lines, Mixed(*_MIXED, is_line, times, refused, line_format, record_format)

    def _add(self, text: str, size: int, *, is_line: bool, time: str | None, reason: str | None = None) -> None:
        self.texts.append(text)
        self.sizes.append(size)
        self.lines.append(is_line)
        self.times.append(time)
        self.refused.append(reason)


def _no_json(_value: object) -> None:
    """What JSON cannot hold (bytes that are no text, extensions) is no field of an access."""


def event_format(source: Source) -> Format:
    """For records: the source's own JSON format, else Voile's."""
    own = format_named(source.format)
    return own if own.is_json else NATIVE


def unwrapped(lines: Lines, source: Source) -> tuple[Lines, Format]:
    """Lines of JSON as they are, or what their envelopes hold when the source's format is one of text."""
    own = format_named(source.format)
    lines = indexed(own.records(lines))
    if own.is_json:
        return lines, own
    decoded, readable = json_columns(lines.text, [*_LINE_KEYS, *_TIME_KEYS, *_FIELD_KEYS])
    inner = decoded.select(
        pl.when(pl.all_horizontal(pl.col(name).is_null() for name in _FIELD_KEYS)).then(first_given(_LINE_KEYS))
    ).to_series()
    is_line = readable & inner.is_not_null()
    if not is_line.any():
        return lines, NATIVE
    inner = inner.str.strip_chars(_LINE_ENDS)
    texts = lines.text.zip_with(~is_line, inner)
    sizes = lines.sizes.zip_with(~is_line, inner.str.len_bytes().cast(pl.Int64))
    times = any_time(decoded.select(first_given(_TIME_KEYS)).to_series())
    refused = pl.Series([None], dtype=pl.String).new_from_index(0, len(lines))
    mixed = Mixed(*_MIXED, is_line, times, refused, own, NATIVE)
    return Lines(texts, lines.positions, sizes), mixed
