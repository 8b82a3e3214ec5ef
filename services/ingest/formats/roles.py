"""From what a server wrote, by its meaning, to the columns of `RAW`: the one way of text and of JSON formats.

A **role** is the meaning of one place: `address` fills a column as it is, `request` fills three, `date` and
`clock` are one time between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from services.ingest.accounting import RejectReason
from services.ingest.formats.columns import complete, given
from services.ingest.formats.escapes import Escape, unescape_column
from services.ingest.formats.requests import split_request
from services.ingest.formats.times import read_time

__all__ = ["COLUMN_OF", "DURATIONS", "Reading", "raw_columns"]

# Role -> the column of RAW that it fills or helps to fill.
COLUMN_OF: Mapping[str, str] = {
    **{name: name for name in ("address", "forwarded", "user", "method", "target", "protocol", "status", "referrer")},
    **{name: name for name in ("forwarded_7239", "real_ip")},
    **{name: name for name in ("user_agent", "host", "route", "event", "gpc", "dnt")},
    **{"time": "time", "date": "time", "clock": "time", "bytes": "response_bytes"},
    **{"request": "method, target, protocol", "path": "target", "query": "target", "version": "protocol"},
    **{"duration": "duration_ms", "duration_2": "duration_ms", "duration_3": "duration_ms"},
}
DURATIONS = ("duration", "duration_2", "duration_3")  # AWS writes three parts of one duration
_ESCAPED = ("user", "request", "method", "target", "path", "query", "referrer", "user_agent", "host", "route", "event")
_HOPS = ("address", "forwarded", "forwarded_7239", "real_ip")
_AS_THEY_ARE = (*_HOPS, "user", "protocol", "referrer", "user_agent", "host", "route", "event")
_TARGETS = frozenset({"request", "method", "target", "path", "query", "protocol", "version"})
_NO_STATUS = ("", "-", "0", "000", "-1")  # nothing was answered: the client had gone
_MS_MAX = 1e15  # 30 000 years: no duration


@dataclass(frozen=True, slots=True)
class Reading:
    """How the values of some roles are written. `time` as for `read_time`; `duration_ms` is one unit of a duration
    in ms, 0 for IIS and CloudFront in one: a number with a point is in seconds, one without in ms."""

    time: str = "any"
    duration_ms: float = 1000
    escape: Escape = Escape.NONE
    time_required: bool = False
    escapes: Mapping[str, Escape] = field(default_factory=dict)


def raw_columns(fields: pl.DataFrame, shape: pl.Series, reading: Reading) -> pl.DataFrame:
    """`fields`: one String column a role, null on lines that did not match, whose reason `shape` gives."""
    escapes = dict.fromkeys(_ESCAPED, reading.escape) | dict(reading.escapes)
    fields = fields.with_columns(
        unescape_column(fields[name], escape) for name, escape in escapes.items() if name in fields.columns
    )
    text = _time_text(fields)
    fields = fields.with_columns(text.alias("time_text"), read_time(text, reading.time).alias("time"))
    target = _target(fields)
    return complete(
        fields.select(
            _shape(shape, reading),
            *("time_text", "time"),
            *(
                given(pl.col(name)).alias(name)
                for name in _AS_THEY_ARE
                if name in fields.columns and name not in target
            ),
            *(target[name].alias(name) for name in target.columns),
            *([_status()] if "status" in fields.columns else []),
            *([_bytes()] if "bytes" in fields.columns else []),
            *([_duration(fields.columns, reading)] if "duration" in fields.columns else []),
            *(_flag(name) for name in ("gpc", "dnt") if name in fields.columns),
        )
    )


def _shape(shape: pl.Series, reading: Reading) -> pl.Expr:
    found = pl.lit(shape)
    if reading.time_required:
        missing = pl.when(pl.col("time_text").is_null()).then(pl.lit(RejectReason.MISSING_FIELD.value))
        found = pl.coalesce(found, missing)
    return found.alias("shape")


def _time_text(fields: pl.DataFrame) -> pl.Series:
    """Null where the line carries no time; a dash is none."""
    if "time" in fields.columns:
        return fields["time"]
    if "clock" in fields.columns:
        date = fields["date"] if "date" in fields.columns else None
        return fields["clock"] if date is None else date + "T" + fields["clock"]
    return pl.Series([None], dtype=pl.String).new_from_index(0, fields.height)


def _target(fields: pl.DataFrame) -> pl.DataFrame:
    """Columns method, target, protocol: what stands apart wins over the request line, but not a bare path, which
    servers write after their rewriting."""
    if "request" in fields.columns and not (_TARGETS - {"request"}) & set(fields.columns):
        return split_request(fields["request"])
    method = _or_nothing(fields, "method").str.to_uppercase()
    found = fields.with_columns(method, _or_nothing(fields, "target"), _version(fields), _path(fields).alias("path"))
    if "request" not in fields.columns:
        return found.select("method", pl.coalesce("target", "path"), "protocol")
    line = split_request(fields["request"])
    return found.select(
        pl.coalesce("method", line["method"]).alias("method"),
        pl.coalesce("target", line["target"], "path").alias("target"),
        pl.coalesce("protocol", line["protocol"]).alias("protocol"),
    )


def _path(fields: pl.DataFrame) -> pl.Expr:
    path = _or_nothing(fields, "path")
    if "query" not in fields.columns:
        return path
    query = given(pl.col("query")).str.strip_prefix("?")
    there = query.is_not_null() & (query != "") & ~path.str.contains("?", literal=True)
    return pl.when(there).then(path + "?" + query).otherwise(path)


def _version(fields: pl.DataFrame) -> pl.Expr:
    version = _or_nothing(fields, "version")
    named = pl.when(version.is_not_null()).then("HTTP/" + version)
    return pl.coalesce(_or_nothing(fields, "protocol"), named).alias("protocol")


def _or_nothing(fields: pl.DataFrame, name: str) -> pl.Expr:
    return given(pl.col(name)).alias(name) if name in fields.columns else pl.lit(None, dtype=pl.String).alias(name)


def _status() -> pl.Expr:
    status = pl.col("status")
    return pl.when(status.is_in(_NO_STATUS)).then(None).otherwise(status).alias("status")


def _bytes() -> pl.Expr:
    """Apache's %b writes a dash when no byte was sent."""
    size = pl.col("bytes")
    return pl.when(size == "-").then(0).otherwise(size.cast(pl.Int64, strict=False)).alias("response_bytes")


def _duration(columns: Sequence[str], reading: Reading) -> pl.Expr:
    """The sum of its parts; null when one is no number or negative (AWS and HAProxy write -1 for "never")."""
    parts = [pl.col(name).cast(pl.Float64, strict=False) for name in DURATIONS if name in columns]
    valid = pl.all_horizontal(part >= 0 for part in parts)
    unit: pl.Expr | float = reading.duration_ms
    if not reading.duration_ms:
        unit = pl.when(pl.col("duration").str.contains(".", literal=True)).then(1000.0).otherwise(1.0)
    total = pl.sum_horizontal(parts) * unit
    return pl.when(valid & (total < _MS_MAX)).then(total.round().cast(pl.Int64, strict=False)).alias("duration_ms")


def _flag(name: str) -> pl.Expr:
    """True for "1" or "true", false when it was logged and says otherwise."""
    return pl.when(pl.col(name).is_not_null()).then(pl.col(name).is_in(["1", "true"])).alias(name)
