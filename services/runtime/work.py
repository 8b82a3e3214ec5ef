"""What a consumer loop has in hand: plans with their records, cut to size, retried, taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.runtime.log.interface import Record
from services.runtime.plans import Plan

__all__ = ["ATTEMPTS_MAX", "ATTEMPTS_TOGETHER", "BatchPolicy", "Work", "cut", "has_room", "next_attempt"]

ATTEMPTS_TOGETHER = 3  # of a whole batch (a crash of the process counts); then record by record, to find the one
ATTEMPTS_MAX = 6  # of a record on its own: three more, so that three kills from outside do not condemn it


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """How much goes into one write, at most. `wait_s`: how long a first record waits for company at most, while more
    keeps coming; after `quiet_s` without any it waits no longer. A write costs the same for one record as for ten
    (measured: about 25 ms of CPU), so while an import trickles in a full plan costs half as much a row."""

    records_max: int = 64
    bytes_max: int = 16 * 1024 * 1024
    wait_s: float = 0.5
    quiet_s: float = 0.25


@dataclass(frozen=True, slots=True)
class Work:
    """One plan in the queue. `records` is None while they are still to be read from the log."""

    plan: Plan
    records: Sequence[Record] | None
    lost: bool = False
    stored: bool = False


def has_room(records: Sequence[Record], policy: BatchPolicy) -> bool:
    return len(records) < policy.records_max and sum(len(r.value or b"") for r in records) < policy.bytes_max


def cut(plan: Plan, records: Sequence[Record], policy: BatchPolicy) -> list[Work]:
    """Batches of at most the policy's size, which tile the range of `plan`."""
    groups: list[list[Record]] = [[]]
    for record in records:
        if groups[-1] and not has_room(groups[-1], policy):
            groups.append([])
        groups[-1].append(record)
    return _tiled(plan, groups)


def next_attempt(work: Work) -> list[Work]:
    """The same batch again, or after `ATTEMPTS_TOGETHER` each of its records on its own."""
    plan = replace(work.plan, attempt=work.plan.attempt + 1)
    records = work.records or ()
    if plan.attempt > ATTEMPTS_TOGETHER and len(records) > 1:
        return _tiled(plan, [[record] for record in records])
    return [replace(work, plan=plan)]


def _tiled(plan: Plan, groups: Sequence[Sequence[Record]]) -> list[Work]:
    """One plan a group; each begins where the one before ended, and the last reaches `plan.last`."""
    works: list[Work] = []
    first = plan.first
    for group in groups[:-1]:
        works.append(Work(replace(plan, first=first, last=group[-1].offset), group))
        first = group[-1].offset + 1
    return [*works, Work(replace(plan, first=first), groups[-1])]
