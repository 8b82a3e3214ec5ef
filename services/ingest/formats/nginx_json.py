"""nginx `log_format ... escape=json '{...}'`: the usual names of its variables, quoted or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from services.ingest.accounting import RejectReason
from services.ingest.formats.columns import complete, explain
from services.ingest.formats.json_lines import first_given, flag, json_columns, millis, why_no_object
from services.ingest.formats.requests import split_request
from services.ingest.formats.times import any_time

__all__ = ["NGINX_JSON", "NginxJson"]

# Ours -> the names people give the variable, best first ($request_uri is as sent, $uri already rewritten).
_NAMES: Mapping[str, Sequence[str]] = {
    "time_text": ("msec", "time_iso8601", "time_local", "time", "timestamp", "@timestamp"),
    "address": ("remote_addr", "client_ip", "client"),
    "forwarded": ("http_x_forwarded_for",),
    "forwarded_7239": ("http_forwarded",),
    "real_ip": ("http_x_real_ip",),
    "user": ("remote_user",),
    "request": ("request",),
    "method": ("request_method", "method"),
    "uri": ("request_uri", "uri"),
    "protocol": ("server_protocol",),
    "status": ("status",),
    "bytes": ("body_bytes_sent", "bytes_sent"),
    "request_time": ("request_time",),
    "referrer": ("http_referer", "http_referrer", "referer"),
    "user_agent": ("http_user_agent", "user_agent"),
    "host": ("host", "http_host", "server_name"),
    "route": ("route",),
    "event": ("event",),
}
_GPC, _DNT = ("http_sec_gpc", "sec_gpc", "gpc"), ("http_dnt", "dnt")
_ALL = [*(name for names in _NAMES.values() for name in names), *_GPC, *_DNT]
_HOPS = ("address", "forwarded", "forwarded_7239", "real_ip")
_SAME = (*_HOPS, "user", "status", "referrer", "user_agent", "host", "route", "event")


class NginxJson:
    name = "nginx_json"
    description = "nginx log_format with escape=json and the usual variable names"

    def parse(self, lines: pl.Series) -> pl.DataFrame:
        decoded, readable = json_columns(lines, _ALL)
        fields = decoded.select(
            *(first_given(names).alias(name) for name, names in _NAMES.items()),
            flag(_GPC).alias("gpc"),
            flag(_DNT).alias("dnt"),
        )
        line = split_request(fields["request"])
        fields = fields.with_columns(
            pl.coalesce(pl.col("method").str.to_uppercase(), line["method"]).alias("method"),
            pl.coalesce(pl.col("uri"), line["target"]).alias("target"),
            pl.coalesce(pl.col("protocol"), line["protocol"]).alias("protocol"),
            any_time(fields["time_text"]).alias("time"),
            explain(lines, readable, why_no_object).alias("shape"),
        )
        return complete(
            fields.select(
                pl.coalesce(pl.col("shape"), _missing()).alias("shape"),
                *("time_text", "time", "method", "target", "protocol", "gpc", "dnt"),
                *_SAME,
                pl.col("bytes").cast(pl.Int64, strict=False).alias("response_bytes"),
                millis("request_time", 1000).alias("duration_ms"),
            )
        )


def _missing() -> pl.Expr:
    return pl.when(pl.col("time_text").is_null()).then(pl.lit(RejectReason.MISSING_FIELD.value))


NGINX_JSON = NginxJson()
