"""What holds for every request of every service, before any route: host, origin, size, time, headers.

1. The Host must be one of the service's own names. 2. A request that changes something must not come from
another site. 3. Its body must be small and arrive in time. 4. Every answer, also an error's, carries the
security headers. 5. An error nobody expected becomes one answer without a value of the request. 6. It is counted
by its route's template.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.runtime.errors import Fatal
from services.runtime.logs import get_logger, place_of
from services.runtime.metrics import HTTP_REQUESTS, HTTP_SECONDS, Metrics
from services.runtime.web.problems import Problem, problem_response

__all__ = ["CONTENT_SECURITY_POLICY", "LOOPBACK", "Guard", "Limits", "host_name", "is_asked_here"]

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_OWN_PEERS = frozenset({"127.0.0.1", "::1"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_KNOWN_METHODS = _SAFE_METHODS | {"POST", "PUT", "PATCH", "DELETE"}

# No inline script or style, nothing from elsewhere, no frame around us. data: images are Pico's own arrows.
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",  # for browsers older than frame-ancestors
    # same-origin, not no-referrer: with the latter a browser sends `Origin: null` on our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "strict-transport-security": "max-age=31536000; includeSubDomains",  # browsers heed it over https only
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one request. `body_bytes` None: the routes bound it themselves (ingest streams)."""

    body_bytes: int | None = 64 * 1024  # forms and queries; the longest form here has a reason of some lines
    body_s: float = 30.0  # a slow sender must not hold a connection for good


def host_name(header: str) -> str:
    """The name in a Host header, without the port, in lower case; IPv6 keeps its brackets."""
    name, colon, port = header.lower().rpartition(":")
    return name if colon and port.isdigit() else header.lower()


def is_asked_here(request: Request) -> bool:
    """Whether a program on this machine asks, and not for somebody elsewhere: by the peer, the name that it asks for,
    and no word of a proxy."""
    peer = request.client.host if request.client else ""
    forwarded = any(name == "forwarded" or name.startswith("x-forwarded-") for name in request.headers)
    own = peer in _OWN_PEERS and host_name(request.headers.get("host", "")) in LOOPBACK
    return own and not forwarded


@dataclass(slots=True)
class _Exchange:
    """One request under way: whether the answer has begun, and how much body has come."""

    request_id: str
    begun: float
    status: int = 0
    body_bytes: int = 0


class Guard:
    """ASGI middleware, outermost but for the server's own."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] | None, limits: Limits, metrics: Metrics) -> None:
        self._app, self._limits, self._metrics = app, limits, metrics
        self._hosts = None if hosts is None else LOOPBACK | {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(secrets.token_hex(8), time.monotonic())
        scope = _as_get(scope)
        scope["request_id"] = exchange.request_id
        try:
            await self._answer(scope, self._bounded(receive, exchange), _with_headers(send, exchange), exchange)
        finally:
            self._count(scope, exchange)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, exchange: _Exchange) -> None:
        refusal = self._refusal(scope)
        if refusal is None:
            try:
                await self._app(scope, receive, send)
                return
            except Fatal as error:  # for the operator, who finds the sentence in the log; it may name files of ours
                get_logger().error("request failed", request_id=exchange.request_id, reason=str(error))
                refusal = Problem(500, "The service needs its operator", "The log says what is to be done.")
            except Exception as error:  # whatever it is, its text stays inside
                kind, place = type(error).__name__, place_of(error)
                get_logger().error("request failed", request_id=exchange.request_id, error_type=kind, place=place)
                refusal = Problem(500, "Something went wrong here")
        if exchange.status:
            raise ConnectionAbortedError("the answer had begun when the request failed")
        await problem_response(Request(scope), refusal)(scope, receive, send)

    def _count(self, scope: Scope, exchange: _Exchange) -> None:
        route = getattr(scope.get("route"), "path", "(none)")  # the template: a path may hold anything
        method = scope["method"] if scope["method"] in _KNOWN_METHODS else "(other)"
        self._metrics.count(HTTP_REQUESTS, method=method, route=route, status=str(exchange.status))
        self._metrics.observe(HTTP_SECONDS, time.monotonic() - exchange.begun, route=route)

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        if len(headers.getlist("host")) > 1:  # RFC 9112, 3.2: a proxy in front may have looked at the other one
            return Problem(400, "The request is not usable", "It has more than one Host.")
        if self._hosts is not None and host_name(headers.get("host", "")) not in self._hosts:
            return Problem(421, "This service is not known under that name", "Add the name to the service's `hosts`.")
        if scope["method"] not in _SAFE_METHODS and _from_another_site(headers):
            return Problem(403, "The request came from another site")
        length = headers.get("content-length", "0")
        if self._limits.body_bytes is not None and length.isdigit() and int(length) > self._limits.body_bytes:
            return _too_large(self._limits.body_bytes)
        return None

    def _bounded(self, receive: Receive, exchange: _Exchange) -> Receive:
        """`receive`, refusing a body that is too long or takes too long. Waiting after the body is free."""
        complete, deadline = False, exchange.begun + self._limits.body_s

        async def bounded() -> Message:
            nonlocal complete
            if complete:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                raise Problem(408, "The request took too long to arrive") from None
            exchange.body_bytes += len(message.get("body", b""))
            if self._limits.body_bytes is not None and exchange.body_bytes > self._limits.body_bytes:
                raise _too_large(self._limits.body_bytes)
            complete = not message.get("more_body", False)
            return message

        return bounded


def _as_get(scope: Scope) -> Scope:
    """HEAD is answered as GET: the server below leaves the body out (RFC 9110, 9.3.2), and routes know GET alone. For
    those to whom it makes a difference, `scope["is_head"]` says so."""
    return {**scope, "method": "GET", "is_head": True} if scope["method"] == "HEAD" else scope


def _from_another_site(headers: Headers) -> bool:
    """Browsers say so themselves (Fetch Metadata); older ones give the Origin; programs give neither."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()


def _with_headers(send: Send, exchange: _Exchange) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")  # pages and answers stay out of shared machines' disks
            headers["x-request-id"] = exchange.request_id
        await send(message)

    return send_with_headers


def _too_large(bytes_max: int) -> Problem:
    return Problem(
        413, "The request is too large", "At most {bytes} bytes are taken here.", values={"bytes": bytes_max}
    )
