"""A log, read locally as ingest reads it: what becomes of each line, and what a log tool would make of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from services.ingest.accounting import RejectReason
from services.ingest.file_claims import HEAD_BYTES
from services.ingest.formats import Format
from services.ingest.formats.in_force import InForce
from services.ingest.lines import Lines
from services.ingest.preparing import Policy, canonicalise, keep_accepted, parse, validate
from services.ingest.receivers.text import CHUNK_BYTES, Text, open_text
from services.ingest.sources import Source
from services.runtime.errors import Fatal
from services.stats.counting.pipeline import put_day

__all__ = ["DUPLICATE", "Piece", "Reader", "client"]

DUPLICATE = "duplicate"
# What a log tool makes visitors of, by GoAccess's defaults: it leaves out answers of 4xx (4xx-to-unique-count) and
# lines whose status or address is none.
_REFUSED = r"^4\d\d$"
_UNREAD = (RejectReason.BAD_STATUS.value, RejectReason.BAD_ADDRESS.value)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some lines of a log.

    `lines`: one row a line that has a time: `day`, `why` it is not taken (null: it is), `client` (what a log tool
    takes for a visitor, null for a line that it counts for none). `accepted`: those that are taken, as `AccessLog`.
    `dayless`: how many had no time.
    """

    lines: pl.DataFrame
    accepted: pl.DataFrame
    dayless: int


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads logs of `source`. `now` is what a line may not be ahead of."""

    source: Source
    format: Format
    policy: Policy
    zone: ZoneInfo
    now: datetime

    def read(self, paths: Sequence[Path]) -> Iterator[Piece]:
        """Raises `Fatal` on a file that cannot be read to its end."""
        for number, path in enumerate(paths):
            taken_before = max((_shared(path, other) for other in paths[:number]), default=0)
            for first, text, in_force in _chunks(path, self.format):
                yield self._piece(in_force.lines(text, first), in_force, taken_before)

    def _piece(self, lines: Lines, format_: Format, taken_before: int) -> Piece:
        frame, lines = parse(lines, format_)
        frame = frame.with_columns(client("address", "user_agent"))  # before any of it is cut
        frame = validate(canonicalise(frame, self.source, self.policy), self.now)
        known = pl.col("position") < taken_before
        accepted = keep_accepted(frame, lines, self.source, self.policy, self.now).accepted
        timed = put_day(frame.filter(pl.col("time").is_not_null()).rename({"time": "timestamp"}), self.zone)
        refused = (pl.col("status").str.contains(_REFUSED) | pl.col("reason").is_in(_UNREAD)).fill_null(False)
        told = timed.select(
            pl.col("event_day").alias("day"),
            pl.when(known).then(pl.lit(DUPLICATE)).otherwise("reason").alias("why"),
            pl.when(~refused).then("client").alias("client"),
        )
        with_time = accepted.filter(~known).join(timed.select("position"), on="position", how="semi")
        return Piece(told, with_time, frame.height - timed.height)


def client(address: str, agent: str) -> pl.Expr:
    """One number for an address with a browser, from the columns of these names; null without an address."""
    both = pl.concat_str(pl.col(address), pl.lit("\n"), pl.col(agent).fill_null("-"))
    return pl.when(pl.col(address).is_not_null()).then(both.hash()).alias("client")


def _chunks(path: Path, format_: Format) -> Iterator[tuple[int, bytes, Format]]:
    """(offset, whole lines, the format they are in). A line longer than a chunk comes in parts, as in an import:
    its first part is too long, and what continues it belongs to no line."""
    in_force = InForce(format_)
    with path.open("rb") as raw:
        text = open_text(raw)
        while not text.at_end:
            first, mid_line = text.offset, text.mid_line
            chunk = text.chunk(CHUNK_BYTES)
            skipped = (chunk.find(b"\n") + 1 or len(chunk)) if mid_line else 0
            yield first + skipped, chunk[skipped:], in_force.at(first)
            in_force.follow(first, chunk)
        _refuse_damaged(path, text)


def _shared(path: Path, earlier: Path) -> int:
    """Up to which byte the two logs are the same lines: the claims of an import know those, and take them once.
    Two different logs do not begin alike."""
    same = lines = 0
    with path.open("rb") as one, earlier.open("rb") as other:
        texts = open_text(one), open_text(other)
        while True:
            pieces = [text.take(CHUNK_BYTES) for text in texts]
            alike = _alike(*pieces)
            cut = pieces[0].rfind(b"\n", 0, alike) + 1
            lines = same + cut if cut else lines
            same += alike
            if alike < CHUNK_BYTES:
                break
    is_whole = alike == min(map(len, pieces))
    return lines if lines >= HEAD_BYTES or is_whole else 0


def _alike(one: bytes, other: bytes) -> int:
    """How many bytes two pieces begin alike."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low


def _refuse_damaged(path: Path, text: Text) -> None:
    if text.damage:
        raise Fatal(f"{path} {text.damage}; mend it, then reconcile again.")
