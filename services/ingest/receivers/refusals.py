"""Why a request is refused: a status of the contract with senders, Voile's own code, and what to do.

Nothing here may quote the request: shippers write what they are answered into their own logs.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["TITLES", "BodyError", "Refusal", "Refused"]

TITLES: Mapping[int, str] = {
    400: "The body is not usable",
    401: "No good key",
    403: "The key does not allow this",
    413: "Too large",
    415: "Not a kind of body that is read here",
    429: "Over the source's quota; send it again later",
    503: "Not durable now; send it again",
}


class Refusal(Exception):
    """`status` is one of `TITLES`; `retry_s` goes with 429 and 503 alone. `source` is a declared one, or empty
    where nobody can tell whose request it was."""

    def __init__(self, status: int, code: str, detail: str, *, retry_s: int | None = None, source: str = "") -> None:
        super().__init__(code)
        assert (retry_s is not None) == (status in {429, 503}), "who is to come again is told when"
        self.status, self.code, self.detail = status, code, detail
        self.retry_s, self.source = retry_s, source


class Refused(Refusal):
    """401 (no good key) or 403 (a good one, for something else)."""


class BodyError(Refusal):
    """The whole body: 400, 413 or 415."""
