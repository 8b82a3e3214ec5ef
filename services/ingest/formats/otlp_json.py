"""Files of the OpenTelemetry Collector: a line is an export request in OTLP/JSON, with many log records in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson
import polars as pl

from services.ingest.formats.columns import Column, Format, explain
from services.ingest.formats.json_lines import json_columns, pointer_of, why_no_object
from services.ingest.formats.otel import (
    ATTRIBUTES,
    COLUMN_OF_ATTRIBUTE,
    EVENT_NAME,
    OBSERVED,
    TIME,
    attribute_text,
    from_attributes,
)
from services.ingest.lines import Lines

__all__ = ["OTLP_JSON", "OtlpJson"]

_KNOWN = frozenset(ATTRIBUTES)
_VALUES = ("stringValue", "intValue", "doubleValue", "boolValue")


@dataclass(frozen=True, slots=True)
class OtlpJson(Format):
    """`records` turns a line into one line of flat JSON a log record; `parse` takes those."""

    is_json: ClassVar[bool] = True
    line_bytes_max: ClassVar[int] = 4 * 1024 * 1024  # of 4000 records; a file is read in pieces of so much

    def records(self, lines: Lines) -> Lines:
        """The k-th record of a line stands at the line's position + k: a record has more than one byte, so that
        no two share a position."""
        texts: list[str] = []
        positions: list[int] = []
        for line, position in zip(lines.text.to_list(), lines.positions.to_list(), strict=True):
            flat = _flat(line)
            texts += flat
            positions += range(position, position + len(flat))
        text = pl.Series(lines.text.name, texts, dtype=pl.String)
        return Lines(text, pl.Series(positions, dtype=pl.Int64), text.str.len_bytes().cast(pl.Int64))

    def parse(self, lines: pl.Series) -> pl.DataFrame:
        fields, readable = json_columns(lines, ATTRIBUTES)
        frame = from_attributes(fields)
        shape = explain(lines, readable, why_no_object)
        return frame.with_columns(pl.coalesce(pl.lit(shape), "shape").alias("shape"))

    def pointer(self, line: str) -> str:
        return pointer_of(line, pl.Struct(dict.fromkeys(ATTRIBUTES, pl.String)))


def _flat(line: str) -> list[str]:
    """What is no export request stays one line, and is rejected as such."""
    try:
        request = orjson.loads(line.strip("\x00 \t\r"))
        return [orjson.dumps(record).decode() for record in _records(request)]
    except (orjson.JSONDecodeError, TypeError, AttributeError, KeyError):
        return [line]


def _records(request: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for resource in request["resourceLogs"]:
        shared = _attributes((resource.get("resource") or {}).get("attributes"))
        for scope in resource.get("scopeLogs") or ():
            for record in scope.get("logRecords") or ():
                yield shared | _attributes(record.get("attributes")) | _own(record)


def _own(record: Mapping[str, Any]) -> dict[str, str]:
    texts = {name: attribute_text(record.get(name)) for name in (TIME, OBSERVED, EVENT_NAME)}
    return {name: text for name, text in texts.items() if text}


def _attributes(pairs: Any) -> dict[str, str]:
    texts = {pair["key"]: attribute_text(_value(pair.get("value"))) for pair in pairs or () if pair["key"] in _KNOWN}
    return {name: text for name, text in texts.items() if text is not None}


def _value(value: Any) -> object:
    """An AnyValue in JSON; 64-bit integers come as texts or as numbers."""
    if not isinstance(value, dict):
        return None
    for kind in _VALUES:
        if kind in value:
            return value[kind]
    items = (value.get("arrayValue") or {}).get("values")
    return [_value(item) for item in items] if items else None


OTLP_JSON = OtlpJson(
    "otlp_json",
    "files of the OpenTelemetry Collector (OTLP/JSON, one request a line)",
    [Column(name, COLUMN_OF_ATTRIBUTE[name]) for name in ATTRIBUTES],
)
