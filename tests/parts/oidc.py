"""A real OpenID provider on 127.0.0.1, whose answers a test can spoil: oidc-provider-mock, and what stands before it."""

from __future__ import annotations

import contextlib
import json
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import BaseWSGIServer, make_server

from services.runtime.web import fetching
from tests.parts.web import WAIT_S

__all__ = ["OidcProvider", "an_oidc_provider", "unsigned"]

# What a test may do to an answer: its path and JSON go in, what the client gets comes out.
Spoil = Callable[[str, dict[str, Any]], Mapping[str, Any]]


@dataclass
class OidcProvider:
    """`keys`: those that it signs with and publishes, the newest first; `asked`: the paths that came, in order."""

    url: str
    keys: list[RSAKey]
    asked: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    spoil: Spoil = lambda _path, answer: answer
    claims_of_token: Callable[[dict[str, Any]], Mapping[str, Any]] = lambda claims: claims

    def person(self, sub: str, **claims: Any) -> None:
        assert httpx.put(f"{self.url}/users/{sub}", json=claims, verify=False, timeout=WAIT_S).status_code == 204

    def rotate(self) -> None:
        """A new key signs; the old one is not published any more."""
        self.keys = [_key()]

    def approve(self, authorization_url: str, sub: str) -> str:
        """As a person who signs in there: where the browser is sent to, with its code and state."""
        answer = httpx.post(authorization_url, data={"sub": sub}, verify=False, timeout=WAIT_S)
        assert answer.status_code == 302, answer.text
        return str(answer.headers["location"])

    def decline(self, authorization_url: str) -> str:
        """This provider forgets the state, which RFC 6749, 4.1.2.1 wants back."""
        answer = httpx.post(authorization_url, data={"action": "deny"}, verify=False, timeout=WAIT_S)
        return f"{answer.headers['location']}&state={parse_qs(urlsplit(authorization_url).query)['state'][0]}"

    def signed(self, claims: Mapping[str, Any], key: RSAKey | None = None) -> str:
        key = key or self.keys[0]
        return jwt.encode({"alg": "RS256", "kid": key.kid}, dict(claims), key)


def unsigned(claims: Mapping[str, Any]) -> str:
    """`alg` none: what a client must never take."""
    from joserfc.util import to_bytes, urlsafe_b64encode

    parts = [json.dumps({"alg": "none", "typ": "JWT"}), json.dumps(dict(claims))]
    return ".".join(urlsafe_b64encode(to_bytes(part)).decode() for part in parts) + "."


@contextlib.contextmanager
def an_oidc_provider() -> Iterator[OidcProvider]:
    """Its people are whom `person` names."""
    with warnings.catch_warnings():
        import authlib.deprecate  # noqa: F401  # sets a rule of its own for its warnings; ours comes after it

        warnings.simplefilter("ignore")  # it stands on authlib's older JOSE
        import oidc_provider_mock

        app: Any = oidc_provider_mock.app(require_nonce=True)
    app.debug = False
    provider = OidcProvider("", [_key()])
    server = make_server("127.0.0.1", 0, _Front(app, provider), threaded=True)
    provider.url = f"http://127.0.0.1:{server.server_port}"
    with pytest.MonkeyPatch.context() as patch, _running(server):
        patch.setenv(
            "AUTHLIB_INSECURE_TRANSPORT", "1"
        )  # the provider's own check: it runs without TLS, on this machine
        patch.setattr(fetching, "TIMEOUT_S", WAIT_S)  # what is tested here is not how busy this machine is
        yield provider


class _Front:
    """WSGI: re-signs the provider's tokens with `keys`, so that they can rotate, and lets the test spoil answers."""

    def __init__(self, app: Any, provider: OidcProvider) -> None:
        self._app, self._provider = app, provider

    def __call__(self, environ: dict[str, Any], start: Any) -> Any:
        provider, path = self._provider, environ["PATH_INFO"]
        provider.asked.append(path)
        told: list[Any] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = b"".join(self._app(environ, lambda status, headers, _e=None: told.extend((status, headers))))
        status, headers = told
        if environ["REQUEST_METHOD"] in {"GET", "POST"} and "json" in dict(headers).get("Content-Type", ""):
            body = json.dumps(provider.spoil(path, self._own(path, json.loads(body)))).encode()
            headers = [(name, value) for name, value in headers if name != "Content-Length"]
        start(status, headers)
        return [body]

    def _own(self, path: str, answer: dict[str, Any]) -> dict[str, Any]:
        if path == "/jwks":
            return dict(KeySet(list(self._provider.keys)).as_dict())
        if "id_token" in answer:
            claims = json.loads(_payload(answer["id_token"]))
            return answer | {"id_token": self._provider.signed(self._provider.claims_of_token(claims))}
        return answer


def _payload(token: str) -> bytes:
    from joserfc.util import urlsafe_b64decode

    return urlsafe_b64decode(token.split(".")[1].encode())


def _key() -> RSAKey:
    key = RSAKey.generate_key(2048, private=True)
    key.ensure_kid()
    return key


@contextlib.contextmanager
def _running(server: BaseWSGIServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()
