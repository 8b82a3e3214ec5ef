"""Sending to an address that somebody else chose (a callback, a webhook), so that it reaches no inside of ours.

1. https alone, a name or a public address, no user in it; 2. the name is resolved here, and every address it has must
be public; 3. the connection goes to the very address that was checked, with the name in TLS alone; 4. no redirect is
followed, no proxy of the environment used, the answer's body is not read; 5. few seconds for all of it, however slowly
the other side sends its answer.
Source: OWASP, Server-Side Request Forgery Prevention Cheat Sheet; special-purpose registries of IANA (RFC 6890).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import SplitResult, urlsplit

import httpx

from services.runtime.errors import VoileError

__all__ = ["NotSent", "Sender", "is_public", "refuse_private", "refuse_unusable", "resolved"]

TIMEOUT_S = 5.0  # from the connection to the answer's header
URL_CHARACTERS_MAX = 2000
BODY_BYTES_MAX = 256 * 1024  # what is sent is a status, never data
PORT = 443
# Ranges that carry an IPv4 address inside: the inner one counts.
_MAPPED = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class NotSent(VoileError):
    """The text says why, without the address it went to."""


class Sender:
    """Thread safe; blocks, so it is not for a thread that runs an event loop.

    `resolve`: name, port -> addresses; `allowed`: which of them may be reached.
    """

    def __init__(
        self,
        resolve: Callable[[str, int], Sequence[str]] | None = None,
        allowed: Callable[[Address], bool] | None = None,
        trusted: ssl.SSLContext | None = None,
    ) -> None:
        self._resolve, self._allowed = resolve or resolved, allowed or is_public
        self._trusted = trusted or ssl.create_default_context()

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of the answer. Raises `NotSent` when there is none, or when it must not be sent at all."""
        parts = refuse_unusable(url)
        if len(body) > BODY_BYTES_MAX:
            raise NotSent("there is too much to send")
        host, port = parts.hostname or "", parts.port or PORT
        checked = self._checked(host, port)
        shown = f"[{checked}]" if ":" in checked else checked
        there = parts._replace(netloc=f"{shown}:{port}", fragment="").geturl()
        name = host if parts.port in {None, PORT} else f"{host}:{port}"
        sent = {**headers, "host": name}
        request = httpx.Request("POST", there, content=body, headers=sent, extensions={"sni_hostname": host})
        try:
            return asyncio.run(self._answered(request))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise NotSent(f"it does not answer ({type(error).__name__})") from None

    async def _answered(self, request: httpx.Request) -> int:
        """A timeout of the client's would begin anew with each byte that comes."""
        async with (
            asyncio.timeout(TIMEOUT_S),
            httpx.AsyncClient(timeout=None, verify=self._trusted, trust_env=False) as client,  # noqa: S113  # the whole has one
        ):
            answer = await client.send(request, stream=True, follow_redirects=False)
            await answer.aclose()
            return answer.status_code

    def _checked(self, host: str, port: int) -> str:
        """One address of the host. All must be allowed: a second one would be a way in at the next try."""
        try:
            addresses = [ipaddress.ip_address(found) for found in self._resolve(host, port)]
        except (OSError, ValueError, UnicodeError):
            raise NotSent("its name is not known") from None
        if not addresses:
            raise NotSent("its name is not known")
        if not all(self._allowed(address) for address in addresses):
            raise NotSent("it is no public address")
        return str(addresses[0])


def refuse_unusable(url: str) -> SplitResult:
    """The parts of an address that something may be sent to. Raises `NotSent`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise NotSent("it is no address") from None
    if len(url) > URL_CHARACTERS_MAX or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise NotSent("it is no address")
    if parts.scheme != "https" or not parts.hostname or port == 0:
        raise NotSent("it is no https address")
    if "@" in parts.netloc:
        raise NotSent("it has a user in it")
    return parts


def refuse_private(url: str) -> SplitResult:
    """As `refuse_unusable`, and what is plainly inside at once, when somebody gives the address: this machine's own
    name, and an address written out, in whatever spelling. A name is resolved when something is sent, not before."""
    parts = refuse_unusable(url)
    host = (parts.hostname or "").rstrip(".")
    written = _written_out(host)
    if host == "localhost" or host.endswith(".localhost") or (written is not None and not is_public(written)):
        raise NotSent("it is no public address")
    return parts


def _written_out(host: str) -> Address | None:
    """The address that `host` is, also as 127.1, 0x7f000001 or 2130706433, which resolvers read as addresses."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host)) if host and " " not in host else None
    except OSError:
        return None


def is_public(address: Address) -> bool:
    """Reachable from anywhere, and no way to something that is not."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is None and any(address in network for network in _MAPPED):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


def resolved(host: str, port: int) -> list[str]:
    """Every address of a name. Raises `OSError`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
