"""Weeks and months: what they are called, when they are over, and the keys that accounts are counted under in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from services.runtime.keys import KeyService
from services.stats.days.states import AFTER_DAY

__all__ = ["KINDS", "Period", "PeriodKeys", "TenantPeriod", "named", "over"]

Kind = Literal["week", "month"]
KINDS: tuple[Kind, ...] = ("week", "month")


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A week from Monday (ISO 8601) or a calendar month, by its first day."""

    kind: Kind
    first: date

    @property
    def last(self) -> date:
        if self.kind == "week":
            return self.first + timedelta(days=6)
        return (self.first + timedelta(days=31)).replace(day=1) - timedelta(days=1)

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    def __str__(self) -> str:
        return f"{self.kind}/{self.first.isoformat()}"


@dataclass(frozen=True, slots=True)
class TenantPeriod:
    tenant: str
    period: Period


def named(text: str) -> Period:
    """The period that `str` gives this text of."""
    kind, _, first = text.partition("/")
    assert kind in KINDS, "no period"
    return Period(kind, date.fromisoformat(first))


def over(period: Period, now: datetime, zone: ZoneInfo) -> bool:
    """Whether its last day closes by itself by now."""
    return now >= datetime.combine(period.last + timedelta(days=1), time(0), zone) + AFTER_DAY


class PeriodKeys:
    """One random key a tenant and period in the plane's `KeyService`, as days have. Nothing is remembered here: what
    another process destroys is gone here at once. `is_closed` outlives the key."""

    def __init__(self, keys: KeyService, is_closed: Callable[[TenantPeriod], bool]) -> None:
        self._keys, self._is_closed = keys, is_closed

    def key(self, of: TenantPeriod) -> bytes | None:
        """32 bytes, made at first need; None once the period is closed."""
        if (found := self.existing(of)) is not None:
            return found
        return None if self._is_closed(of) else self._keys.get_or_create(_name(of))

    def existing(self, of: TenantPeriod) -> bytes | None:
        return self._keys.get(_name(of))

    def open(self, tenant: str | None = None) -> Iterator[TenantPeriod]:
        """The periods that have a key: of one tenant, or of all."""
        for kind in KINDS:
            for name in self._keys.names(f"{kind}/" + (f"{tenant}/" if tenant else "")):
                _, of, first = name.split("/")
                yield TenantPeriod(of, Period(kind, date.fromisoformat(first)))

    def destroy(self, of: TenantPeriod) -> bool:
        """True when there was a key. After it nobody can tell whether an account was among those counted."""
        return self._keys.destroy(_name(of))


def _name(of: TenantPeriod) -> str:
    return f"{of.period.kind}/{of.tenant}/{of.period.first.isoformat()}"
