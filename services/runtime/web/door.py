"""How one service lets people in: its cookie, and what somebody can prove who they are with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from argon2 import PasswordHasher
from starlette.requests import Request
from starlette.responses import Response

from services.runtime.clock import Clock
from services.runtime.logs import get_logger
from services.runtime.metrics import SIGN_INS, Metrics
from services.runtime.settings import Login, OidcGroup
from services.runtime.web.attempts import Attempts
from services.runtime.web.credentials import Credentials
from services.runtime.web.guard import LOOPBACK, host_name
from services.runtime.web.passwords import Passwords
from services.runtime.web.people import ProviderPeople
from services.runtime.web.provider import Provider
from services.runtime.web.sessions import Method, Sessions
from services.runtime.web.tables import SessionTables

__all__ = ["Door", "door_of", "note", "open_door", "origin_of"]


@dataclass(frozen=True, slots=True)
class Door:
    """The cookie is `__Host-voile_<service>`: host-only, Secure, whole path. Services on one host differ in
    their cookie's name, because cookies ignore ports. Over plain http browsers agree on Secure cookies
    not even for this machine itself (Safari refuses them), so there, and only there, it is `voile_<service>`.
    """

    service: str
    plane: str  # what commands and settings call it
    clock: Clock
    sessions: Sessions
    credentials: Credentials
    attempts: Attempts
    people: ProviderPeople
    provider: Provider | None = None
    groups: Sequence[OidcGroup] = ()
    same_site: Literal["strict", "lax"] = "strict"

    @property
    def title(self) -> str:
        """What the provider is called; empty when the settings do not say."""
        return self.provider.title if self.provider else ""

    def cookie_name(self, request: Request, purpose: str = "") -> str:
        name = f"voile_{self.service}{purpose}"
        return f"__Host-{name}" if _is_secure(request) else name

    def token(self, request: Request) -> str:
        return request.cookies.get(self.cookie_name(request), "")

    def open(self, request: Request, response: Response, token: str) -> None:
        response.set_cookie(
            self.cookie_name(request),
            token,
            path="/",
            secure=_is_secure(request),
            httponly=True,
            samesite=self.same_site,
        )

    def let_in(self, request: Request, response: Response, user: str, method: Method) -> bool:
        """A new session of `user`; False when they were removed meanwhile. The browser's one before ends with it."""
        fresh = self.sessions.begin(user, method)
        if fresh is None:
            return False
        self.replace(request, response, fresh)
        return True

    def replace(self, request: Request, response: Response, fresh: str) -> None:
        """The cookie of a session just begun; a session never outlives the next sign-in of the same browser."""
        before = self.token(request)
        if before:
            self.sessions.sign_out(before)
        self.open(request, response, fresh)

    def close(self, request: Request, response: Response) -> None:
        response.delete_cookie(
            self.cookie_name(request),
            path="/",
            secure=_is_secure(request),
            httponly=True,
            samesite=self.same_site,
        )
        response.headers["clear-site-data"] = '"cache", "storage"'

    def keep_flow(self, request: Request, response: Response, value: str, seconds: int) -> None:
        """What a try at the provider is bound to this browser by. Lax whatever the session is: the provider's answer
        comes from another site. `seconds` 0 forgets it."""
        response.set_cookie(
            self.cookie_name(request, "_oidc"),
            value,
            max_age=seconds,
            path="/",
            secure=_is_secure(request),
            httponly=True,
            samesite="lax",
        )

    def flow(self, request: Request) -> str:
        return request.cookies.get(self.cookie_name(request, "_oidc"), "")


def open_door(
    service: str,
    plane: str,
    *,
    engine: sa.Engine,
    tables: SessionTables,
    clock: Clock,
    login: Login,
    sessions: Sessions | None = None,
    same_site: Literal["strict", "lax"] = "strict",
    hasher: PasswordHasher | None = None,
) -> Door:
    """The door of one service on its plane's records. `hasher`: argon2 with other parameters than the recommended."""
    passwords = Passwords(hasher)
    return Door(
        service=service,
        plane=plane,
        clock=clock,
        sessions=sessions or Sessions(engine, tables, clock),
        credentials=Credentials(engine, tables, clock, passwords, factor_required=login.second_factor),
        attempts=Attempts(clock, login.trusted_proxies),
        people=ProviderPeople(engine, tables),
        provider=Provider(login.oidc, clock) if login.oidc.issuer else None,
        groups=login.oidc.groups,
        same_site=same_site,
    )


def door_of(request: Request) -> Door:
    door = request.app.state.door
    assert isinstance(door, Door), "create_app was given no door"
    return door


def note(request: Request, method: str, outcome: str) -> None:
    """Count and log a sign-in, a refusal or a sign-out: how and why, never who."""
    metrics: Metrics = request.app.state.metrics
    metrics.count(SIGN_INS, method=method, outcome=outcome)
    get_logger().info("sign-in", method=method, code=outcome, request_id=request.scope.get("request_id", ""))


def origin_of(request: Request) -> str:
    """This service's own address as the browser knows it; the guard has checked the host."""
    scheme = "https" if _is_secure(request) else "http"
    return f"{scheme}://{request.headers['host']}"


def _is_secure(request: Request) -> bool:
    """Everything is, except a browser on this machine over plain http. A forwarded scheme can only add safety."""
    if "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", "")):
        return True
    return host_name(request.headers.get("host", "")) not in LOOPBACK
