"""Watching merges: on a full disk a merge can put a broken part in the place of good ones, without an error.

The sources of a merge stay on the disk for `old_parts_lifetime` (an hour): looked at every minute, a broken
result is noticed while they can still be brought back.
"""

from __future__ import annotations

from services.runtime.clickhouse import Analytics
from services.runtime.logs import get_logger
from services.runtime.metrics import STATS_PARTS_BROKEN, Metrics
from services.stats.counting.parts import Parts

__all__ = ["WATCH_S", "PartsWatch"]

WATCH_S = 60.0  # against `old_parts_lifetime` of 3600 s: sixty chances to see it


class PartsWatch:
    """Remembers which parts were found intact. Use from one thread."""

    def __init__(self, analytics: Analytics, metrics: Metrics | None = None) -> None:
        self._parts, self._metrics = Parts(analytics), metrics or Metrics()
        self._seen: frozenset[str] = frozenset()
        self._log = get_logger()

    def look(self) -> list[str]:
        """Checks every active part not seen before; returns the broken ones, which are gone when it returns.

        The table is re-attached, which brings the sources of a merge back. What is broken still has none: it is
        dropped, and its rows are a gap in the ledger that the worker fills from the log.
        """
        active = frozenset(self._parts.active())
        broken = self._parts.broken(active - self._seen)
        self._seen = frozenset() if broken else active
        if broken:
            self._metrics.count(STATS_PARTS_BROKEN, len(broken))
            self._log.error("broken parts found", count=len(broken), part=broken[0])
            self._parts.reattach()
            self._parts.drop(self._parts.broken(self._parts.active()))
        return broken
