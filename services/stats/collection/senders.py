"""What the collection page and its JSON say of each source: a day's counts, its rate, and who is being refused.

Counts of lines are about machines, but five minutes at a small site may be one person's visit: so rates are rounded
as published figures are, and so are all counts for people who see one tenant. Operators, who have the logs, see
exact counts: these add up to what senders and imports were told.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.stats.collection.reports import BLOCK, Collection, Count, Source, block_of
from services.stats.figures.disclosure import ROUNDING

__all__ = ["DAY", "Alert", "Sender", "senders"]

DAY = timedelta(hours=24)
_BLOCKS = DAY // BLOCK
_RECENT = timedelta(hours=1)  # a refusal is news for so long: senders that retry do so every few minutes
_HOUR_BLOCKS = _RECENT // BLOCK
REJECTED_MIN = 20  # lines in that time, of which half or more were rejected: fewer may be a handful of odd requests

# Refusals that pass by themselves: the sender is told to come again, and nothing is lost.
_PASSING = frozenset({"busy", "not_durable", "slow", "gone"})


@dataclass(frozen=True, slots=True)
class Alert:
    """Something is being lost now. `kind` `refused`: requests, by `code`; `rejected`: lines, most by `code`.
    `since`: when the first block of the last 24 h began in which that happened."""

    source: str
    kind: str
    code: str
    count: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Sender:
    """`rejected` is by reason, `refused` by code; `series`: lines in each of the last 288 complete blocks, rounded.
    `last_block`: when the block began in which its last line came, None: none in two weeks."""

    name: str
    tenant: str
    last_block: datetime | None
    accepted: int
    duplicates: int
    rejected: Mapping[str, int]
    refused: Mapping[str, int]
    first_block: datetime
    series: Sequence[int]
    alerts: Sequence[Alert]

    @property
    def lines_an_hour(self) -> int:
        """In the last complete hour of blocks."""
        return sum(self.series[-_HOUR_BLOCKS:])


def senders(collection: Collection, tenants: frozenset[str] | None, now: datetime) -> list[Sender]:
    """By name. `tenants` None: every tenant, exact. Raises `Transient`."""
    first = block_of(now) - DAY
    counts: dict[str, list[Count]] = defaultdict(list)
    for found in collection.counts(tenants, first):
        counts[found.source].append(found)
    known = collection.sources(tenants)
    return [_sender(source, counts[source.name], first, exact=tenants is None) for source in known]


def _sender(source: Source, counts: Sequence[Count], first: datetime, *, exact: bool) -> Sender:
    total: Counter[str] = Counter()
    for found in counts:
        total[found.outcome] += found.count
    shown = {outcome: count if exact else _rounded(count) for outcome, count in total.items()}
    alerts = [*_refused(source.name, counts, first), *_rejected(source.name, counts, first)]
    return Sender(
        name=source.name,
        tenant=source.tenant,
        last_block=source.last_block,
        accepted=shown.get("accepted", 0),
        duplicates=shown.get("duplicates", 0),
        rejected=_of("rejected:", shown),
        refused=_of("refused:", shown),
        first_block=first,
        series=_series(counts, first),
        alerts=alerts if exact else [_blurred(alert) for alert in alerts],
    )


def _of(prefix: str, total: Mapping[str, int]) -> dict[str, int]:
    """The most frequent first."""
    found = {outcome.removeprefix(prefix): count for outcome, count in total.items() if outcome.startswith(prefix)}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _rounded(count: int) -> int:
    """To the step of published figures; what is there at all stays visible."""
    return max(ROUNDING, (count + ROUNDING // 2) // ROUNDING * ROUNDING) if count else 0


def _blurred(alert: Alert) -> Alert:
    return Alert(alert.source, alert.kind, alert.code, _rounded(alert.count), alert.since)


def _series(counts: Sequence[Count], first: datetime) -> list[int]:
    lines: Counter[int] = Counter()
    for found in counts:
        if not found.outcome.startswith("refused:"):
            lines[(found.block - first) // BLOCK] += found.count
    return [(lines[at] + ROUNDING // 2) // ROUNDING * ROUNDING for at in range(_BLOCKS)]


def _refused(source: str, counts: Sequence[Count], first: datetime) -> list[Alert]:
    """One for each code that came within the last hour."""
    by_code: dict[str, list[Count]] = defaultdict(list)
    for found in counts:
        if found.outcome.startswith("refused:"):
            by_code[found.outcome.removeprefix("refused:")].append(found)
    return [
        Alert(source, "refused", code, sum(f.count for f in found), found[0].block)
        for code, found in sorted(by_code.items())
        if code not in _PASSING and found[-1].block >= _recent(first)
    ]


def _rejected(source: str, counts: Sequence[Count], first: datetime) -> list[Alert]:
    """When half of the last hour's lines or more do not fit the source's format."""
    recent = [f for f in counts if f.block >= _recent(first) and not f.outcome.startswith("refused:")]
    bad = [found for found in recent if found.outcome.startswith("rejected:")]
    rejected, lines = sum(found.count for found in bad), sum(found.count for found in recent)
    if rejected < REJECTED_MIN or 2 * rejected < lines:
        return []
    reasons: Counter[str] = Counter()
    for found in bad:
        reasons[found.outcome.removeprefix("rejected:")] += found.count
    return [Alert(source, "rejected", reasons.most_common(1)[0][0], rejected, bad[0].block)]


def _recent(first: datetime) -> datetime:
    return first + DAY - _RECENT
