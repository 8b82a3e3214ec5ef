"""OpenTelemetry's attributes of an HTTP server -> the columns of `RAW`.

    frame = pl.DataFrame(rows, schema=dict.fromkeys(ATTRIBUTES, pl.String))   # rows: {name: attribute_text(value)}
    raw = from_attributes(frame)

Source: OpenTelemetry semantic conventions, HTTP 1.23 and later, with the names before 1.20 as second choice (both are
still sent). A log record's own fields stand beside its attributes under their OTLP/JSON names (`timeUnixNano`).
Attributes of the record win over those of the resource: give the record's where both have one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from services.ingest.accounting import RejectReason
from services.ingest.formats.columns import complete
from services.ingest.formats.json_lines import first_given, flag, millis
from services.ingest.formats.times import any_time

__all__ = ["ATTRIBUTES", "COLUMN_OF_ATTRIBUTE", "EVENT_NAME", "OBSERVED", "TIME", "attribute_text", "from_attributes"]

TIME, OBSERVED = "timeUnixNano", "observedTimeUnixNano"  # as OTLP/JSON names them: a text of nanoseconds, 0 = unknown
EVENT_NAME = "eventName"

# Ours -> theirs, best first.
_NAMES: Mapping[str, Sequence[str]] = {
    "time_text": (TIME, OBSERVED),  # the data model says to use the second when the first is unknown
    "address": ("client.address", "http.client_ip", "network.peer.address", "net.sock.peer.addr", "net.peer.ip"),
    "forwarded": ("http.request.header.x-forwarded-for", "http.request.header.x_forwarded_for"),
    "forwarded_7239": ("http.request.header.forwarded",),
    "real_ip": ("http.request.header.x-real-ip", "http.request.header.x_real_ip"),
    "user": ("enduser.id", "user.id"),
    "method": ("http.request.method", "http.method"),
    "path": ("url.path", "http.target", "url.full", "http.url"),
    "query": ("url.query",),
    "protocol_name": ("network.protocol.name", "net.protocol.name"),
    "protocol_version": ("network.protocol.version", "net.protocol.version", "http.flavor"),
    "status": ("http.response.status_code", "http.status_code"),
    "bytes": ("http.response.body.size", "http.response.size", "http.response_content_length"),
    "referrer": ("http.request.header.referer",),
    "user_agent": ("user_agent.original", "http.user_agent", "http.request.header.user-agent"),
    "host": ("server.address", "http.host", "http.server_name", "net.host.name"),
    "url": ("url.full", "http.url"),
    "route": ("http.route",),
    "event": (EVENT_NAME, "event.name"),
}
_ORIGINAL_METHOD = "http.request.method_original"  # what `http.request.method` calls _OTHER
_DURATION_S = "http.server.request.duration"  # the metric's name; as an attribute of a log it is custom, but seen
_GPC = ("http.request.header.sec-gpc", "http.request.header.sec_gpc")
_DNT = ("http.request.header.dnt",)
_AUTHORITY = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?([^/?#]+)"

ATTRIBUTES: Sequence[str] = tuple(
    dict.fromkeys([*(name for names in _NAMES.values() for name in names), _ORIGINAL_METHOD, _DURATION_S, *_GPC, *_DNT])
)

_COLUMNS = {  # where ours is not the name of the column it fills
    **{"time_text": "time", "path": "target", "query": "target", "url": "target, host", "bytes": "response_bytes"},
    **{"protocol_name": "protocol", "protocol_version": "protocol"},
}
COLUMN_OF_ATTRIBUTE: Mapping[str, str] = {
    **{name: _COLUMNS.get(ours, ours) for ours, names in _NAMES.items() for name in names},
    **{_ORIGINAL_METHOD: "method", _DURATION_S: "duration_ms"},
    **dict.fromkeys(_GPC, "gpc"),
    **dict.fromkeys(_DNT, "dnt"),
}


def attribute_text(value: object) -> str | None:
    """A decoded AnyValue as text: null stays null, true is "true", a list's items are joined by commas.
    Null for bytes and key-value lists, which none of `ATTRIBUTES` is."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return ", ".join(text for item in value if (text := attribute_text(item)) is not None)
    return None


def from_attributes(attributes: pl.DataFrame) -> pl.DataFrame:
    """One String column a name of `ATTRIBUTES`, a row a record -> the columns of `RAW`.

    A record without a time has none (the time of receipt counts); one that has neither an address nor a request
    was never an access: its `shape` says `missing_field`.
    """
    known = attributes.with_columns(_known_times())
    fields = known.select(
        *(first_given(names).alias(name) for name, names in _NAMES.items()),
        pl.col(_ORIGINAL_METHOD),
        millis(_DURATION_S, 1000).alias("duration_ms"),
        flag(_GPC).alias("gpc"),
        flag(_DNT).alias("dnt"),
    )
    return complete(
        fields.select(
            _shape(),
            "time_text",
            any_time(fields["time_text"]).alias("time"),
            *(
                "address",
                "forwarded",
                "forwarded_7239",
                "real_ip",
                "user",
                "status",
                "referrer",
                "user_agent",
                "route",
                "event",
            ),
            _method(),
            _target(),
            _protocol(),
            pl.col("bytes").cast(pl.Float64, strict=False).cast(pl.Int64, strict=False).alias("response_bytes"),
            pl.coalesce(pl.col("host"), pl.col("url").str.extract(_AUTHORITY)).alias("host"),
            *("duration_ms", "gpc", "dnt"),
        )
    )


def _known_times() -> list[pl.Expr]:
    return [pl.when(pl.col(name) != "0").then(pl.col(name)).alias(name) for name in (TIME, OBSERVED)]


def _shape() -> pl.Expr:
    nothing = pl.col("address").is_null() & pl.col("path").is_null()
    return pl.when(nothing).then(pl.lit(RejectReason.MISSING_FIELD.value)).alias("shape")


def _method() -> pl.Expr:
    other = pl.col("method") == "_OTHER"
    return pl.when(other).then(_ORIGINAL_METHOD).otherwise("method").str.to_uppercase().alias("method")


def _target() -> pl.Expr:
    apart = pl.col("query").is_not_null() & ~pl.col("path").str.contains("?", literal=True)
    return pl.when(apart).then(pl.col("path") + "?" + pl.col("query")).otherwise("path").alias("target")


def _protocol() -> pl.Expr:
    name = pl.coalesce(pl.col("protocol_name").str.to_uppercase(), pl.lit("HTTP"))
    return (name + "/" + pl.col("protocol_version")).alias("protocol")
