"""How far a group of consumers is behind: known from the log alone, without joining the group."""

from __future__ import annotations

from services.runtime.log.interface import EventLog

__all__ = ["lag"]


def lag(log: EventLog, group: str, topic: str) -> int:
    """Records of the topic that the group has not committed yet, of those the log still has."""
    behind = 0
    for partition in log.partitions(topic):
        first, end = log.offsets(partition)
        committed = log.group_offset(group, partition)
        behind += end - max(first, committed.offset if committed else first)
    return behind
