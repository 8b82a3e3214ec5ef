"""Avro containers of columns (batches) and single records; the writer schema is always the `.avsc`.

polars encodes and decodes the columns. It writes a schema of its own into the container's header (all
fields nullable, no names, no docs), so the header is written again here: the blocks that follow are
byte for byte what the `.avsc` describes, because every field of ours is `["null", T]` too.
Source of the format: Apache Avro 1.12 specification, "Object Container Files".
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import fastavro
import polars as pl

from services.runtime.errors import Poison

__all__ = [
    "columns",
    "decode_batch",
    "decode_record",
    "empty_frame",
    "encode_batch",
    "encode_record",
    "read_metadata",
    "schema",
]

_MAGIC = b"Obj\x01"
_SYNC_BYTES = 16
_RESERVED = ("avro.schema", "avro.codec")
_DTYPES: Mapping[str, pl.DataType] = {
    "long": pl.Int64(),
    "int": pl.Int32(),
    "string": pl.String(),
    "boolean": pl.Boolean(),
    "double": pl.Float64(),
    "timestamp-millis": pl.Datetime("ms"),
}


@cache
def schema(name: str) -> Mapping[str, Any]:
    """The parsed content of `schemas/avro/{name}.avsc`."""
    parsed: Mapping[str, Any] = json.loads(_text(name))
    return parsed


@cache
def columns(name: str) -> Mapping[str, pl.DataType]:
    """Column name -> polars type, in the schema's order. Times are naive UTC milliseconds."""
    return {field["name"]: _dtype(field["type"][1]) for field in schema(name)["fields"]}


def empty_frame(name: str) -> pl.DataFrame:
    return pl.DataFrame(schema=dict(columns(name)))


def encode_batch(frame: pl.DataFrame, name: str, metadata: Mapping[str, str]) -> bytes:
    """An Avro object container, codec null, of `frame` (exactly the columns of the schema, any order).

    `metadata` goes into the header (keys start with `voile.`). Raises ValueError on a column that is
    missing, unknown or of another type: that is a defect of the caller, never of the input.
    """
    expected = columns(name)
    if dict(frame.schema) != dict(expected):
        frame = _in_order(frame, expected)
    buffer = io.BytesIO()
    # rechunk: write_avro panics on columns that are cut into pieces at different rows, as `concat` may leave them
    frame.rechunk().write_avro(buffer, compression="uncompressed", name=schema(name)["name"])
    raw = buffer.getvalue()
    _, start = _read_header(raw)
    sync = raw[start - _SYNC_BYTES : start]
    return _header(name, metadata, sync) + raw[start:]


def decode_batch(data: bytes, name: str) -> tuple[pl.DataFrame, dict[str, str]]:
    """(columns of the schema in its order, the header's own metadata). Raises `Poison("undecodable_batch")`."""
    try:
        header, _ = _read_header(data)
        frame = pl.read_avro(io.BytesIO(data))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # polars' PanicException, raised on damaged input, is no Exception
        raise Poison("undecodable_batch") from error
    metadata = {k: v for k, v in header.items() if k not in _RESERVED}
    return _as_schema(frame, columns(name)), metadata


def read_metadata(data: bytes) -> tuple[dict[str, str], int]:
    """(the header's own metadata, rows that the blocks say they hold): the rows themselves are not read.
    Raises `Poison("undecodable_batch")`, also when a block is cut off."""
    header, at = _read_header(data)
    sync, rows = data[at - _SYNC_BYTES : at], 0
    while at < len(data):
        count, at = _read_long(data, at)
        size, at = _read_long(data, at)
        at += size + _SYNC_BYTES
        if count < 0 or size < 0 or data[at - _SYNC_BYTES : at] != sync:
            raise Poison("undecodable_batch")
        rows += count
    return {k: v for k, v in header.items() if k not in _RESERVED}, rows


