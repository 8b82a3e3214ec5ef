"""Which of the hops of a request is the client, and why: one function for the rows and for `voile doctor ip`.

Every proxy adds the address that it was asked from at the right end of a header (X-Forwarded-For, or Forwarded of
RFC 7239). What our own proxies wrote is true; what stands left of that was sent by the client, who may write
anything. So the client is the right-most hop that is not one of ours.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Address", "Hop", "Network", "Verdict", "choose", "hops_of_forwarded", "parse_address", "split_hops"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_WITH_PORT = re.compile(r"^(?:\[([^\]]+)\](?::[\w.-]+)?|(\d+\.\d+\.\d+\.\d+):[\w.-]+)$")
_HIDDEN = re.compile(r"^(?:unknown|_[A-Za-z0-9._-]+)(?::[\w.-]+)?$", re.IGNORECASE)  # RFC 7239, 6.2 and 6.3
_ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;,\s"]*))', re.IGNORECASE)


class Verdict(StrEnum):
    CLIENT = "the client: the right-most hop that is no trusted proxy"
    ONLY_OURS = "the client: every hop is a trusted proxy, and this one asked first"
    STANDS_IN = "the client, as far as is known: the hop left of this trusted proxy is hidden or missing"
    PROXY = "a trusted proxy"
    HIDDEN = "hidden by a proxy: no address"
    UNREADABLE = "no address: the line is rejected as bad_address"
    NOT_READ = "not looked at: whoever asked may have made it up"


@dataclass(frozen=True, slots=True)
class Hop:
    text: str
    address: Address | None
    verdict: Verdict

    @property
    def is_client(self) -> bool:
        return self.verdict in _CLIENTS


_CLIENTS = {Verdict.CLIENT, Verdict.ONLY_OURS, Verdict.STANDS_IN}


def choose(hops: Sequence[str], proxies: Sequence[Network]) -> list[Hop]:
    """A verdict for each hop, in the order given: the left-most is what the client said, the right-most is who
    connected. At most one is the client; none when a hop that had to be read is no address."""
    judged: list[Hop] = []
    for text in reversed(hops):
        judged.append(_judge(text, proxies, judged))
    if judged and judged[-1].verdict is Verdict.PROXY:
        judged[-1] = Hop(judged[-1].text, judged[-1].address, Verdict.ONLY_OURS)
    return judged[::-1]


def _judge(text: str, proxies: Sequence[Network], right: list[Hop]) -> Hop:
    address = parse_address(text)
    if right and right[-1].verdict is not Verdict.PROXY:
        return Hop(text, address, Verdict.NOT_READ)
    if address is not None:
        ours = any(address in network for network in proxies)
        return Hop(text, address, Verdict.PROXY if ours else Verdict.CLIENT)
    if right and _HIDDEN.match(text):
        right[-1] = Hop(right[-1].text, right[-1].address, Verdict.STANDS_IN)
        return Hop(text, None, Verdict.HIDDEN)
    return Hop(text, None, Verdict.UNREADABLE)


def split_hops(text: str) -> list[str]:
    """`a, b, c` as X-Forwarded-For writes it."""
    return [hop for part in text.split(",") if (hop := part.strip().strip('"'))]


def hops_of_forwarded(text: str) -> list[str]:
    """The `for` of each element of a Forwarded header; "unknown" for an element that has none."""
    return [_for(element) for element in _ELEMENT.findall(text) if element.strip()]


def _for(element: str) -> str:
    match = _FOR.search(element.strip())
    if match is None:
        return "unknown"
    return re.sub(r"\\(.)", r"\1", match[1] if match[1] is not None else match[2]).strip() or "unknown"


def parse_address(text: str) -> Address | None:
    """Cuts port, brackets and zone id; an IPv4-mapped IPv6 address is the IPv4 address it carries."""
    text = text.strip().strip('"')
    if match := _WITH_PORT.match(text):
        text = match[1] or match[2]
    elif text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
