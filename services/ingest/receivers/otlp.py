"""OTLP logs, protobuf and JSON -> lines and the format to read them by.

Source: OpenTelemetry protocol specification 1.x (OTLP/HTTP), and its JSON mapping: names in lowerCamelCase, 64-bit
numbers as texts. protobuf's own `json_format` is not used: it is ten times slower and reads hex ids as base64.

The levels of a request are walked by their length prefixes and only a log record is decoded, because two bytes on
the wire can stand for an object of 60: 16 MB of them cost 500 MB when the whole is decoded at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from services.ingest.accounting import RejectReason
from services.ingest.formats import Format, format_named
from services.ingest.formats.columns import LINE_BYTES_MAX, explain
from services.ingest.formats.json_lines import json_columns, why_no_object
from services.ingest.formats.otel import ATTRIBUTES, EVENT_NAME, OBSERVED, TIME, attribute_text, from_attributes
from services.ingest.lines import Lines
from services.ingest.receivers.bodies import LINES_MAX
from services.ingest.receivers.events import FIELDS_MAX, Gathered
from services.ingest.receivers.refusals import BodyError
from services.ingest.receivers.wire import submessages
from services.ingest.sources import Source

__all__ = ["JSON", "PROTOBUF", "log_records", "otlp_media_type"]

PROTOBUF, JSON = "application/x-protobuf", "application/json"
GROUPS_MAX = 10_000  # resources and scopes of a body together; a collector's batch has some tens
JSON_OBJECTS_MAX = 1_000_000  # 16 MB of ordinary records have 300 000; each costs us some 60 bytes, the sender two

_WANTED = frozenset(ATTRIBUTES)
_HTTP = ("http.", "url.")  # a record with one of these is an access; without, its body may be a line
_RESOURCE_LOGS, _SCOPE_LOGS, _LOG_RECORDS = 1, 2, 2  # field numbers in the .proto files


@dataclass(frozen=True, slots=True)
class _Record:
    """A log record as far as it is used. `fields`: those of `ATTRIBUTES` that it has, as texts; `body`: a text,
    a mapping, or None."""

    fields: dict[str, str | None]
    body: Any


@dataclass(frozen=True, slots=True)
class _Attributes(Format):
    """Lines of JSON with OpenTelemetry's names, as `_gather` writes them."""

    def parse(self, lines: pl.Series) -> pl.DataFrame:
        decoded, readable = json_columns(lines, ATTRIBUTES)
        frame = from_attributes(decoded)
        return frame.with_columns(pl.coalesce(explain(lines, readable, why_no_object), pl.col("shape")).alias("shape"))


def otlp_media_type(header: str) -> str:
    """`PROTOBUF` or `JSON`. Raises `BodyError(415)`."""
    media = header.partition(";")[0].strip().lower()
    if media not in {PROTOBUF, JSON}:
        raise BodyError(415, "media_type", f"Send {PROTOBUF} or {JSON}.")
    return media


def log_records(text: bytes, media: str, source: Source) -> tuple[Lines, Format]:
    """Records with their index as position. One with an attribute of HTTP is an event; another one's body is a
    line in the source's format. Raises `BodyError(400)` when the whole cannot be decoded."""
    gathered = Gathered()
    own = format_named(source.format)
    if media == PROTOBUF:
        _gather_protobuf(text, gathered, own)
    else:
        _gather_json(text, gathered, own)
    return gathered.columns(own, _Attributes("otel", "attributes of OpenTelemetry", ()))


def _gather(record: _Record, size: int, gathered: Gathered, own: Format) -> None:
    time = record.fields.get(TIME) or record.fields.get(OBSERVED)
    is_access = any(name.startswith(_HTTP) for name in record.fields)
    if isinstance(record.body, str) and not is_access:
        gathered.add_line(record.body, time)
    elif isinstance(record.body, Mapping) and not is_access and own.is_json:
        gathered.add_event(record.body, time, is_line=True)
    else:
        body = record.body if isinstance(record.body, Mapping) else {}
        gathered.add_event({**_wanted(body), **record.fields}, time, size=size)


def _wanted(body: Mapping[str, Any]) -> dict[str, str | None]:
    return {name: attribute_text(value) for name, value in body.items() if name in _WANTED}


# --- protobuf --------------------------------------------------------------------------------------------------------


def _gather_protobuf(text: bytes, gathered: Gathered, own: Format) -> None:
    try:
        for piece in _record_pieces(text):
            if len(piece) > LINE_BYTES_MAX:
                gathered.refuse(RejectReason.TOO_LONG, len(piece))
                continue
            message = LogRecord.FromString(bytes(piece))
            if len(message.attributes) > FIELDS_MAX:
                gathered.refuse(RejectReason.TOO_MANY_FIELDS, len(piece))
            else:
                _gather(_of_message(message), len(piece), gathered, own)
    except (DecodeError, ValueError):
        raise BodyError(400, "bad_protobuf", "The body is no ExportLogsServiceRequest in protobuf.") from None