def encode_record(record: Mapping[str, Any], name: str) -> bytes:
    """One record as an Avro container of one row, so that a reader needs no registry."""
    buffer = io.BytesIO()
    fastavro.writer(buffer, dict(schema(name)), [dict(record)], codec="null")
    return buffer.getvalue()


def decode_record(data: bytes, name: str) -> dict[str, Any]:
    """The one record of a container. Raises `Poison("undecodable_record")`."""
    try:
        rows = list(fastavro.reader(io.BytesIO(data), reader_schema=dict(schema(name))))
        (row,) = rows
    except Exception as error:
        raise Poison("undecodable_record") from error
    if not isinstance(row, dict):
        raise Poison("undecodable_record")
    return row


@cache
def _text(name: str) -> str:
    return resources.files("schemas.avro").joinpath(f"{name}.avsc").read_text("utf-8")


def _dtype(avro_type: Any) -> pl.DataType:
    if isinstance(avro_type, dict) and avro_type["type"] == "array":
        return pl.List(_DTYPES[avro_type["items"]])
    if isinstance(avro_type, dict):
        return _DTYPES[avro_type["logicalType"]]
    return _DTYPES[avro_type]


def _in_order(frame: pl.DataFrame, expected: Mapping[str, pl.DataType]) -> pl.DataFrame:
    wrong = set(frame.columns) ^ set(expected)
    wrong |= {c for c in set(frame.columns) & set(expected) if frame.schema[c] != expected[c]}
    if wrong:
        raise ValueError(f"columns do not fit the schema: {sorted(wrong)}")
    return frame.select(list(expected))


def _as_schema(frame: pl.DataFrame, expected: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Reads an older or newer writer too: what it lacks is null, what we do not know is dropped."""
    try:
        return pl.DataFrame([_column(frame, name, dtype) for name, dtype in expected.items()])
    except pl.exceptions.PolarsError as error:
        raise Poison("undecodable_batch") from error


def _column(frame: pl.DataFrame, name: str, dtype: pl.DataType) -> pl.Series:
    """Series by series: one expression a column costs a third of the decoding."""
    if name not in frame.columns:
        return pl.Series(name, [None], dtype=dtype).new_from_index(0, frame.height)
    return frame[name].cast(dtype)  # times come in UTC; without their zone they are the same numbers


def _header(name: str, metadata: Mapping[str, str], sync: bytes) -> bytes:
    entries = {"avro.schema": _text(name), "avro.codec": "null", **metadata}
    out = bytearray(_MAGIC)
    out += _long(len(entries))
    for key, value in entries.items():
        for part in (key.encode(), value.encode()):
            out += _long(len(part)) + part
    return bytes(out) + _long(0) + sync


def _read_header(data: bytes) -> tuple[dict[str, str], int]:
    """(metadata, offset of the first block)."""
    if data[:4] != _MAGIC:
        raise Poison("undecodable_batch")
    entries: dict[str, str] = {}
    at = 4
    while True:
        count, at = _read_long(data, at)
        if count == 0:
            return entries, at + _SYNC_BYTES
        if count < 0:  # a negative count is followed by the block's size in bytes
            count, (_, at) = -count, _read_long(data, at)
        for _ in range(count):
            key, at = _read_bytes(data, at)
            value, at = _read_bytes(data, at)
            entries[key.decode()] = value.decode()


def _read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    length, at = _read_long(data, at)
    if length < 0 or at + length > len(data):
        raise Poison("undecodable_batch")
    return data[at : at + length], at + length


def _long(value: int) -> bytes:
    zigzag = (value << 1) ^ (value >> 63)
    out = bytearray()
    while zigzag > 0x7F:
        out.append((zigzag & 0x7F) | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


def _read_long(data: bytes, at: int) -> tuple[int, int]:
    shift = result = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Poison("undecodable_batch")
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (result >> 1) ^ -(result & 1), at
        shift += 7
