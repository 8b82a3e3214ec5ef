"""What became of each line: lines = accepted + duplicates + each reject reason, always."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["MEANING", "NOTHING", "Outcome", "RejectReason"]


class RejectReason(StrEnum):
    """Why a line was not accepted. Closed: a reply, a metric and a dead letter carry one of these and no text."""

    EMPTY_LINE = "empty_line"
    TOO_LONG = "too_long"
    UNKNOWN_SHAPE = "unknown_shape"
    CUT_SHORT = "cut_short"  # it ends within a quoted value: HAProxy cuts at 1024 bytes, UDP syslog at 2048
    BAD_JSON = "bad_json"
    BAD_FIELD = "bad_field"  # JSON, but an object or a list stands where a text or a number is due
    TOO_MANY_FIELDS = "too_many_fields"
    MISSING_FIELD = "missing_field"
    BAD_TIMESTAMP = "bad_timestamp"
    FUTURE_TIMESTAMP = "future_timestamp"
    BAD_ADDRESS = "bad_address"
    BAD_STATUS = "bad_status"
    BAD_REQUEST = "bad_request"  # no method and path, though the server did not refuse it


MEANING: Mapping[RejectReason, str] = {  # for people; the reference has the same words
    RejectReason.EMPTY_LINE: "nothing in it, or only NULs",
    RejectReason.TOO_LONG: "more than 64 KiB",
    RejectReason.UNKNOWN_SHAPE: "not the source's format",
    RejectReason.CUT_SHORT: "it ends within a quoted value",
    RejectReason.BAD_JSON: "not a JSON object",
    RejectReason.BAD_FIELD: "JSON, with an object or a list where a text or a number is due",
    RejectReason.TOO_MANY_FIELDS: "an event with more than 256 fields",
    RejectReason.MISSING_FIELD: "no client address, or no time in a format that always has one",
    RejectReason.BAD_TIMESTAMP: "a time nobody can read, or from before 2000",
    RejectReason.FUTURE_TIMESTAMP: "more than 24 hours ahead",
    RejectReason.BAD_ADDRESS: "the client's address is none",
    RejectReason.BAD_STATUS: "the status is no number from 100 to 599",
    RejectReason.BAD_REQUEST: "no method and path, though the server did not refuse it",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Counts of lines. `rejected` is by reason. Raises ValueError when the sum does not hold: that is a
    defect of ours, and an import that loses count must not end as if nothing had happened."""

    lines: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.lines != self.accepted + self.duplicates + sum(self.rejected.values()):
            raise ValueError(f"lines do not add up: {self.as_dict()}")

    @property
    def rejected_lines(self) -> int:
        return sum(self.rejected.values())

    def __add__(self, other: Outcome) -> Outcome:
        reasons = Counter(self.rejected)
        reasons.update(other.rejected)
        return Outcome(
            self.lines + other.lines,
            self.accepted + other.accepted,
            self.duplicates + other.duplicates,
            dict(reasons),
        )

    def as_dict(self) -> dict[str, Any]:
        """The summary of `voile import`."""
        return {
            "lines": self.lines,
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "rejected": dict(sorted(self.rejected.items())),
        }


NOTHING = Outcome()
