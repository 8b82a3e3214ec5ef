"""Voile's own JSON event: the names of `AccessLog`, and `url` for senders that have a whole URL.

    {"timestamp": "2026-11-01T09:30:00Z", "client_address": "192.0.2.7", "method": "GET", "path": "/a", "status": 200}

`client_address` and one of `path`, `url` are required; without `timestamp` the time of receipt counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from services.ingest.formats.columns import Column, Format, complete, explain
from services.ingest.formats.json_lines import first_given, flag, json_columns, millis, pointer_of, why_no_object
from services.ingest.formats.times import any_time

__all__ = ["NATIVE", "Native"]

_TEXTS = ("method", "protocol", "status", "referrer", "user_agent", "route", "event")
_NAMES = [*_TEXTS, "timestamp", "client_address", "account", "path", "url", "query", "host", "response_bytes"]
_FLAGS = ("gpc", "dnt")
_HEADERS = {"x_forwarded_for": "forwarded", "forwarded": "forwarded_7239", "x_real_ip": "real_ip"}
_ALL = [*_NAMES, *_HEADERS, "duration_ms", *_FLAGS]
_COLUMN_OF = {
    **{"timestamp": "time", "client_address": "address", "account": "user", "path": "target", "query": "target"},
    "url": "target, host",
    **_HEADERS,
}
_AUTHORITY = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?([^/?#@]+)"


@dataclass(frozen=True, slots=True)
class Native(Format):
    is_json: ClassVar[bool] = True

    def parse(self, lines: pl.Series) -> pl.DataFrame:
        decoded, readable = json_columns(lines, _ALL)
        fields = decoded.with_columns(first_given([name]).alias(name) for name in (*_NAMES, *_HEADERS))
        return complete(
            fields.select(
                explain(lines, readable, why_no_object).alias("shape"),
                pl.col("timestamp").alias("time_text"),
                any_time(fields["timestamp"]).alias("time"),
                pl.col("client_address").alias("address"),
                *(pl.col(name).alias(column) for name, column in _HEADERS.items()),
                pl.col("account").alias("user"),
                _target().alias("target"),
                pl.coalesce(pl.col("host"), pl.col("url").str.extract(_AUTHORITY)).alias("host"),
                pl.col("method").str.to_uppercase(),
                *(name for name in _TEXTS if name != "method"),
                pl.col("response_bytes").cast(pl.Float64, strict=False).cast(pl.Int64, strict=False),
                millis("duration_ms", 1).alias("duration_ms"),
                *(flag([name]).alias(name) for name in _FLAGS),
            )
        )

    def pointer(self, line: str) -> str:
        return pointer_of(line, pl.Struct(dict.fromkeys(_ALL, pl.String)))


def _target() -> pl.Expr:
    target = pl.coalesce("path", "url")
    return pl.when(pl.col("query").is_not_null()).then(target + "?" + pl.col("query")).otherwise(target)


NATIVE = Native(
    "json", "Voile's own JSON event, one object a line", [Column(name, _COLUMN_OF.get(name, name)) for name in _ALL]
)
