"""Which tenants may send: the registry's word, followed from `tenant.v1`."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from services.runtime import avro
from services.runtime.clock import Clock
from services.runtime.errors import Fatal, Poison
from services.runtime.log.interface import EventLog, Record
from services.runtime.logs import get_logger
from services.runtime.topics import TOPICS

__all__ = ["ACTIVE", "Tenants"]

ACTIVE = "active"
_FRESH = timedelta(seconds=1)  # a suspended tenant is refused within a second


class Tenants:
    """Thread safe."""

    def __init__(self, log: EventLog, clock: Clock) -> None:
        self._follower = log.follower([TOPICS["tenant"].name])
        self._clock = clock
        self._lock = threading.Lock()
        self._status: dict[str, str] = {}
        self._asked_at: datetime | None = None

    def status(self, tenant: str) -> str | None:
        """`active`, `suspended`, ...; None for a tenant that nobody registered. Raises `Transient`."""
        with self._lock:
            now = self._clock.now()
            if self._asked_at is None or now - self._asked_at >= _FRESH:
                for record in self._follower.poll():
                    self._note(record)
                self._asked_at = now
            return self._status.get(tenant)

    def require_active(self, tenant: str) -> None:
        """Raises `Fatal` with what to do."""
        status = self.status(tenant)
        if status is None:
            raise Fatal(f"There is no tenant {tenant!r}; add it with: voile tenant add {tenant}")
        if status != ACTIVE:
            raise Fatal(f"The tenant {tenant!r} is {status}: nothing is accepted for it.")

    def close(self) -> None:
        self._follower.close()

    def _note(self, record: Record) -> None:
        if record.value is None:
            self._status.pop(record.key.decode(errors="replace"), None)
            return
        try:
            tenant = avro.decode_record(record.value, "tenant")
        except Poison as error:
            get_logger().warning("registry record skipped", topic=record.partition.topic, reason=error.reason)
            return
        self._status[tenant["tenant"]] = tenant["status"]
