"""Topics with a term: the event log deletes from them by itself, or when it is told to; here it is proved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.runtime.log.interface import EventLog
from services.runtime.retention.keeping import Held
from services.runtime.retention.terms import Terms
from services.runtime.topics import TOPICS

__all__ = ["TopicKeeper"]


@dataclass(frozen=True, slots=True)
class TopicKeeper:
    """`topic`: its id in `schemas/topics.toml`. Kafka tells the oldest record; how many are over, nobody counts."""

    kind: str
    topic: str
    log: EventLog

    def held(self, terms: Terms, now: datetime) -> Sequence[Held]:
        name = TOPICS[self.topic].name
        bounds = [self.log.offsets(partition) for partition in self.log.partitions(name)]
        oldest = self.log.oldest(name)
        over = int(oldest is not None and oldest < terms.cutoff(self.kind, now))
        return [Held("", sum(end - first for first, end in bounds), oldest, over)]

    def remove(self, terms: Terms, now: datetime) -> Mapping[str, int]:  # noqa: ARG002  # the topic's term is its own
        name = TOPICS[self.topic].name
        before = sum(self.log.offsets(partition)[0] for partition in self.log.partitions(name))
        self.log.apply_retention([TOPICS[self.topic]])
        after = sum(self.log.offsets(partition)[0] for partition in self.log.partitions(name))
        return {"": after - before}
