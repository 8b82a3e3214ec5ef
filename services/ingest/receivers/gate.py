"""Who may send: a key in `Authorization: Bearer`, Basic (user = source) or `X-API-Key`, scoped to one source."""

from __future__ import annotations

import base64
import binascii
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.ingest.receivers.refusals import Refused
from services.ingest.sources import KnownKey, Source, Sources, digest_key
from services.ingest.tenants import ACTIVE, Tenants
from services.runtime.clock import Clock

__all__ = ["Gate"]

_FRESH = timedelta(seconds=1)  # a revoked key is refused within a second; the store is asked once a second at most
_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Claimed:
    """What a request says of itself: `source` by Basic's user, or empty."""

    key: str | None
    source: str = ""


class Gate:
    """Thread safe."""

    def __init__(self, sources: Sources, tenants: Tenants, clock: Clock) -> None:
        self._sources, self._tenants, self._clock = sources, tenants, clock
        self._lock = threading.Lock()
        self._keys: Mapping[str, KnownKey] = {}
        self._names: frozenset[str] = frozenset()
        self._asked_at: datetime | None = None
        self._used: set[str] = set()
        self._noted_at = clock.now()
        self._turned_away: Counter[tuple[str, str]] = Counter()

    def check(self, headers: Mapping[str, str], source: str = "") -> Source:
        """The source that the key belongs to. `source` is the one that is asked for, when the request says so.
        Raises `Refused`, `Transient`."""
        try:
            return self._check(_claimed(headers), source)
        except Refused as refused:
            with self._lock:
                self._turned_away[refused.source, refused.code] += 1
            raise

    def admit(self, headers: Mapping[str, str], source: str = "") -> Source:
        """As `check`, when the source's tenant is active."""
        found = self.check(headers, source)
        if self._tenants.status(found.tenant) != ACTIVE:
            detail = "The source's tenant is not active; see: voile tenant list"
            raise Refused(403, "tenant_inactive", detail, source=found.name)
        return found

    def note_use(self) -> Mapping[tuple[str, str], int]:
        """Write down which keys were used, once a minute; called by the plane's housekeeping. Returns how often whom
        was turned away since, by (source, code)."""
        now = self._clock.now()
        with self._lock:
            if now - self._noted_at < _NOTED_EVERY:
                return {}
            used, self._used, self._noted_at = sorted(self._used), set(), now
            turned_away, self._turned_away = self._turned_away, Counter()
        self._sources.note_use(used, now)
        return turned_away

    def _check(self, claimed: _Claimed, source: str) -> Source:
        with self._lock:
            keys = self._fresh()
            asked = next((name for name in (source, claimed.source) if name in self._names), "")
            if claimed.key is None:
                detail = "Send the source's key, such as: Authorization: Bearer vsk_..."
                raise Refused(401, "missing_key", detail, source=asked)
            found = keys.get(digest_key(claimed.key))
            if found is None:
                raise Refused(401, "bad_key", "The key is unknown; see: voile source list", source=asked)
            if found.revoked:
                detail = "The key was revoked; a new one comes from: voile source rotate-key"
                raise Refused(401, "revoked_key", detail, source=found.source.name)
            if any(name not in {"", found.source.name} for name in (source, claimed.source)):
                raise Refused(403, "wrong_source", "The key belongs to another source.", source=found.source.name)
            self._used.add(found.id)
        return found.source

    def _fresh(self) -> Mapping[str, KnownKey]:
        now = self._clock.now()
        if self._asked_at is None or now - self._asked_at >= _FRESH:
            self._keys, self._asked_at = self._sources.known_keys(), now
            self._names = frozenset(key.source.name for key in self._keys.values())
        return self._keys


def _claimed(headers: Mapping[str, str]) -> _Claimed:
    if direct := headers.get("x-api-key"):
        return _Claimed(direct.strip())
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        return _basic(value)
    return _Claimed((value.strip() or None) if scheme.lower() == "bearer" else None)


def _basic(encoded: str) -> _Claimed:
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return _Claimed(None)
    return _Claimed(password or None, user)
