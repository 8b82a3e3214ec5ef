"""What ingest counts, with Voile's own names as labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from services.ingest.accounting import Outcome
from services.ingest.preparing import Prepared
from services.ingest.source_counts import Refusals
from services.runtime.metrics import INGEST_BYTES, INGEST_CUT, INGEST_LINES, INGEST_REFUSED, Metrics

__all__ = ["Meters"]


@dataclass(frozen=True, slots=True)
class Meters:
    metrics: Metrics
    refusals: Refusals = field(default_factory=Refusals)

    def lines(self, outcome: Outcome) -> None:
        counts = {"accepted": outcome.accepted, "duplicates": outcome.duplicates, **outcome.rejected}
        for name, count in counts.items():
            if count:
                self.metrics.count(INGEST_LINES, count, outcome=name)

    def text(self, receiver: str, size: int) -> None:
        self.metrics.count(INGEST_BYTES, size, receiver=receiver)

    def cut(self, prepared: Prepared) -> None:
        for kind, count in (("card", prepared.cards), ("iban", prepared.ibans)):
            if count:
                self.metrics.count(INGEST_CUT, count, kind=kind)

    def refused(self, source: str, code: str, at: datetime) -> None:
        """`source` is a declared one, or empty."""
        self.metrics.count(INGEST_REFUSED, source=source, code=code)
        self.refusals.add(source, code, at)
