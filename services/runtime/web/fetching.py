"""Asking an OpenID provider over HTTP: in time, in bounds, without following it elsewhere."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

__all__ = ["Answer", "Fetcher", "ProviderAway"]

TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 256 * 1024  # of discovery, keys, tokens: a provider's are some kilobytes


class ProviderAway(Exception):
    """It does not answer, or answers nonsense. The text names no person."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes

    def object(self) -> Mapping[str, Any]:
        """The JSON object of an answer that is a success. Raises `ProviderAway`."""
        if not 200 <= self.status < 300:
            raise ProviderAway(f"it answers {self.status}")
        try:
            said = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            said = None
        if not isinstance(said, dict):
            raise ProviderAway("its answer is no JSON object")
        return said


class Fetcher:
    """Trusts the system's certificates: an organisation's own authority is among them. Thread safe."""

    def __init__(self) -> None:
        self._trusted = ssl.create_default_context()

    def ask(self, method: str, url: str, **options: Any) -> Answer:
        """Raises `ProviderAway`. `options` are httpx's: data, headers, auth."""
        import httpx

        try:
            with (
                httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, verify=self._trusted) as client,
                client.stream(method, url, **options) as response,
            ):
                return Answer(response.status_code, _bounded(response.iter_bytes()))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProviderAway(f"it does not answer ({type(error).__name__})") from None


def _bounded(parts: Iterable[bytes]) -> bytes:
    body = b""
    for part in parts:
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise ProviderAway("its answer is too long")
    return body
