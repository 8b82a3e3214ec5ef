"""One person's activity as a support person reads it: visits, newest first, identifying fields masked.

What is masked is not in the value at all: a page or a printout can show no more than was asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from services.enricher.persons.directory import FIELDS, Profile

__all__ = [
    "EVERY_VISIT",
    "PERSON_FIELDS",
    "VISIT_FIELDS",
    "Access",
    "Cell",
    "Revealed",
    "Visit",
    "masked_name",
    "profile_cells",
    "visits",
]

VISIT_GAP = timedelta(minutes=30)  # the usual end of a visit: half an hour without an access
VISIT_FIELDS = ("client_address", "user_agent", "referrer", "query")
PERSON_FIELDS = FIELDS  # name, email, postal_address, phone


EVERY_VISIT = 0  # a number that no visit has


@dataclass(frozen=True, slots=True)
class Revealed:
    """A field that was asked to be shown: of the visit with this number, of EVERY_VISIT, or of the person (None)."""

    field: str
    visit: int | None = None

    @property
    def exists(self) -> bool:
        return self.field in (PERSON_FIELDS if self.visit is None else VISIT_FIELDS)


@dataclass(frozen=True, slots=True, repr=False)
class Cell:
    """A masked field: `known` says whether there is a value at all, `texts` are empty until it is revealed."""

    known: bool
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """One line of a visit; `at` in UTC."""

    at: datetime
    method: str
    host: str
    path: str
    event: str
    status: int | None
    duration_ms: int | None
    response_bytes: int | None
    client_address: Cell
    user_agent: Cell
    referrer: Cell
    query: Cell

    @property
    def is_error(self) -> bool:
        return self.status is not None and self.status >= 400


@dataclass(frozen=True, slots=True, repr=False)
class Visit:
    """`number` is its first access's time in ms since 1970: it stays when newer accesses arrive."""

    number: int
    start: datetime
    end: datetime
    client_address: Cell
    user_agent: Cell
    accesses: Sequence[Access]

    @property
    def errors(self) -> int:
        return sum(access.is_error for access in self.accesses)


def visits(frame: pl.DataFrame, revealed: Collection[Revealed] = ()) -> Sequence[Visit]:
    """`frame` has the columns of `activity.LINKED`. Newest visit first; inside a visit in the order of time."""
    if frame.is_empty():
        return []
    ordered = frame.sort("timestamp", maintain_order=True)
    starts = pl.col("timestamp").diff().fill_null(VISIT_GAP * 2) > VISIT_GAP
    parts = ordered.with_columns(starts.cum_sum().alias("_visit")).partition_by("_visit", maintain_order=True)
    return [_visit(part, revealed) for part in reversed(parts)]


def profile_cells(profile: Profile, revealed: Collection[Revealed] = ()) -> Mapping[str, Cell]:
    shown = {what.field for what in revealed if what.visit is None}
    return {name: _cell([getattr(profile, name)], name in shown) for name in PERSON_FIELDS}


def masked_name(name: str | None) -> str:
    """`A. M*****`: enough to notice that one opened the wrong person, and no more; empty for who has no name here."""
    words = (name or "").split()
    if not words:
        return ""
    return f"{words[0][0]}. {words[-1][0]}*****" if len(words) > 1 else f"{words[0][0]}*****"


def _visit(part: pl.DataFrame, revealed: Collection[Revealed]) -> Visit:
    rows = part.to_dicts()
    number = _ms(rows[0]["timestamp"])
    shown = {what.field for what in revealed if what.visit in {number, EVERY_VISIT}}
    return Visit(
        number,
        _utc(rows[0]["timestamp"]),
        _utc(rows[-1]["timestamp"]),
        _cell([row["client_address"] for row in rows], "client_address" in shown),
        _cell([row["user_agent"] for row in rows], "user_agent" in shown),
        [_access(row, shown) for row in rows],
    )


def _access(row: Mapping[str, Any], shown: Collection[str]) -> Access:
    return Access(
        _utc(row["timestamp"]),
        row["method"] or "",
        row["host"] or "",
        row["path"] or "",
        row["event"] or "",
        row["status"],
        row["duration_ms"],
        row["response_bytes"],
        *(_cell([row[name]], name in shown) for name in VISIT_FIELDS),
    )


def _cell(values: Sequence[str | None], shown: bool) -> Cell:
    distinct = tuple(dict.fromkeys(value for value in values if value))
    return Cell(bool(distinct), distinct if shown else ())


def _utc(naive: datetime) -> datetime:
    return naive.replace(tzinfo=UTC)


def _ms(naive: datetime) -> int:
    return int(_utc(naive).timestamp() * 1000)
