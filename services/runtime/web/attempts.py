"""How often somebody may try to sign in: by account, and by the address they come from.

Every try counts, also a good one. Nothing is kept but in this process's memory: a restart forgets.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Sequence

from starlette.requests import Request

from services.runtime.clock import Clock
from services.runtime.web.quota import Quota

__all__ = ["Attempts", "client_network"]

# SP 800-63B-4, 3.2.2: at most 100 failures in a row. Twenty, then one in three minutes, is far below what guessing
# needs, and a person who mistypes does not notice it.
PER_ACCOUNT = 20
PER_ADDRESS = 200  # an office behind one address, every morning
_V6_PREFIX, _V4_PREFIX = 64, 32  # who has an IPv6 address has the whole /64


class Attempts:
    """`trusted_proxies`: CIDRs of one's own proxies, whose X-Forwarded-For is believed."""

    def __init__(self, clock: Clock, trusted_proxies: Sequence[str] = ()) -> None:
        self._accounts, self._addresses = Quota(PER_ACCOUNT, clock), Quota(PER_ADDRESS, clock)
        self._proxies = tuple(ipaddress.ip_network(cidr) for cidr in trusted_proxies)

    def wait_s(self, request: Request, name: str | None = None) -> int:
        """0 when one more try may be made, else seconds to wait. The address first: who is stopped there does not
        use up the tries of somebody else's account."""
        wait = self._addresses.take(client_network(request, self._proxies))
        if not wait and name is not None:
            wait = self._accounts.take(name)
        return math.ceil(wait)


def client_network(request: Request, proxies: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network] = ()) -> str:
    """The peer's, or what the last trusted proxy says that its peer was; IPv6 cut to /64. "" when nobody knows."""
    hops = [hop.strip() for header in request.headers.getlist("x-forwarded-for") for hop in header.split(",")]
    address = _address(request.client.host if request.client else "")
    while address is not None and hops and any(address in network for network in proxies):
        before = _address(hops.pop())
        if before is None:
            break
        address = before
    if address is None:
        return ""
    prefix = _V6_PREFIX if address.version == 6 else _V4_PREFIX
    return str(ipaddress.ip_network(f"{address}/{prefix}", strict=False))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
