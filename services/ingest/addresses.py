"""The client's address as a column, from the one place that the source names. Which hop it is: `hops`."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence

import polars as pl

from services.ingest.distinct import mend
from services.ingest.hops import Network, choose, hops_of_forwarded, split_hops

__all__ = ["CONNECTION", "HEADERS", "client_address", "hops_of"]

# What a source may name, and the raw column in which formats leave that header. Never a list of headers to try:
# one that no proxy of ours overwrites is written by whoever asks.
CONNECTION = "connection"
HEADERS: Mapping[str, str] = {"x_forwarded_for": "forwarded", "forwarded": "forwarded_7239", "x_real_ip": "real_ip"}

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_CANONICAL_V4 = rf"^(?:{_OCTET}\.){{3}}{_OCTET}$"


def client_address(frame: pl.DataFrame, taken_from: str, trusted: Sequence[str]) -> pl.Series:
    """Canonical texts, null where there is no address. `frame` has `address` (who connected; some servers write a
    list of hops there) and the columns of `HEADERS`.

    A header is only read behind a trusted proxy: before that, anybody could write there what they like.
    """
    choose_one = _chooser([ipaddress.ip_network(cidr) for cidr in trusted])
    if taken_from == CONNECTION or not trusted:
        return mend(frame["address"], _is_odd, lambda text: _plain_v6(text) or choose_one(text))
    return mend(_joined(frame, taken_from), lambda hops: hops.is_not_null(), choose_one)


def hops_of(header: str, taken_from: str) -> list[str]:
    """One header's hops, left to right."""
    return hops_of_forwarded(header) if taken_from == "forwarded" else split_hops(header)


def _is_odd(hops: pl.Series) -> pl.Series:
    """A lone address is the client's, trusted or not."""
    return ~hops.str.contains(_CANONICAL_V4)


def _plain_v6(text: str) -> str | None:
    """The canonical text of an IPv6 address that stands alone, by the C library (1 us; `ipaddress` takes 8).
    One that carries an IPv4 address is left to `parse_address`."""
    with contextlib.suppress(OSError, ValueError):
        canonical = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, text))
        return canonical if "." not in canonical else None
    return None


def _joined(frame: pl.DataFrame, taken_from: str) -> pl.Series:
    header = frame[HEADERS[taken_from]]
    if taken_from == "forwarded":
        header = mend(header, lambda v: v.is_not_null(), lambda text: ", ".join(hops_of_forwarded(text)))
    rows = pl.DataFrame({"header": header, "address": frame["address"]})
    both = pl.when(pl.col("header").is_not_null()).then(pl.col("header") + ", " + pl.col("address"))
    return rows.select(both.otherwise(pl.col("address")).alias("address")).to_series()


def _chooser(proxies: Sequence[Network]) -> Callable[[str], str | None]:
    def client_of(hops: str) -> str | None:
        return next((str(hop.address) for hop in choose(split_hops(hops), proxies) if hop.is_client), None)

    return client_of
