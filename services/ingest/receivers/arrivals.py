"""Bodies on their way in: the memory of all of them together is bounded, and who is slow pays first.

A sender that drips holds what it has sent so far. When there is no room left, the body that has been arriving
longest is dropped and told to come again; a good sender's body is there in milliseconds and never the oldest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from services.ingest.receivers.refusals import BodyError, Refusal

__all__ = ["BYTES_HELD_MAX", "Arrivals"]

BYTES_HELD_MAX = 64 * 1024 * 1024  # four of the largest bodies, or a hundred thousand ordinary lines
BUSY_RETRY_S = 1


@dataclass(slots=True, eq=False)
class _Body:
    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    dropped: bool = False


class Arrivals:
    """For one event loop: not thread safe."""

    def __init__(self) -> None:
        self._held = 0
        self._arriving: dict[_Body, None] = {}  # the oldest first

    @asynccontextmanager
    async def body(self, stream: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
        """The whole body, as it was sent; counted as held while the block runs. Raises `BodyError(413)` beyond
        `limit` bytes (a compressed one can never be larger than what it may unpack to), `Refusal(503)`."""
        body = _Body()
        self._arriving[body] = None
        try:
            async for part in stream:
                if body.dropped:
                    raise _busy()
                self._take(body, part, limit)
            if body.dropped:
                raise _busy()
            del self._arriving[body]
            yield b"".join(body.parts)
        finally:
            self._arriving.pop(body, None)
            self._drop(body)

    def _take(self, body: _Body, part: bytes, limit: int) -> None:
        if body.size + len(part) > limit:
            raise BodyError(413, "too_large", f"The body is larger than {limit} bytes; send less at once.")
        while self._held + len(part) > BYTES_HELD_MAX:
            oldest = self._oldest(body)
            if oldest is None:
                raise _busy()
            self._drop(oldest)
        body.parts.append(part)
        body.size += len(part)
        self._held += len(part)

    def _oldest(self, body: _Body) -> _Body | None:
        """The one that has been arriving longest, besides `body`, of those that hold something."""
        return next((other for other in self._arriving if other is not body and other.size), None)

    def _drop(self, body: _Body) -> None:
        self._held -= body.size
        body.parts, body.size, body.dropped = [], 0, True


def _busy() -> Refusal:
    return Refusal(503, "busy", "Too much at once; send it again.", retry_s=BUSY_RETRY_S)
