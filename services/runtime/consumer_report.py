"""What a consumer loop tells: one log line a batch, and its metrics."""

from __future__ import annotations

from services.runtime import metrics
from services.runtime.log.interface import Partition
from services.runtime.logs import get_logger
from services.runtime.metrics import Metric, Metrics
from services.runtime.plans import Plan
from services.runtime.recovery import Recovery
from services.runtime.work import Work

__all__ = ["Report"]


class Report:
    def __init__(self, kept: Metrics, group: str) -> None:
        self._kept, self._group = kept, group

    def stored(self, work: Work, seconds: float, behind: int | None) -> None:
        """`behind`: records of the partition that are not stored yet, when known."""
        labels = {"group": self._group, "topic": work.plan.partition.topic}
        self._kept.count(metrics.BATCHES_STORED, **labels)
        self._kept.count(metrics.RECORDS_STORED, len(work.records or ()), **labels)
        self._kept.observe(metrics.STORE_SECONDS, seconds, **labels)
        if behind is not None:
            self._kept.set(metrics.LAG, behind, **labels)
        get_logger().info("batch stored", duration_ms=round(seconds * 1000), **self._where(work.plan))

    def recovered(self, partition: Partition, found: Recovery, overlapping: int) -> None:
        self._problem(metrics.PLANS_REDONE, partition, int(found.redo is not None))
        self._problem(metrics.GAPS_REPAIRED, partition, len(found.gaps))
        self._problem(metrics.LEDGER_OVERLAPS, partition, overlapping)

    def lost(self, plan: Plan) -> None:
        self._problem(metrics.RECORDS_LOST, plan.partition, plan.last - plan.first + 1)

    def gave_up(self, plan: Plan) -> None:
        self._problem(metrics.RECORDS_POISON, plan.partition, 1)

    def failed(self, plan: Plan, error: Exception) -> None:
        get_logger().warning("batch failed", error_type=type(error).__name__, **self._where(plan))

    def fenced(self, batches: int) -> None:
        self._kept.count(metrics.FENCED, group=self._group)
        get_logger().warning("another member took over", group=self._group, batches=batches)

    def waits(self, retry_after_s: float, why: str) -> None:
        self._kept.count(metrics.RETRIES, group=self._group)
        get_logger().warning("a dependency is away", group=self._group, reason=why, retry_after_s=retry_after_s)

    def _problem(self, metric: Metric, partition: Partition, by: int) -> None:
        if by:
            self._kept.count(metric, by, group=self._group, topic=partition.topic)
            get_logger().warning(metric.help, group=self._group, topic=partition.topic, count=by)

    def _where(self, plan: Plan) -> dict[str, str | int]:
        return {
            "group": self._group,
            "topic": plan.partition.topic,
            "partition": plan.partition.number,
            "first_offset": plan.first,
            "last_offset": plan.last,
            "attempt": plan.attempt,
        }
