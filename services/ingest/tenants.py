"""Which tenants may send: the registry's word, followed from `tenant.v1`."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from services.runtime import avro
from services.runtime.clock import Clock
from services.runtime.errors import Fatal, Poison, Transient, VoileError
from services.runtime.log.interface import EventLog, Record
from services.runtime.logs import get_logger
from services.runtime.stop import Stop
from services.runtime.topics import TOPICS

__all__ = ["ACTIVE", "Tenants"]

ACTIVE = "active"
_NOT_READ = "The registry of tenants could not be read yet."
_FRESH = timedelta(seconds=1)  # a suspended tenant is refused within a second


class Tenants:
    """Thread safe. Asks the log when it is asked, at most once a second; in a service, `follow` does that instead."""

    def __init__(self, log: EventLog, clock: Clock) -> None:
        self._follower = log.follower([TOPICS["tenant"].name])
        self._clock = clock
        self._lock = threading.Lock()
        self._status: dict[str, str] = {}
        self._asked_at: datetime | None = None
        self._followed = self._known = False

    def status(self, tenant: str) -> str | None:
        """`active`, `suspended`, ...; None for a tenant that nobody registered. Raises `Transient`.

        Of a log that is away the last word counts, while a thread follows it: what is accepted then is spooled.
        """
        if not self._followed:
            self._ask()
        if not self.are_known:
            raise Transient(_NOT_READ)
        return self._status.get(tenant)

    def all(self) -> Mapping[str, str]:
        """Tenant -> what `status` says of it. Raises `Transient`."""
        if not self._followed:
            self._ask()
        if not self.are_known:
            raise Transient(_NOT_READ)
        return dict(self._status)

    @property
    def are_known(self) -> bool:
        """Whether the registry was read, now or before a restart."""
        return self._known

    def follow(self, stop: Stop, memory: Path | None = None) -> None:
        """For a thread of its own: no request waits for a log that is away. Until `stop`. `memory` is a file that
        remembers the registry, for a start while the log is away."""
        if memory is not None:
            self._recall(memory)
        self._followed = True
        while not stop.is_set:
            with contextlib.suppress(VoileError):  # such as: no such topic, until this service has made it
                if self._ask() and memory is not None:
                    self._remember(memory)
            stop.wait(_FRESH.total_seconds())

    def require_active(self, tenant: str) -> None:
        """Raises `Fatal` with what to do."""
        status = self.status(tenant)
        if status is None:
            raise Fatal(f"There is no tenant {tenant!r}; add it with: voile tenant add {tenant}")
        if status != ACTIVE:
            raise Fatal(f"The tenant {tenant!r} is {status}: nothing is accepted for it.")

    def close(self) -> None:
        self._follower.close()

    def _ask(self) -> bool:
        """True when something was new."""
        with self._lock:
            now = self._clock.now()
            if self._asked_at is not None and now - self._asked_at < _FRESH:
                return False
            records = self._follower.poll()
            for record in records:
                self._note(record)
            self._asked_at, self._known = now, True
            return bool(records)

    def _recall(self, memory: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            try:
                self._status = {
                    str(name): str(status) for name, status in json.loads(memory.read_text("utf-8")).items()
                }
                self._known = True
            except (ValueError, AttributeError):
                get_logger().warning("memory of tenants is damaged; the registry is waited for")

    def _remember(self, memory: Path) -> None:
        fresh = memory.with_suffix(".fresh")
        try:
            fresh.write_text(json.dumps(self._status), "utf-8")
            fresh.replace(memory)
        except OSError as error:  # a full disk: only a start without the log would need it
            get_logger().warning("tenants not remembered", error_type=type(error).__name__)

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
