"""Imports a file: known text is verified and skipped, new text is parsed, published and then marked as taken.

While one chunk is being made durable the next is parsed. The order of steps is what makes a crash
harmless: rows are durable before their chunk is marked, and a chunk that was published but not marked
is published again with the same origin and positions, which consumers absorb.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO

import polars as pl

from services.ingest.accounting import NOTHING, Outcome
from services.ingest.batches import Part
from services.ingest.file_claims import HEAD_BYTES, Chunk, FileClaim, FileClaims
from services.ingest.fingerprints import Fingerprints
from services.ingest.formats import Format
from services.ingest.lines import Lines, split_lines
from services.ingest.meters import Meters
from services.ingest.preparing import Policy, Prepared, prepare
from services.ingest.publisher import Publisher
from services.ingest.receivers.text import Text, open_text
from services.ingest.sources import Source
from services.runtime.clock import Clock

__all__ = ["FileImporter", "Progress"]

_FORK_BYTES = 16 * 1024  # of the text that differs, enough to name the fork by
Progress = Callable[[Outcome, int], None]  # (so far, bytes of the file as stored that were read)


@dataclass(frozen=True, slots=True)
class FileImporter:
    """What every import needs; made once, used for many files."""

    claims: FileClaims
    publisher: Publisher
    fingerprints: Fingerprints
    policy: Policy
    meters: Meters
    clock: Clock

    def import_stream(self, raw: BinaryIO, source: Source, format_: Format, progress: Progress) -> Outcome:
        """Plain text or gzip. Raises `Transient` when nothing durable is writable, VoileError on a damaged
        file; the same import started again goes on where this one ended."""
        with ThreadPoolExecutor(1, "publish") as pool:
            return _Import(self, open_text(raw), (source, format_), progress, pool).run()


@dataclass(frozen=True, slots=True)
class _InFlight:
    """A chunk that was parsed and is being published."""

    text: bytes
    mid_line: bool
    outcome: Outcome
    recorded: Future[bool]


class _Import:
    """One file. `_claim` is the origin it is taken for; `_others` are origins that began like it."""

    def __init__(
        self,
        parts: FileImporter,
        text: Text,
        what: tuple[Source, Format],
        progress: Progress,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._parts, self._text = parts, text
        self._source, self._format = what
        self._progress, self._pool = progress, pool
        self._outcome = NOTHING
        self._in_flight: _InFlight | None = None
        self._claim, *self._others = self._find()

    def run(self) -> Outcome:
        while True:
            if self._text.at_end:
                if not self._settle():
                    return self._outcome
            elif known := self._claim.chunk_at(self._text.offset):
                self._take_known(known)
            else:
                self._take_new()

    def _find(self) -> list[FileClaim]:
        head = self._text.peek(HEAD_BYTES)
        found = self._parts.claims.matching(self._source, head)
        return found or [self._parts.claims.begin(self._source, head, self._parts.clock.now())]

    # --- text that a claim covers ----------------------------------------------------------------------------------

    def _take_known(self, chunk: Chunk) -> None:
        if self._settle():
            return
        text = self._text.peek(chunk.length)
        if not self._parts.fingerprints.begins(text, chunk.digests, chunk.length):
            self._claim = self._other_claim()
            return
        mid_line = self._text.mid_line
        self._text.take(len(text))
        whole = len(text) == chunk.length
        lines = self._lines(text, chunk.first, mid_line) if chunk.exceptions or not whole else None
        missing = [p for p in chunk.exceptions if p < chunk.first + len(text)]
        count = chunk.lines if whole or lines is None else len(lines)
        outcome = Outcome(count - len(missing), 0, count - len(missing))
        if missing and lines is not None:
            outcome += self._retry(chunk, lines.at(pl.Series(missing)), missing)
        self._add(outcome)

    def _other_claim(self) -> FileClaim:
        """Another origin that began the same, or a new one from here on."""
        offset = self._text.offset
        while self._others:
            other = self._others.pop(0)
            if other.begins_as(self._claim, offset) and other.chunk_at(offset):
                return other
        text = self._text.peek(_FORK_BYTES)
        return self._parts.claims.fork(self._source, self._claim, offset, text, self._parts.clock.now())

    def _retry(self, chunk: Chunk, lines: Lines, missing: list[int]) -> Outcome:
        """What was rejected before: the format may have been corrected since."""
        prepared = self._prepare(lines)
        rejected = set(prepared.rejects["position"].to_list())
        if len(rejected) == len(missing):
            return _outcome(prepared)
        self._parts.publisher.publish(self._source.name, [self._part(prepared)], (), self._parts.clock.now())
        left = [p for p in chunk.exceptions if p not in set(missing) or p in rejected]
        if self._parts.claims.amend(self._claim, chunk, left):
            return _outcome(prepared)
        return Outcome(prepared.lines, 0, prepared.accepted.height, prepared.rejected)  # another import was first

    # --- new text --------------------------------------------------------------------------------------------------

    def _take_new(self) -> None:
        first, mid_line = self._text.offset, self._text.mid_line
        text = self._text.chunk()
        self._parts.meters.text("file", len(text))
        prepared = self._prepare(self._lines(text, first, mid_line))
        chunk = self._chunk(text, first, prepared)
        if self._settle((text, mid_line)):  # the chunk before was taken by somebody else: look again from there
            return
        recorded = self._pool.submit(self._publish, chunk, prepared)
        self._in_flight = _InFlight(text, mid_line, _outcome(prepared), recorded)

    def _chunk(self, text: bytes, first: int, prepared: Prepared) -> Chunk:
        """A last line without a line end that was rejected is not taken: it may still be being written."""
        exceptions: list[int] = prepared.rejects["position"].to_list()
        last = text.rfind(b"\n") + 1
        lines = prepared.lines
        if exceptions and exceptions[-1] == first + last and last < len(text) and self._text.at_end:
            text, exceptions, lines = text[:last], exceptions[:-1], lines - 1
        return Chunk(first, len(text), self._parts.fingerprints.blocks(text), lines, exceptions)

    def _publish(self, chunk: Chunk, prepared: Prepared) -> bool:
        now = self._parts.clock.now()
        self._parts.publisher.publish(self._source.name, [self._part(prepared)], prepared.letters, now)
        return not chunk.length or self._parts.claims.record(self._claim, chunk)

    def _settle(self, after: tuple[bytes, bool] | None = None) -> bool:
        """Wait for the chunk in flight. True when another import had taken it: it is to be verified instead,
        so its text goes back (first that of the chunk `after` it)."""
        flight, self._in_flight = self._in_flight, None
        if flight is None:
            return False
        if flight.recorded.result():
            self._add(flight.outcome)
            return False
        if after is not None:
            self._text.give_back(*after)
        self._text.give_back(flight.text, flight.mid_line)
        self._claim = self._parts.claims.reload(self._claim)
        return True

    # --- shared ----------------------------------------------------------------------------------------------------

    def _lines(self, text: bytes, first: int, mid_line: bool) -> Lines:
        """The lines that begin in `text`; what continues an earlier line is part of that one."""
        skipped = (text.find(b"\n") + 1 or len(text)) if mid_line else 0
        return split_lines(text[skipped:], first + skipped)

    def _prepare(self, lines: Lines) -> Prepared:
        parts = self._parts
        prepared = prepare(lines, self._format, self._source, parts.policy, parts.clock.now())
        parts.meters.cut(prepared)
        return prepared

    def _part(self, prepared: Prepared) -> Part:
        return Part(self._claim.origin, prepared.accepted, prepared.runs)

    def _add(self, outcome: Outcome) -> None:
        self._outcome += outcome
        self._parts.meters.lines(outcome)
        self._progress(self._outcome, self._text.raw_position())


def _outcome(prepared: Prepared) -> Outcome:
    return Outcome(prepared.lines, prepared.accepted.height, 0, prepared.rejected)
