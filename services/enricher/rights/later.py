"""What of an erasure ends by itself: records of topics whose term runs, unread from now on but still on a disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from services.runtime.log.interface import EventLog, Partition
from services.runtime.topics import TOPICS

__all__ = ["ends_later", "last_end", "overdue", "still_there"]

# Requests under way when ingest answered are durable within seconds, deleting comes round every hour at the latest.
MARGIN = timedelta(hours=2)
OVERDUE = timedelta(hours=24)  # past its date and still there: somebody has to look
# Topic -> whether this plane may look at its offsets. What collectors write is read by ingest alone; dead letters hold
# no text, but lengths and keyed digests of lines.
_TOPICS: Mapping[str, bool] = {"access-log": True, "account": True, "access-log-raw": False, "dead-letter": False}


def ends_later(log: EventLog, through: datetime) -> list[dict[str, Any]]:
    """One entry a topic, as JSON values. `through` (UTC): nothing of the person was written after it.

    `ends`: partition -> the offset that has to be the first one kept, or a later one.
    """
    found = []
    for name, may_look in _TOPICS.items():
        topic = TOPICS[name]
        until = through + timedelta(hours=topic.kept_hours or 0) + MARGIN
        entry: dict[str, Any] = {"store": topic.name, "until": until.isoformat(timespec="seconds")}
        if may_look:
            entry["topic_id"] = log.topic_id(topic.name)
            entry["ends"] = {str(part.number): log.offsets(part)[1] for part in log.partitions(topic.name)}
        found.append(entry)
    return found


def last_end(later: Sequence[Mapping[str, Any]]) -> datetime:
    return max(datetime.fromisoformat(entry["until"]) for entry in later)


def still_there(log: EventLog, later: Sequence[Mapping[str, Any]], now: datetime) -> list[str]:
    """The stores that are not over: before their date, or with records of before it still kept."""
    return [entry["store"] for entry in later if not _is_over(log, entry, now)]


def overdue(log: EventLog, later: Sequence[Mapping[str, Any]], now: datetime) -> list[str]:
    """Those whose date passed long ago."""
    late = [entry for entry in later if now > datetime.fromisoformat(entry["until"]) + OVERDUE]
    return still_there(log, late, now)


def _is_over(log: EventLog, entry: Mapping[str, Any], now: datetime) -> bool:
    if now < datetime.fromisoformat(entry["until"]):
        return False
    if "ends" not in entry or log.topic_id(entry["store"]) != entry["topic_id"]:
        return True  # nothing to look at, or the topic was deleted and made again
    return all(log.offsets(Partition(entry["store"], int(n)))[0] >= end for n, end in entry["ends"].items())
