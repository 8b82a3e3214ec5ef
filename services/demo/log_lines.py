"""Requests as the lines that real web servers write, a column at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from services.demo.tenants import Club

__all__ = ["lines"]

_COMBINED = '{} - {} [{}] "{}" {} {} "{}" "{}"'
_JSON = (
    '{{"time_iso8601":"{}","remote_addr":"{}","remote_user":"{}","host":"{}","request":"{}","status":{},'
    '"body_bytes_sent":{},"request_time":{},"http_referer":"{}","http_user_agent":"{}"}}'
)
_JSON_PLACES = _JSON.replace("{{", "\x01").replace("}}", "\x02")  # polars knows no escaped brace


def lines(requests: pl.DataFrame, club: Club) -> pl.Series:
    """One log line a request, in the club's format.

    `requests` has time (UTC), address, account, request, status, size, latency_ms, referrer, agent;
    empty text is what the server logs as absent.
    """
    return requests.select(_FORMATS[club.log_format](club).alias("line"))["line"]


def _combined(_club: Club) -> pl.Expr:
    return pl.format(
        _COMBINED,
        "address",
        _dash("account"),
        _clf_time(),
        "request",
        "status",
        "size",
        _dash("referrer"),
        _dash("agent"),
    )


def _vhost_combined(club: Club) -> pl.Expr:
    return pl.format("{}:443 {}", pl.lit(club.host), _combined(club))


def _nginx_json(club: Club) -> pl.Expr:
    seconds = pl.format(
        "{}.{}", pl.col("latency_ms") // 1000, (pl.col("latency_ms") % 1000).cast(pl.String).str.zfill(3)
    )
    time = pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%S+00:00")
    filled = pl.format(
        _JSON_PLACES,
        time,
        "address",
        "account",
        pl.lit(club.host),
        "request",
        "status",
        "size",
        seconds,
        "referrer",
        "agent",
    )
    return filled.str.replace("\x01", "{", literal=True).str.replace("\x02", "}", literal=True)


def _clf_time() -> pl.Expr:
    return pl.col("time").dt.strftime("%d/%b/%Y:%H:%M:%S +0000")


def _dash(column: str) -> pl.Expr:
    return pl.when(pl.col(column) == "").then(pl.lit("-")).otherwise(pl.col(column))


_FORMATS: Mapping[str, Callable[[Club], pl.Expr]] = {
    "combined": _combined,
    "vhost_combined": _vhost_combined,
    "nginx_json": _nginx_json,
}
