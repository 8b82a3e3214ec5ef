"""An OpenID provider, as a service talks to it: discovery, code for token, and who the token says it is.

Sources: OpenID Connect Core 1.0, 3.1 (authorization code flow) and Discovery 1.0; RFC 7636 (PKCE, S256); RFC 9700 (one
state, nonce and verifier a try). Its libraries are imported where they are used: most installations have no provider.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote_plus

from services.runtime.clock import Clock
from services.runtime.settings import Oidc
from services.runtime.web.fetching import Fetcher, ProviderAway
from services.runtime.web.id_token import Expected, NotTrusted, verified

if TYPE_CHECKING:
    from joserfc.jwk import KeySet, KeySetSerialization

__all__ = ["Flow", "NotTrusted", "Person", "Provider", "ProviderAway"]

DISCOVERED_FOR = timedelta(hours=1)
KEYS_AGAIN = timedelta(minutes=1)  # how often an unknown key makes us ask for the keys again


@dataclass(frozen=True, slots=True)
class Flow:
    """One try to sign in, kept in a cookie of the browser that began it."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def fresh(cls, random_token: Callable[[int], str] = secrets.token_urlsafe) -> Flow:
        return cls(random_token(32), random_token(32), random_token(48))

    @classmethod
    def read(cls, cookie: str) -> Flow | None:
        parts = cookie.split(".")
        return cls(*parts) if len(parts) == 3 and all(parts) else None

    def written(self) -> str:
        return ".".join((self.state, self.nonce, self.verifier))


@dataclass(frozen=True, slots=True)
class Person:
    """Who the provider says it is. `subject` is "issuer sub": the only name that never goes to somebody else."""

    subject: str
    name: str
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Metadata:
    """Of the provider, and when it was read."""

    said: Mapping[str, Any]
    at: datetime

    def address(self, name: str) -> str:
        found = self.said.get(name)
        if not isinstance(found, str):
            raise ProviderAway(f"its configuration has no {name}")
        return found


class Provider:
    """One provider. Thread safe; every method may raise `ProviderAway`."""

    def __init__(self, settings: Oidc, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._fetcher = Fetcher()
        self._lock = threading.Lock()
        self._metadata: _Metadata | None = None
        self._keys: tuple[KeySet, datetime] | None = None

    @property
    def title(self) -> str:
        return self._settings.title

    def authorization_url(self, flow: Flow, redirect_uri: str) -> str:
        """Where the browser goes to sign in."""
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        url: str = prepare_grant_uri(
            self._discover().address("authorization_endpoint"),
            client_id=self._settings.client_id,
            response_type="code",
            redirect_uri=redirect_uri,
            scope=self._settings.scope,
            state=flow.state,
            nonce=flow.nonce,
            code_challenge=create_s256_code_challenge(flow.verifier),
            code_challenge_method="S256",
        )
        return url

    def end_session_url(self, back: str) -> str:
        """Where one signs out of the provider too; empty when it has no such page."""
        import httpx

        found = self._discover().said.get("end_session_endpoint")
        if not isinstance(found, str):
            return ""
        return str(
            httpx.URL(found).copy_merge_params(
                {"client_id": self._settings.client_id, "post_logout_redirect_uri": back}
            )
        )

    def person(self, code: str, flow: Flow, redirect_uri: str) -> Person:
        """Exchange `code`. Raises `NotTrusted` on anything that does not prove who it is."""
        metadata = self._discover()
        tokens = self._tokens(metadata, code, flow, redirect_uri)
        claims = self._claims(metadata, tokens, flow.nonce)
        wanted = (self._settings.name_claim, self._settings.groups_claim)
        if any(name not in claims for name in wanted) and "userinfo_endpoint" in metadata.said:
            claims = {**self._userinfo(metadata, tokens, claims["sub"]), **claims}
        name = claims.get(self._settings.name_claim)
        if not isinstance(name, str) or not name:
            raise NotTrusted("no_name")
        groups = _texts(claims.get(self._settings.groups_claim))
        return Person(f"{claims['iss']} {claims['sub']}", name, frozenset(groups))

    def _tokens(self, metadata: _Metadata, code: str, flow: Flow, redirect_uri: str) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": flow.verifier,
        }
        me, secret = self._settings.client_id, self._settings.client_secret.get_secret_value()
        ways = metadata.said.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        auth = None
        if secret and "client_secret_basic" in ways:
            auth = (quote_plus(me), quote_plus(secret))  # RFC 6749, 2.3.1: form-encoded first
        else:
            form |= {"client_id": me} | ({"client_secret": secret} if secret else {})
        answer = self._fetcher.ask("POST", metadata.address("token_endpoint"), data=form, auth=auth)
        if answer.status in {400, 401, 403}:
            raise NotTrusted("code_refused")
        return answer.object()

    def _claims(self, metadata: _Metadata, tokens: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        expected = Expected(
            issuer=metadata.address("issuer"),
            client_id=self._settings.client_id,
            nonce=nonce,
            access_token=str(tokens.get("access_token", "")),
        )

        def keys(again: bool) -> KeySet:
            return self._key_set(metadata, again)

        return verified(str(tokens.get("id_token", "")), keys, expected, self._clock.now())

    def _key_set(self, metadata: _Metadata, again: bool) -> KeySet:
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        now = self._clock.now()
        with self._lock:
            known = self._keys
        if known and now - known[1] < (KEYS_AGAIN if again else DISCOVERED_FOR):
            return known[0]
        try:
            said = self._fetcher.ask("GET", metadata.address("jwks_uri")).object()
            fresh = KeySet.import_key_set(cast("KeySetSerialization", said))
        except (JoseError, KeyError, TypeError, ValueError) as error:
            raise ProviderAway(f"its keys cannot be read ({type(error).__name__})") from None
        with self._lock:
            self._keys = (fresh, now)
        return fresh

    def _userinfo(self, metadata: _Metadata, tokens: Mapping[str, Any], subject: str) -> Mapping[str, Any]:
        """Core 5.3.2: its `sub` must be the ID token's, else it is somebody else's."""
        headers = {"authorization": f"Bearer {tokens.get('access_token', '')}"}
        said = self._fetcher.ask("GET", metadata.address("userinfo_endpoint"), headers=headers).object()
        if said.get("sub") != subject:
            raise NotTrusted("userinfo")
        return said

    def _discover(self) -> _Metadata:
        from authlib.oidc.discovery import get_well_known_url

        now = self._clock.now()
        with self._lock:
            known = self._metadata
        if known and now - known.at < DISCOVERED_FOR:
            return known
        said = self._fetcher.ask("GET", get_well_known_url(self._settings.issuer, external=True)).object()
        # Discovery 4.3; the slash at its end is what people get wrong, and says nothing about who it is.
        if str(said.get("issuer", "")).rstrip("/") != self._settings.issuer.rstrip("/"):
            raise ProviderAway("it calls itself by another issuer than login.oidc.issuer")
        fresh = _Metadata(said, now)
        with self._lock:
            self._metadata = fresh
        return fresh


def _texts(value: Any) -> Sequence[str]:
    """A claim that holds one text or several."""
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
