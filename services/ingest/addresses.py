"""The client's address: the right-most hop that is not one of our own proxies, in canonical text form."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence

import polars as pl

from services.ingest.distinct import mend

__all__ = ["client_address", "parse_address"]

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_CANONICAL_V4 = rf"^(?:{_OCTET}\.){{3}}{_OCTET}$"
_WITH_PORT = re.compile(r"^(?:\[([^\]]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+)$")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_address(address: pl.Series, forwarded: pl.Series, trusted: Sequence[str]) -> pl.Series:
    """Canonical texts, null where there is no address.

    `forwarded` (X-Forwarded-For) is only read when the operator named trusted proxies: before that,
    anybody could write there what they like.
    """
    proxies = [ipaddress.ip_network(cidr) for cidr in trusted]
    hops = _with_forwarded(address, forwarded) if proxies else address
    return mend(hops, (lambda v: v.is_not_null()) if proxies else _is_odd, _chooser(proxies))


def _is_odd(hops: pl.Series) -> pl.Series:
    return ~hops.str.contains(_CANONICAL_V4)


def _with_forwarded(address: pl.Series, forwarded: pl.Series) -> pl.Series:
    frame = pl.DataFrame({"address": address, "forwarded": forwarded})
    joined = pl.when(pl.col("forwarded").is_not_null()).then(pl.col("forwarded") + ", " + pl.col("address"))
    return frame.select(joined.otherwise(pl.col("address")).alias(address.name)).to_series()


def _chooser(proxies: Sequence[Network]) -> Callable[[str], str | None]:
    def choose(hops: str) -> str | None:
        parsed = [parse_address(hop) for hop in reversed(hops.split(","))]
        for hop in parsed:
            if hop is None:
                return None  # what stands left of a hop that nobody can read is hearsay
            if not any(hop in network for network in proxies):
                return str(hop)
        return str(parsed[-1])  # every hop is ours: the left-most is the one that asked

    return choose


def parse_address(text: str) -> Address | None:
    """Cuts port, brackets and zone id; an IPv4-mapped IPv6 address is the IPv4 address it carries."""
    text = text.strip().strip('"')
    if match := _WITH_PORT.match(text):
        text = match[1] or match[2]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