def _record_pieces(text: bytes) -> Iterator[memoryview]:
    groups = records = 0
    for resource in submessages(memoryview(text), _RESOURCE_LOGS):
        groups += 1
        for scope in submessages(resource, _SCOPE_LOGS):
            groups += 1
            _few(groups, GROUPS_MAX, "groups")
            for record in submessages(scope, _LOG_RECORDS):
                records += 1
                _few(records, LINES_MAX, "records")
                yield record
        _few(groups, GROUPS_MAX, "groups")


def _of_message(message: LogRecord) -> _Record:
    fields: dict[str, str | None] = {
        pair.key: attribute_text(_of_value(pair.value)) for pair in message.attributes if pair.key in _WANTED
    }
    if message.time_unix_nano:
        fields[TIME] = str(message.time_unix_nano)
    if message.observed_time_unix_nano:
        fields[OBSERVED] = str(message.observed_time_unix_nano)
    if message.event_name:
        fields[EVENT_NAME] = message.event_name
    return _Record(fields, _of_value(message.body))


def _of_value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_of_value(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _of_value(pair.value) for pair in value.kvlist_value.values}
    return None if kind is None else getattr(value, kind)


# --- JSON ------------------------------------------------------------------------------------------------------------


class _Value(msgspec.Struct, rename="camel"):
    string_value: str | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None  # "NaN" is a text
    bool_value: bool | None = None
    array_value: _Values | None = None
    kvlist_value: _Pairs | None = None


class _Pair(msgspec.Struct):
    key: str = ""
    value: _Value | None = None


class _Values(msgspec.Struct):
    values: list[_Value] | None = None


class _Pairs(msgspec.Struct):
    values: list[_Pair] | None = None


class _LogRecord(msgspec.Struct, rename="camel"):
    time_unix_nano: int | str | None = None
    observed_time_unix_nano: int | str | None = None
    event_name: str | None = None
    body: _Value | None = None
    attributes: list[_Pair] | None = None


class _ScopeLogs(msgspec.Struct, rename="camel"):
    log_records: list[msgspec.Raw] | None = None


class _ResourceLogs(msgspec.Struct, rename="camel"):
    scope_logs: list[_ScopeLogs] | None = None


class _Request(msgspec.Struct, rename="camel"):
    resource_logs: list[_ResourceLogs] | None = None


def _gather_json(text: bytes, gathered: Gathered, own: Format) -> None:
    _few(text.count(b"{"), JSON_OBJECTS_MAX, "objects")
    decoder = msgspec.json.Decoder(_LogRecord)
    for raw in _raw_records(text):
        piece = memoryview(raw)
        if len(piece) > LINE_BYTES_MAX:
            gathered.refuse(RejectReason.TOO_LONG, len(piece))
            continue
        try:
            record = decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            gathered.refuse(RejectReason.BAD_FIELD, len(piece))
            continue
        if len(record.attributes or ()) > FIELDS_MAX:
            gathered.refuse(RejectReason.TOO_MANY_FIELDS, len(piece))
        else:
            _gather(_of_struct(record), len(piece), gathered, own)


def _raw_records(text: bytes) -> list[msgspec.Raw]:
    try:
        request = msgspec.json.decode(text, type=_Request)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BodyError(400, "bad_json", "The body is no ExportLogsServiceRequest in JSON.") from None
    scopes = [scope for resource in request.resource_logs or () for scope in resource.scope_logs or ()]
    found = [record for scope in scopes for record in scope.log_records or ()]
    _few(len(found), LINES_MAX, "records")
    return found


def _of_struct(record: _LogRecord) -> _Record:
    fields: dict[str, str | None] = {
        pair.key: attribute_text(_plain(pair.value)) for pair in record.attributes or () if pair.key in _WANTED
    }
    times = ((TIME, record.time_unix_nano), (OBSERVED, record.observed_time_unix_nano))
    fields |= {name: str(value) for name, value in times if value not in {None, 0, "0", ""}}
    if record.event_name:
        fields[EVENT_NAME] = record.event_name
    return _Record(fields, _plain(record.body))


def _plain(value: _Value | None) -> Any:
    if value is None:
        return None
    if value.array_value is not None:
        return [_plain(each) for each in value.array_value.values or ()]
    if value.kvlist_value is not None:
        return {pair.key: _plain(pair.value) for pair in value.kvlist_value.values or ()}
    scalars = (value.string_value, value.int_value, value.double_value, value.bool_value)
    return next((each for each in scalars if each is not None), None)


def _few(count: int, most: int, what: str) -> None:
    if count > most:
        raise BodyError(413, f"too_many_{what}", f"The body has more than {most} {what}; send less at once.")
