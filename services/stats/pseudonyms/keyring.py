"""The keys of the open days: one (tenant, day), one random key, destroyed when the day is closed."""

from __future__ import annotations

from datetime import date
from typing import Protocol

from services.runtime.keys import KeyService

__all__ = ["OPEN_STATES", "DayStates", "Keyring"]

# A closing day still takes what was in the log when its closing began; a later state never opens again.
OPEN_STATES = frozenset({"open", "closing"})


class DayStates(Protocol):
    def state(self, tenant: str, day: date) -> str | None:
        """open | closing | published | events_dropped | closed; None for a day nobody has heard of."""
        ...


class Keyring:
    """Day keys by name in the plane's `KeyService`. Nothing is remembered here: what another process
    destroys is gone here at once, and the state of a day outlives its key."""

    def __init__(self, keys: KeyService, days: DayStates) -> None:
        self._keys, self._days = keys, days

    def key(self, tenant: str, day: date) -> bytes | None:
        """32 bytes, made at first need; None once the day is no longer open: its rows are late then."""
        if (self._days.state(tenant, day) or "open") not in OPEN_STATES:
            return None
        return self._keys.get_or_create(_name(tenant, day))

    def existing(self, tenant: str, day: date) -> bytes | None:
        """The key when there is one, without making it: for what is done to rows that are there."""
        return self._keys.get(_name(tenant, day))

    def days(self, tenant: str) -> list[date]:
        """The tenant's days that have a key, oldest first."""
        prefix = f"day/{tenant}/"
        return sorted(date.fromisoformat(name.removeprefix(prefix)) for name in self._keys.names(prefix))

    def destroy(self, tenant: str, day: date) -> bool:
        """True when there was a key. After it no pseudonym of that day can be computed again."""
        return self._keys.destroy(_name(tenant, day))


def _name(tenant: str, day: date) -> str:
    return f"day/{tenant}/{day.isoformat()}"
