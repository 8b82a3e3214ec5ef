"""Watching merges: on a full disk a merge can put a broken part in the place of good ones, without an error.

The sources of a merge stay on the disk for `old_parts_lifetime` (an hour): looked at every minute, a broken
result is noticed while they can still be brought back.
"""

from __future__ import annotations

from services.runtime.clickhouse import Analytics
from services.runtime.logs import get_logger
from services.stats.parts import Parts

__all__ = ["WATCH_S", "PartsWatch"]

WATCH_S = 60.0  # against `old_parts_lifetime` of 3600 s: sixty chances to see it


class PartsWatch:
    """Remembers which parts were found intact. Use from one thread."""

    def __init__(self, analytics: Analytics) -> None:
        self._parts = Parts(analytics)
        self._seen: frozenset[str] = frozenset()
        self._log = get_logger()

    def look(self) -> list[str]:
        """Check every active part not seen before; re-attach the table when one is broken. Returns the broken ones."""
        active = frozenset(self._parts.active())
        fresh = active - self._seen
        suspects = [part for part in sorted(fresh) if not self._parts.intact(part)]
        broken = [part for part in suspects if part in self._parts.active()]  # the others were merged meanwhile
        if broken:
            self._log.error("broken parts found", count=len(broken), part=broken[0])
            self._parts.reattach()
            self._seen = frozenset()
        else:
            self._seen = active
        return broken
