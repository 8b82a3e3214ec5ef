"""So many requests an hour by key: a bucket that refills evenly, in this process's memory."""

from __future__ import annotations

import threading
from collections import OrderedDict

from services.runtime.clock import Clock

__all__ = ["Quota"]

_KEYS_MAX = 10_000  # the least recently used are forgotten: who was forgotten starts with a full bucket


class Quota:
    """`take` is thread safe; a restart fills every bucket."""

    def __init__(self, per_hour: int, clock: Clock) -> None:
        self.per_hour = per_hour
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> (left, at)
        self._lock = threading.Lock()

    def take(self, key: str) -> float:
        """0 when the request may go on, else seconds until the next one may."""
        now, rate = self._clock.now().timestamp(), self.per_hour / 3600
        with self._lock:
            left, at = self._buckets.pop(key, (float(self.per_hour), now))
            left = min(self.per_hour, left + max(0.0, now - at) * rate)
            wait = 0.0 if left >= 1 else (1 - left) / rate
            self._buckets[key] = (left if wait else left - 1, now)
            while len(self._buckets) > _KEYS_MAX:
                self._buckets.popitem(last=False)
        return wait

    def left(self, key: str) -> tuple[int, float]:
        """Requests that may follow at once, and seconds until the bucket is full again."""
        now, rate = self._clock.now().timestamp(), self.per_hour / 3600
        with self._lock:
            left, at = self._buckets.get(key, (float(self.per_hour), now))
        left = min(self.per_hour, left + max(0.0, now - at) * rate)
        return int(left), (self.per_hour - left) / rate
