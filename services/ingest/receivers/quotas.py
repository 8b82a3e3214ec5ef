"""So many lines a minute by source: a bucket of one minute's lines that refills evenly, in this process's memory.

Lines are known only after a body was read, so a body is never cut: it may take the bucket below zero, and what
comes next is refused, before its body is read, until the debt is paid. Only what was answered 200 is charged: a
retry after a fault costs nothing.
"""

from __future__ import annotations

import math
import threading

from services.ingest.receivers.refusals import Refusal
from services.ingest.sources import Source
from services.runtime.clock import Clock

__all__ = ["LineQuotas"]

_MINUTE_S = 60.0
RETRY_S_MAX = 300  # a debt of more is the operator's to see; the sender asks again now and then


class LineQuotas:
    """Thread safe; a restart fills every bucket, and each ingest process has its own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}  # source -> (lines left, at); sources are declared: few

    def require(self, source: Source) -> None:
        """Raises `Refusal(429)` when the source has used up its lines."""
        limit = source.lines_per_minute
        if limit is None:
            return
        with self._lock:
            left = self._left(source.name, limit)
        if left < 1:
            wait = min(RETRY_S_MAX, max(1, math.ceil((1 - left) * _MINUTE_S / limit)))
            detail = f"The source may send {limit} lines a minute; see: voile source set-quota"
            raise Refusal(429, "quota", detail, retry_s=wait, source=source.name)

    def charge(self, source: Source, lines: int) -> None:
        limit = source.lines_per_minute
        if limit is None:
            return
        with self._lock:
            self._buckets[source.name] = (self._left(source.name, limit) - lines, self._now())

    def _left(self, name: str, limit: int) -> float:
        left, at = self._buckets.get(name, (float(limit), self._now()))
        return min(float(limit), left + max(0.0, self._now() - at) * limit / _MINUTE_S)

    def _now(self) -> float:
        return self._clock.now().timestamp()
