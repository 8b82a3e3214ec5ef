"""Sources that are named by where a message came from (a port, a peer, a topic's header) and not by a key."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.ingest.formats import Format, format_named
from services.ingest.sources import Source, Sources
from services.ingest.tenants import ACTIVE, Tenants
from services.runtime.clock import Clock

__all__ = ["Sender", "Senders"]

_FRESH = timedelta(seconds=1)  # a source that was changed is read anew within a second


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose lines they are, and how to read them."""

    source: Source
    format: Format


class Senders:
    """Thread safe."""

    def __init__(self, sources: Sources, tenants: Tenants, clock: Clock) -> None:
        self._sources, self._tenants, self._clock = sources, tenants, clock
        self._lock = threading.Lock()
        self._known: Mapping[str, Source] = {}
        self._asked_at: datetime | None = None

    def named(self, name: str) -> Sender | None:
        """None when there is no such source. Raises `Transient`."""
        with self._lock:
            now = self._clock.now()
            if self._asked_at is None or now - self._asked_at >= _FRESH:
                self._known, self._asked_at = {source.name: source for source in self._sources.all()}, now
            source = self._known.get(name)
        return None if source is None else Sender(source, format_named(source.format))

    def is_active(self, sender: Sender) -> bool:
        """Whether its tenant may send now. Raises `Transient`."""
        return self._tenants.status(sender.source.tenant) == ACTIVE
