"""Who may send: a key in `Authorization: Bearer`, Basic (password) or `X-API-Key`, scoped to one source."""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta

from services.ingest.sources import Source, Sources, digest_key
from services.ingest.tenants import ACTIVE, Tenants
from services.runtime.clock import Clock

__all__ = ["Gate", "Refused"]

_FRESH = timedelta(seconds=1)  # a revoked key is refused within a second; the store is asked once a second at most
_NOTED_EVERY = timedelta(minutes=1)


class Refused(Exception):
    """`status` 401 (no good key) or 403 (a good one, for something else). `source` is a declared one, or empty
    where nobody can tell whose request it was."""

    def __init__(self, status: int, code: str, detail: str, *, source: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.detail, self.source = status, code, detail, source


class Gate:
    """Thread safe."""

    def __init__(self, sources: Sources, tenants: Tenants, clock: Clock) -> None:
        self._sources, self._tenants, self._clock = sources, tenants, clock
        self._lock = threading.Lock()
        self._keys: Mapping[str, tuple[str, Source]] = {}
        self._names: frozenset[str] = frozenset()
        self._asked_at: datetime | None = None
        self._used: set[str] = set()
        self._noted_at = clock.now()

    def check(self, headers: Mapping[str, str]) -> Source:
        """The source that the key belongs to. Raises `Refused`, `Transient`."""
        key = _key(headers)
        if key is None:
            raise Refused(401, "missing_key", "Send the source's key, such as: Authorization: Bearer vsk_...")
        digest = digest_key(key)
        with self._lock:
            found = self._live().get(digest)
            if found is None:
                raise Refused(401, "bad_key", "The key is unknown or revoked; see: voile source list")
            self._used.add(found[0])
        return found[1]

    def admit(self, headers: Mapping[str, str], source: str) -> Source:
        """The source, when the key is its own and its tenant is active. Raises `Refused`, `Transient`."""
        try:
            found = self.check(headers)
        except Refused as refused:
            refused.source = source if source in self._names else ""
            raise
        if found.name != source:
            raise Refused(403, "wrong_source", "The key belongs to another source.", source=found.name)
        if self._tenants.status(found.tenant) != ACTIVE:
            detail = "The source's tenant is not active; see: voile tenant list"
            raise Refused(403, "tenant_inactive", detail, source=found.name)
        return found

    def note_use(self) -> None:
        """Write down which keys were used, once a minute; called by the plane's housekeeping."""
        now = self._clock.now()
        with self._lock:
            if now - self._noted_at < _NOTED_EVERY:
                return
            used, self._used, self._noted_at = sorted(self._used), set(), now
        self._sources.note_use(used, now)

    def _live(self) -> Mapping[str, tuple[str, Source]]:
        now = self._clock.now()
        if self._asked_at is None or now - self._asked_at >= _FRESH:
            self._keys, self._asked_at = self._sources.live_keys(), now
            self._names = frozenset(source.name for source in self._sources.all())
        return self._keys


def _key(headers: Mapping[str, str]) -> str | None:
    if direct := headers.get("x-api-key"):
        return direct.strip()
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None
    return _password(value) if scheme.lower() == "basic" else None


def _password(encoded: str) -> str | None:
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode().partition(":")[2] or None
    except (binascii.Error, UnicodeDecodeError):
        return None
