"""Whether an ID token proves who somebody is (OpenID Connect Core 1.0, 3.1.3.7).

The claims' rules are authlib's, the signature joserfc's, which authlib stands on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from joserfc.jwk import KeySet
    from joserfc.jwt import Token

__all__ = ["ALGORITHMS", "LEEWAY_S", "Expected", "NotTrusted", "verified"]

LEEWAY_S = 60  # between the provider's clock and ours
# Signed with the provider's private key; `none` and shared secrets are not among them.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")


class NotTrusted(Exception):
    """What came is no proof of who somebody is. `code`: one word for logs and metrics."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Expected:
    """What the token must say. `access_token`: the one that came with it, which its `at_hash` is of."""

    issuer: str
    client_id: str
    nonce: str
    access_token: str


def verified(token: str, keys: Callable[[bool], KeySet], expected: Expected, now: datetime) -> Mapping[str, Any]:
    """Its claims. `keys(True)` asks the provider again. Raises `NotTrusted`."""
    from joserfc.errors import ExpiredTokenError, JoseError

    try:
        decoded = _decoded(token, keys)
        claims: Mapping[str, Any] = _checked(decoded, expected, now)
    except ExpiredTokenError:
        raise NotTrusted("expired") from None
    except (JoseError, ValueError, TypeError) as error:
        raise NotTrusted(f"bad_{getattr(error, 'claim', 'token')}") from None
    return claims


def _decoded(token: str, keys: Callable[[bool], KeySet]) -> Token:
    """Keys rotate: one that is not known makes us ask again."""
    from joserfc import jwt
    from joserfc.errors import InvalidKeyIdError

    try:
        return jwt.decode(token, keys(False), ALGORITHMS)
    except InvalidKeyIdError:
        return jwt.decode(token, keys(True), ALGORITHMS)


def _checked(token: Token, expected: Expected, now: datetime) -> Any:
    from authlib.oidc.core.claims import CodeIDToken

    claims = CodeIDToken(
        token.claims,
        token.header,
        options={
            "iss": {"essential": True, "value": expected.issuer},
            "aud": {"essential": True, "value": expected.client_id},
            "sub": {"essential": True},
        },
        params={"nonce": expected.nonce, "client_id": expected.client_id, "access_token": expected.access_token},
    )
    claims.validate(now=int(now.timestamp()), leeway=LEEWAY_S)
    return claims
