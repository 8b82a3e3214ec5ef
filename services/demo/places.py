"""Network ranges of a few countries, from which made-up visitors get an address with a random host part.

The ranges are those of large access providers, so that the country lookup has something to find; no
address is anybody's on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Network, ip_network
from random import Random

__all__ = ["RANGES", "address"]

RANGES: Mapping[str, tuple[str, ...]] = {
    "BE": ("81.240.0.0/14", "91.176.0.0/14", "2a02:a000::/26"),
    "CA": ("70.80.0.0/15", "142.112.0.0/14"),
    "CH": ("83.76.0.0/15", "178.192.0.0/14", "2a02:1200::/27"),
    "DE": ("84.128.0.0/11", "91.0.0.0/11", "2003::/20"),
    "ES": ("83.32.0.0/13",),
    "FR": ("90.0.0.0/11", "86.192.0.0/12", "78.192.0.0/12", "82.64.0.0/14", "2a01:cb00::/28", "2a01:e0a::/32"),
    "GB": ("81.128.0.0/12", "86.128.0.0/11"),
    "IT": ("79.0.0.0/11",),
    "LU": ("158.64.0.0/16",),
    "NL": ("62.163.0.0/16",),
    "PT": ("81.193.0.0/16",),
    "US": ("73.0.0.0/10",),
}


def address(country: str, random: Random) -> str:
    """A host in one of the country's ranges."""
    network = ip_network(random.choice(RANGES[country]))
    host = network[random.randrange(network.num_addresses)]
    if isinstance(network, IPv6Network):
        return host.compressed
    return str(host)
