"""Plans, and how one is written beside a committed offset."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date

from services.runtime.log.interface import Committed, Partition

__all__ = ["Note", "Plan", "read_note", "write_note"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is about to be written: committed to the log before the first byte goes to the store, so that
    after a crash the same range is cut again. `lookups` names the versions of the look-up data in force."""

    partition: Partition
    topic_id: str
    first: int
    last: int
    ingest_day: date
    lookups: str
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Note:
    """What a group keeps beside its offset: which topic it was of, where its ledger begins, the open plan."""

    topic_id: str
    base: int
    plan: Plan | None


def write_note(note: Note) -> str:
    """As JSON; about 120 bytes of the 4096 that a log takes."""
    body: dict[str, object] = {"t": note.topic_id, "b": note.base}
    if (plan := note.plan) is not None:
        body["p"] = [plan.first, plan.last, plan.ingest_day.isoformat(), plan.lookups, plan.attempt]
    return json.dumps(body, separators=(",", ":"))


def read_note(committed: Committed | None, partition: Partition) -> Note | None:
    """None when nothing is committed, or by something else than Voile (an operator's tool resets offsets)."""
    try:
        body = json.loads(committed.metadata) if committed else {}
        return Note(str(body["t"]), int(body["b"]), _plan(body, partition))
    except (ValueError, KeyError, TypeError):
        return None


def _plan(body: dict[str, object], partition: Partition) -> Plan | None:
    match body.get("p"):
        case [int(first), int(last), str(day), str(lookups), int(attempt)]:
            return Plan(partition, str(body["t"]), first, last, date.fromisoformat(day), lookups, attempt)
    return None
