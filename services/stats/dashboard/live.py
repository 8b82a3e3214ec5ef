"""What the pages tell of this moment: people of the last minutes, and the requests of today as they come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from services.runtime.web.languages import Language
from services.stats.figures.disclosure import THRESHOLD
from services.stats.today.snapshot import NOW_MINUTES

__all__ = ["Block", "Live", "NowOf", "live_line"]


class Block(NamedTuple):
    """How many people came in the minutes that began at `began` (UTC)."""

    began: datetime
    people: int


_UNSAID = "–"  # few people may have made many requests
NowOf = Callable[[str, date], Block | None]  # tenant, and the first day to look at


@dataclass(frozen=True, slots=True)
class Live:
    """`requests` is the figure itself, for programs and tests; None: too few people came to tell it."""

    tenant: str
    people: str
    minutes: str
    requests: int | None
    written: str


def live_line(
    tenant: str,
    block: Block | None,
    requests: int | None,
    *,
    now: datetime,
    zone: ZoneInfo,
    language: Language,
    snapshot: timedelta,
) -> Live:
    """`snapshot`: how often people are counted; what is older than the last one may be is not "now" any more."""
    oldest = now - snapshot - timedelta(minutes=2 * NOW_MINUTES + 1)
    current = block if block and block.began >= oldest else None
    few = f"<{language.number(THRESHOLD)}"
    return Live(
        tenant=tenant,
        people=language.number(current.people) if current else few,
        minutes=_minutes(current, zone, language) if current else "",
        requests=requests,
        written=language.number(requests) if requests is not None else _UNSAID,
    )


def _minutes(block: Block, zone: ZoneInfo, language: Language) -> str:
    began = block.began.astimezone(zone)
    return f"{language.time(began)}–{language.time(began + timedelta(minutes=NOW_MINUTES))}"
