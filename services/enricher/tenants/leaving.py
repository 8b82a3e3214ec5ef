"""A tenant that leaves, from the day its notice is over to the completed certificate.

1. on that day its state becomes `terminating`: every plane sees it in the registry, takes nothing more and deletes;
2. this plane deletes, and waits for the others to say what they had and have; 3. the certificate is issued, the state
becomes `terminated`; 4. when what ends by itself has ended, the certificate is completed. Nothing here is remembered
but in the registry and the records: a process that was killed goes on where they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from services.enricher.tenants.certificates import COMPLETED, ISSUED, LATER, TenantCertificates
from services.enricher.tenants.registry import Registry, Tenant
from services.runtime.clock import Clock
from services.runtime.departures import FINISHED, Departures, Left, case_of
from services.runtime.errors import Transient
from services.runtime.log.interface import EventLog, Follower
from services.runtime.logs import get_logger
from services.runtime.metrics import TENANTS_LEAVING, TENANTS_OVERDUE, Metrics
from services.runtime.receipts import Receipt, receipts_of
from services.runtime.retention.terms import GONE
from services.runtime.topics import TOPICS

__all__ = ["OTHERS", "Leaving"]

OTHERS = ("ingest", "stats")  # planes that answer
HOLD = "a legal hold"
OVERDUE = timedelta(days=1)  # minutes are enough when every plane runs
TERMINATING, TERMINATED = "terminating", "terminated"


class Leaving:
    """Use from one thread, under the housekeeping's lease."""

    def __init__(
        self,
        registry: Registry,
        departures: Departures,
        certificates: TenantCertificates,
        *,
        log: EventLog,
        clock: Clock,
        metrics: Metrics,
        is_held: Callable[[str], bool],
    ) -> None:
        """`is_held`: whether a legal hold stands on somebody of the tenant. Its end waits for that."""
        self._is_held = is_held
        self._registry, self._departures, self._certificates = registry, departures, certificates
        self._log, self._clock, self._metrics = log, clock, metrics
        self._follower: Follower | None = None
        self._receipts: dict[tuple[str, str, str], Receipt] = {}

    def step(self) -> None:
        """Every tenant as far as it goes; one that has to wait does not keep the others. Raises `Transient`."""
        self._registry.follow()
        for tenant in self._registry.all():
            try:
                self._carry_on(tenant)
            except Transient as error:
                get_logger().warning(
                    "a departure waits", tenant=tenant.tenant, reason=str(error), retry_after_s=error.retry_after_s
                )
        self._tell()

    def waiting_for(self, tenant: str) -> Sequence[str]:
        """A legal hold when its day is over and one stands; once it has begun, the planes that have not said that they
        are done."""
        known = self._registry.get(tenant)
        if known is not None and known.status not in GONE:
            return [HOLD] if self._is_due(known) and self._is_held(tenant) else []
        self._follow()
        return [plane for plane in OTHERS if (case_of(tenant), plane, FINISHED) not in self._receipts]

    def close(self) -> None:
        if self._follower is not None:
            self._follower.close()

    def _carry_on(self, tenant: Tenant) -> None:
        if self._is_due(tenant) and not self._is_held(tenant.tenant):
            tenant = self._begin(tenant)
        if tenant.status == TERMINATING:
            self._delete(tenant)
        elif tenant.status == TERMINATED and not self._certificates.has(tenant.tenant, COMPLETED):
            self._complete(tenant.tenant)

    def _is_due(self, tenant: Tenant) -> bool:
        ends = tenant.terminates_at
        return tenant.status not in GONE and ends is not None and self._clock.now() >= ends

    def _begin(self, tenant: Tenant) -> Tenant:
        """Its hosts may be another's from now on."""
        leaves = replace(tenant, status=TERMINATING, hosts=(), routes=(), releases=False, platform_releases=False)
        get_logger().warning("a tenant is being deleted", tenant=tenant.tenant)
        return self._registry.add(replace(leaves, updated_at=self._clock.now()))

    def _delete(self, tenant: Tenant) -> None:
        own = self._departures.carry_out(tenant.tenant)
        if not self.waiting_for(tenant.tenant):
            if not self._certificates.has(tenant.tenant, ISSUED):
                self._certificates.issue(tenant, {"identity": own, **self._of_others(tenant.tenant)})
            self._registry.add(replace(tenant, status=TERMINATED, updated_at=self._clock.now()))
            get_logger().warning("a tenant was deleted", tenant=tenant.tenant)

    def _complete(self, tenant: str) -> None:
        issued = self._certificates.issued_at(tenant)
        if issued is None:  # the records come from a backup older than the end: it is taken through it again
            known = self._registry.get(tenant)
            assert known is not None
            self._delete(known)
        elif all(self._is_over(topic, issued) for topic in LATER):
            self._certificates.complete(tenant)

    def _is_over(self, topic: str, issued: datetime) -> bool:
        """By its date; and where this plane may read, by the oldest that is there."""
        if self._clock.now() < issued + LATER[topic]:
            return False
        if TOPICS[topic].compacted or "enricher" not in TOPICS[topic].read_by:
            return True
        oldest = self._log.oldest(TOPICS[topic].name)
        return oldest is None or oldest > issued

    def _of_others(self, tenant: str) -> Mapping[str, Sequence[Left]]:
        said = [r for (case, _, store), r in self._receipts.items() if case == case_of(tenant) and store != FINISHED]
        return {plane: [Left(r.store, r.deleted, r.remaining) for r in said if r.worker == plane] for plane in OTHERS}

    def _follow(self) -> None:
        if self._follower is None:
            self._follower = self._log.follower([TOPICS["privacy-receipt"].name])
        for receipt in receipts_of(self._follower.poll()):
            if receipt.case.startswith(case_of("")):
                self._receipts.setdefault((receipt.case, receipt.worker, receipt.store), receipt)

    def _tell(self) -> None:
        now = self._clock.now()
        begun = [tenant for tenant in self._registry.all() if tenant.status == TERMINATING]
        scheduled = [t for t in self._registry.all() if t.status not in GONE and t.terminates_at is not None]
        self._metrics.set(TENANTS_LEAVING, len(scheduled), stage="scheduled")
        self._metrics.set(TENANTS_LEAVING, len(begun), stage="begun")
        self._metrics.set(TENANTS_OVERDUE, sum(now > tenant.updated_at + OVERDUE for tenant in begun))
