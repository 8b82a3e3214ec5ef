"""What a newly assigned partition needs: the open plan again, gaps of the ledger, and where to go on.

Pure functions of what the group committed, the ledger's ranges and the log's bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from services.runtime.log.interface import Committed
from services.runtime.plans import Note, Plan

__all__ = ["Range", "Recovery", "holes", "overlaps", "recover"]

Range = tuple[int, int]
"""First and last offset, both included."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """In the order of work: `redo` (its plan stands in the commit, which the next plan replaces), `lost`, `gaps`."""

    redo: Plan | None
    lost: Sequence[Range]
    gaps: Sequence[Range]
    resume: int
    base: int


def recover(note: Note | None, committed: Committed | None, ledger: Sequence[Range], bounds: Range) -> Recovery:
    """`note` is None when it is of another topic id; `bounds`: first offset kept, next to be written.

    The ledger must cover [base, resume) without holes. A hole that the log still has is a gap and read
    again; one that expired is lost. Below the ledger's oldest row nothing is lost: those rows have
    had their term, as the log's records had before them.
    """
    start, end = bounds
    base = _base(note, ledger, start)
    redo = _open_plan(note, ledger, start)
    resume = max(_confirmed(note, committed, ledger, bounds), redo.last + 1 if redo else 0)
    covered = [*ledger, (redo.first, redo.last)] if redo else ledger
    missing = holes(covered, min(base, resume), resume)
    oldest = min((first for first, _ in covered), default=resume)
    lost = _clip(missing, oldest, start - 1)
    if resume < start:
        lost.append((resume, start - 1))
    return Recovery(redo, _joined(lost), _clip(missing, start, end - 1), max(resume, start), base)


def holes(ranges: Iterable[Range], first: int, end: int) -> list[Range]:
    """What of [first, end) no range covers."""
    found: list[Range] = []
    at = first
    for a, b in sorted(ranges):
        if a > at:
            found.append((at, min(a, end) - 1))
        at = max(at, b + 1)
        if at >= end:
            return [r for r in found if r[0] <= r[1]]
    return [*found, (at, end - 1)] if at < end else found


def overlaps(ledger: Sequence[Range]) -> int:
    """How many neighbouring ranges share an offset; every one is a batch counted twice."""
    return sum(1 for (_, last), (first, _) in pairwise(sorted(ledger)) if first <= last)


def _base(note: Note | None, ledger: Sequence[Range], start: int) -> int:
    if note is not None:
        return note.base
    return ledger[0][0] if ledger else start


def _open_plan(note: Note | None, ledger: Sequence[Range], start: int) -> Plan | None:
    """The plan to redo as a whole. One of which a part is in the ledger, or expired, is left to the gaps."""
    if note is None or note.plan is None or note.plan.first < start:
        return None
    touched = any(a <= note.plan.last and b >= note.plan.first for a, b in ledger)
    return None if touched else note.plan


def _confirmed(note: Note | None, committed: Committed | None, ledger: Sequence[Range], bounds: Range) -> int:
    """The first offset that neither the ledger nor the group's commit claims to be done."""
    start, end = bounds
    top = ledger[-1][1] + 1 if ledger else None
    if note is not None and committed is not None:
        return max(committed.offset, top or 0)
    if top is not None:
        return top
    reset_by_operator = committed is not None and start <= committed.offset <= end
    return committed.offset if committed is not None and reset_by_operator else start


def _clip(ranges: Sequence[Range], first: int, last: int) -> list[Range]:
    return [(max(a, first), min(b, last)) for a, b in ranges if a <= last and b >= first]


def _joined(ranges: Sequence[Range]) -> list[Range]:
    joined: list[Range] = []
    for a, b in sorted(ranges):
        if joined and a <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(b, joined[-1][1]))
        else:
            joined.append((a, b))
    return joined
