"""The end of the reasons in the audit log: the key of their month goes, and they open no more. The entries stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.enricher.audit.log import reason_key
from services.runtime.keys import KeyService
from services.runtime.retention.keeping import Held
from services.runtime.retention.terms import Terms

__all__ = ["ReasonsKeeper"]

_PREFIX = reason_key("")


@dataclass(frozen=True, slots=True)
class ReasonsKeeper:
    """Counts months: their reasons share a key. A month is over when its last day is."""

    keys: KeyService
    kind: str = "audit"

    def held(self, terms: Terms, now: datetime) -> Sequence[Held]:
        months = [first for first, _ in self._months()]
        over = sum(1 for _ in self._over(terms, now))
        return [Held("", len(months), min(months, default=None), over)]

    def remove(self, terms: Terms, now: datetime) -> Mapping[str, int]:
        return {"": sum(self.keys.destroy(name) for name in list(self._over(terms, now)))}

    def _over(self, terms: Terms, now: datetime) -> Iterator[str]:
        cutoff = terms.cutoff(self.kind, now)
        return (name for first, name in self._months() if _next_month(first) <= cutoff)

    def _months(self) -> list[tuple[datetime, str]]:
        names = self.keys.names(_PREFIX)
        return [
            (datetime.fromisoformat(f"{name.removeprefix(_PREFIX)}-01").replace(tzinfo=UTC), name) for name in names
        ]


def _next_month(first: datetime) -> datetime:
    return (first + timedelta(days=32)).replace(day=1)
