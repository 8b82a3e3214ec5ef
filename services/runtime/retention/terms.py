"""Terms: the operator's ceilings, and within them what each tenant has chosen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from services.runtime.retention.kinds import KINDS, End
from services.runtime.settings import Settings

__all__ = ["GONE", "OVER_ALL", "Standing", "Terms"]

OVER_ALL = datetime(9000, 1, 1, tzinfo=UTC)  # the cut-off of who has left: whatever there is, is over
GONE = frozenset({"terminating", "terminated"})  # states of a tenant whose data is being deleted, or is


@dataclass(frozen=True, slots=True)
class Standing:
    """What the registry says of one tenant: its state, its terms in days and their ends, by type of data."""

    status: str = "active"
    days: Mapping[str, int] = field(default_factory=dict)
    ends: Mapping[str, str] = field(default_factory=dict)


class Terms:
    """Who keeps what for how long, as it stands now."""

    def __init__(self, settings: Settings, tenants: Mapping[str, Standing]) -> None:
        self._settings, self._tenants = settings, tenants

    def of(self, kind: str, tenant: str = "") -> timedelta:
        """Never longer than the operator's. Nothing of a tenant that has left has any."""
        ceiling = KINDS[kind].term(self._settings)
        standing = self._tenants.get(tenant)
        if standing is None:
            return ceiling
        if standing.status in GONE:
            return timedelta(0)
        chosen = standing.days.get(kind) if KINDS[kind].settable else None
        return ceiling if chosen is None else min(ceiling, timedelta(days=chosen))

    def end(self, kind: str, tenant: str = "") -> End:
        """What happens to it then. Of a tenant that has left everything is deleted."""
        standing, ends = self._tenants.get(tenant), KINDS[kind].ends
        if standing is None:
            return ends[0]
        if standing.status in GONE:
            return End.DELETE
        chosen = standing.ends.get(kind, ends[0])
        return End(chosen) if chosen in ends else ends[0]

    def cutoff(self, kind: str, now: datetime, tenant: str = "") -> datetime:
        """What is older than this is over."""
        return OVER_ALL if self.is_gone(tenant) else now - self.of(kind, tenant)

    def by_cutoff(self, kind: str, now: datetime, tenants: Iterable[str]) -> Mapping[datetime, list[str]]:
        """`tenants` with the same cut-off together: few cut-offs, so few statements."""
        found: dict[datetime, list[str]] = defaultdict(list)
        for tenant in tenants:
            found[self.cutoff(kind, now, tenant)].append(tenant)
        return found

    def is_gone(self, tenant: str) -> bool:
        return tenant in self._tenants and self._tenants[tenant].status in GONE

    @property
    def tenants(self) -> tuple[str, ...]:
        return tuple(sorted(self._tenants))

    @property
    def gone(self) -> tuple[str, ...]:
        return tuple(tenant for tenant in self.tenants if self.is_gone(tenant))
