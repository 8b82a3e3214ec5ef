"""What the worker does before each batch: follow the registry and the privacy signals, watch the parts."""

from __future__ import annotations

from collections import defaultdict, deque
from datetime import datetime, timedelta

from services.runtime.clock import Clock
from services.runtime.log.interface import EventLog, Fenced
from services.runtime.receipts import PRESENT_EVERY
from services.runtime.topics import TOPICS
from services.stats.counting.watch import WATCH_S, PartsWatch
from services.stats.rights.erasure import ANSWERED, Erasures
from services.stats.rights.suppression import Signal, Suppressions, signals_of
from services.stats.tenants.registry import Tenants

__all__ = ["Following", "Preparation"]


class Following:
    """Keeps `tenants` and `suppressions` current. Signals are in force before the next batch is prepared."""

    def __init__(self, log: EventLog, tenants: Tenants, suppressions: Suppressions) -> None:
        self._tenants, self._suppressions = tenants, suppressions
        self._registry = log.follower([TOPICS["tenant"].name])
        self._signals = log.follower([TOPICS["privacy-signal"].name])
        self._erasures: deque[Signal] = deque()
        self._objections: dict[str, set[str]] = defaultdict(set)
        self._unanswered: deque[str] = deque()  # cases

    def follow(self) -> None:
        """Raises `Transient` when the log is away."""
        self._tenants.apply(self._registry.poll())
        signals = signals_of(self._signals.poll())
        self._suppressions.apply(signals)
        self._erasures += [s for s in signals if s.kind == "erasure" and s.active]
        for signal in signals:
            if signal.kind == "objection" and signal.active:
                self._objections[signal.tenant].add(signal.account)
        self._unanswered += [s.case for s in signals if s.kind in ANSWERED]

    def carry_out(self, erasures: Erasures) -> None:
        """Executes and answers what was signalled; what fails is first in line the next time."""
        while self._erasures:
            erasures.execute(self._erasures[0])
            self._erasures.popleft()
        for tenant in list(self._objections):
            erasures.object(tenant, self._objections[tenant])
            del self._objections[tenant]
        while self._unanswered:
            erasures.acknowledge(self._unanswered[0])
            self._unanswered.popleft()

    def close(self) -> None:
        self._registry.close()
        self._signals.close()


class Preparation:
    """`prepare` of the worker's loop."""

    def __init__(self, following: Following, erasures: Erasures, watch: PartsWatch, clock: Clock) -> None:
        self._following, self._erasures, self._watch, self._clock = following, erasures, watch, clock
        self._next_look: datetime | None = None
        self._next_word: datetime | None = None

    def __call__(self) -> None:
        """Raises `Transient`: then no batch is taken; and `Fenced` when parts had to go: then every partition is
        recovered from the ledger, gaps and all."""
        self._following.follow()
        self._following.carry_out(self._erasures)
        now = self._clock.now()
        if self._next_word is None or now >= self._next_word:
            self._erasures.say_present()
            self._next_word = now + PRESENT_EVERY
        if self._next_look is None or now >= self._next_look:
            self._next_look = now + timedelta(seconds=WATCH_S)
            if self._watch.look():
                raise Fenced("Broken parts left the statistics store.")
