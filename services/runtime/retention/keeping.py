"""Deleting what is over, and counting again: each plane for its own types of data.

1. remove what is over, type by type; 2. count what is there, asking the stores again; 3. publish what was counted on
`retention-report.v1`, for the console. A type that cannot be removed now does not keep the others from their turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from services.runtime.clock import Clock
from services.runtime.errors import Transient
from services.runtime.log.interface import EventLog
from services.runtime.logs import get_logger
from services.runtime.metrics import RETENTION_OVER, RETENTION_REMOVED, Metrics
from services.runtime.retention.kinds import KINDS
from services.runtime.retention.published import Line, Published, publish
from services.runtime.retention.terms import Terms

__all__ = ["EVERY", "SLACK", "Held", "Keeper", "Retention"]

EVERY = timedelta(hours=1)  # terms are days; those that are hours are 72
SLACK = 2 * EVERY  # after which something over its term counts as too old: one round missed


@dataclass(frozen=True, slots=True)
class Held:
    """What a store has of one tenant (empty: of nobody in particular): how many rows, since when, and how many of
    them are older than `cutoff` was when it counted."""

    tenant: str
    rows: int
    oldest: datetime | None
    over: int


class Keeper(Protocol):
    """One type of data in its stores. Both ask the stores each time."""

    @property
    def kind(self) -> str: ...

    def held(self, terms: Terms, now: datetime) -> Sequence[Held]:
        """`over`: what was over its term at `now`. Raises `Transient`."""
        ...

    def remove(self, terms: Terms, now: datetime) -> Mapping[str, int]:
        """Delete, anonymise or isolate what is over at `now`; how many rows, by tenant. Raises `Transient`."""
        ...


class Retention:
    """Of one plane. `terms` is asked each time: tenants change theirs at any moment."""

    def __init__(
        self,
        plane: str,
        keepers: Sequence[Keeper],
        terms: Callable[[], Terms],
        *,
        log: EventLog,
        clock: Clock,
        metrics: Metrics | None = None,
    ) -> None:
        self._plane, self._keepers, self._terms = plane, keepers, terms
        self._log, self._clock, self._metrics = log, clock, metrics

    @property
    def keepers(self) -> Sequence[Keeper]:
        return self._keepers

    def run(self) -> Sequence[Line]:
        """Remove what is over; then count again and publish. Raises `Transient` when nothing could be published."""
        now, terms = self._clock.now(), self._terms()
        removed = {keeper.kind: self._remove(keeper, terms, now) for keeper in self._keepers}
        lines = [self._ran(line, removed[line.kind], now) for line in self._count(terms, now, removed)]
        publish(self._log, lines)
        self._tell(lines)
        return lines

    def report(self) -> Sequence[Line]:
        """Counts what is there, removes nothing; with the last run that was published. Raises `Transient`."""
        now = self._clock.now()
        with Published(self._log) as published:
            last = {(line.kind, line.tenant): line for line in published.lines(self._plane)}
        return [_after(line, last.get((line.kind, line.tenant))) for line in self._count(self._terms(), now, {})]

    def _remove(self, keeper: Keeper, terms: Terms, now: datetime) -> Mapping[str, int]:
        try:
            return keeper.remove(terms, now)
        except Transient as error:  # counting shows it; the next round tries again
            get_logger().warning(
                "retention waits", stage=keeper.kind, reason=str(error), retry_after_s=error.retry_after_s
            )
            return {}

    def _count(self, terms: Terms, now: datetime, removed: Mapping[str, Mapping[str, int]]) -> list[Line]:
        """A type that there is nothing of has a line too: it was looked at. So has a tenant who had all removed."""
        found: list[Line] = []
        for keeper in self._keepers:
            there = {held.tenant: held for held in keeper.held(terms, now - SLACK)}
            gone = {tenant: Held(tenant, 0, None, 0) for tenant in removed.get(keeper.kind, {}) if tenant not in there}
            lines = [*there.values(), *gone.values()] or [Held("", 0, None, 0)]
            found += [_line(self._plane, keeper.kind, held, terms, now) for held in lines]
        return found

    def _ran(self, line: Line, removed: Mapping[str, int], now: datetime) -> Line:
        return replace(line, ran_at=now, removed=removed.get(line.tenant, 0), next_run=now + EVERY)

    def _tell(self, lines: Sequence[Line]) -> None:
        removed, over = sum(line.removed for line in lines), sum(line.over for line in lines)
        if removed or over:
            get_logger().info("terms over", rows=removed, count=over)
        if self._metrics is not None:
            for kind in {line.kind for line in lines}:
                mine = [line for line in lines if line.kind == kind]
                self._metrics.count(RETENTION_REMOVED, sum(line.removed for line in mine), kind=kind)
                self._metrics.set(RETENTION_OVER, sum(line.over for line in mine), kind=kind)


def _line(plane: str, kind: str, held: Held, terms: Terms, now: datetime) -> Line:
    assert KINDS[kind].plane == plane, "a plane answers for its own types alone"
    return Line(
        plane=plane,
        kind=kind,
        tenant=held.tenant,
        term=terms.of(kind, held.tenant),
        end=terms.end(kind, held.tenant).value,
        rows=held.rows,
        oldest=held.oldest,
        over=held.over,
        at=now,
    )


def _after(line: Line, last: Line | None) -> Line:
    return line if last is None else replace(line, ran_at=last.ran_at, removed=last.removed, next_run=last.next_run)
