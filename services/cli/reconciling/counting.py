"""The steps themselves: what ingest rejects, what the statistics leave out, by their own rules.

The lines go through the statistics' own pipeline, with keys that were made a moment ago and are forgotten: the
pseudonyms say who is one visitor, and nothing about anybody of the published day.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from services.cli.reconciling.judging import Judged, judge
from services.cli.reconciling.reading import DUPLICATE, Piece, client
from services.cli.reconciling.stages import Stages, Step, steps_of
from services.ingest.accounting import RejectReason
from services.stats.closing.suspects import REASONS
from services.stats.counting.pipeline import Pipeline, put_day
from services.stats.pseudonyms.keyring import Keyring
from services.stats.rights.suppression import Suppressions
from services.stats.tenants.registry import Tenants

__all__ = ["Counted", "count"]

LINES = "lines of the log"
AS_READ = "address and browser as Voile reads them"
REFUSED = "answers of 4xx, which log tools leave out of visitors"
SUPPRESSED = "erased or restricted accounts"
NETWORK = "IPv6: one visitor a /64 network"
OBJECTED = "visitors who objected"
DECLARED = "declared bots"
SUSPECTED = "suspected bots"  # by their user agent; the others by a reason of their own
METHOD = "not a GET"
STATUS = "not served (no 2xx or 304)"
EVENTS = "application events"
FILES = "images, style sheets, scripts"
ENGAGED = "no page view and no application event"
_EVENT_COLUMNS = ("event_day", "visitor", "page_view", "bot_class", "method", "status", "event")


class Counted(NamedTuple):
    """`steps` by day; `dayless`: lines without a time that can be read, which are of no day."""

    steps: dict[date, list[Step]]
    dayless: int


def count(
    pieces: Iterable[Piece], tenant: str, zone: ZoneInfo, suppressions: Suppressions, tenants: Tenants
) -> Counted:
    """Everything that the log alone can tell of `tenant`'s days, up to the exact figures behind the published ones."""
    keyring = Keyring(_KeysOfAMoment(), _EveryDayIsOpen())
    pipeline = Pipeline.build(zone, suppressions, keyring, tenants)
    stages, events, dayless = Stages(), [], 0
    reasons = [DUPLICATE, *RejectReason]
    with judge() as judging:
        for piece in pieces:
            dayless += piece.dayless
            _count_lines(stages, piece.lines, reasons)
            _count_accepted(stages, put_day(piece.accepted, zone), suppressions)
            frame = pipeline.run(piece.accepted).frame
            judging.take(frame)
            events.append(frame.select(_EVENT_COLUMNS))
        if not events:
            return Counted({}, dayless)
        rows = pl.concat(events).rename({"event_day": "day", "visitor": "client"})
        judged = judging.say(_keys(keyring, tenant, rows), suppressions.objectors)
    _count_events(stages, rows, judged)
    names = [LINES, *map(_rejected, reasons), AS_READ, REFUSED, SUPPRESSED, NETWORK, OBJECTED, DECLARED, SUSPECTED]
    behaved = map(_suspected, REASONS)
    return Counted(steps_of(stages, [*names, *behaved, METHOD, STATUS, EVENTS, FILES, ENGAGED]), dayless)


def _count_lines(stages: Stages, lines: pl.DataFrame, reasons: Sequence[str]) -> None:
    stages.add(LINES, lines, lines)
    for reason in reasons:
        lines = lines.filter(pl.col("why").ne_missing(pl.lit(str(reason))))
        stages.add(_rejected(reason), lines, lines)


def _count_accepted(stages: Stages, accepted: pl.DataFrame, suppressions: Suppressions) -> None:
    """A log tool's visitors become ours, but for what pseudonyms change."""
    accepted = accepted.with_columns(pl.col("event_day").alias("day"), client("client_address", "user_agent"))
    allowed = suppressions.drop_suppressed(accepted)
    stages.add(AS_READ, accepted, accepted.filter(~_is_refused()))
    stages.add(REFUSED, accepted, accepted)
    stages.add(SUPPRESSED, allowed, allowed)


def _count_events(stages: Stages, rows: pl.DataFrame, judged: Judged) -> None:
    """In the order in which a closing leaves rows out."""
    stages.add(NETWORK, rows, rows)
    rows = rows.join(judged.objected, on=["day", "client"], how="anti")
    stages.add(OBJECTED, rows, rows)
    for step, kind in ((DECLARED, "declared"), (SUSPECTED, "suspected")):
        rows = rows.filter(pl.col("bot_class") != kind)
        stages.add(step, rows, rows)
    for reason in REASONS:
        rows = rows.join(judged.suspected.filter(pl.col("reason") == reason), on=["day", "client"], how="anti")
        stages.add(_suspected(reason), rows, rows)
    pages = rows
    for step, kept in _PAGES.items():
        pages = pages.filter(kept)
        stages.add(step, rows, rows, pages)
    stages.add(ENGAGED, rows, rows.filter((pl.col("page_view") == 1) | (pl.col("event") != "")), pages)


_PAGES = {
    METHOD: pl.col("method") == "GET",
    STATUS: pl.col("status").is_between(200, 299) | (pl.col("status") == 304),
    EVENTS: pl.col("event") == "",
    FILES: pl.col("page_view") == 1,
}


def _keys(keyring: Keyring, tenant: str, rows: pl.DataFrame) -> Mapping[tuple[str, date], bytes]:
    found = {(tenant, day): keyring.key(tenant, day) for day in rows["day"].unique()}
    return {of: key for of, key in found.items() if key is not None}  # every day is open here


def _is_refused() -> pl.Expr:
    return pl.col("status").is_between(400, 499).fill_null(False)


def _rejected(reason: str) -> str:
    return "duplicate lines" if reason == DUPLICATE else f"rejected: {reason}"


def _suspected(reason: str) -> str:
    return f"{SUSPECTED}: {reason}"


class _KeysOfAMoment:
    """A `KeyService` in memory, which ends with the command."""

    def __init__(self) -> None:
        self._keys: dict[str, bytes] = {}

    def get_or_create(self, name: str) -> bytes:
        return self._keys.setdefault(name, secrets.token_bytes(32))

    def get(self, name: str) -> bytes | None:
        return self._keys.get(name)

    def names(self, prefix: str = "") -> Sequence[str]:
        return [name for name in self._keys if name.startswith(prefix)]

    def destroy(self, name: str) -> bool:
        return self._keys.pop(name, None) is not None


class _EveryDayIsOpen:
    def state(self, tenant: str, day: date) -> str | None:  # noqa: ARG002  # asked as the plane's records are
        return None
