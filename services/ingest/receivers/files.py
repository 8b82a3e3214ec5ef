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
from services.ingest.formats.in_force import InForce
from services.ingest.lines import Lines, split_lines
from services.ingest.meters import Meters
from services.ingest.preparing import Policy, Prepared, prepare
from services.ingest.publisher import Publisher
from services.ingest.receivers import text as texts
from services.ingest.receivers.text import Text, open_text
from services.ingest.source_counts import Tally
from services.ingest.sources import Source
from services.runtime.clock import Clock
from services.runtime.errors import Transient, VoileError
from services.runtime.stop import Stop

__all__ = ["Changed", "Damaged", "FileImporter", "Import", "Progress"]

_FORK_BYTES = 16 * 1024  # of the text that differs, enough to name the fork by
Progress = Callable[[Outcome, int], None]  # (so far, bytes of the file as stored that were read)


class Damaged(VoileError):
    """The file broke off. `outcome` is what became of the lines before that."""

    def __init__(self, what: str, outcome: Outcome) -> None:
        super().__init__(f"The file {what}.")
        self.what, self.outcome = what, outcome


class Changed(VoileError):
    """A file that is read on from its middle is not the one it was there before."""


class Overtaken(Transient):
    """Another import has extended a chunk whose text is gone here: the file is to be read from its beginning."""

    def __init__(self) -> None:
        super().__init__("Another import is taking the same file; start this one again.", retry_after_s=1)


@dataclass(frozen=True, slots=True)
class FileImporter:
    """What every import needs; made once, used for many files."""

    claims: FileClaims
    publisher: Publisher
    fingerprints: Fingerprints
    policy: Policy
    meters: Meters
    clock: Clock

    def import_stream(
        self, raw: BinaryIO, source: Source, format_: Format, progress: Progress, stop: Stop | None = None
    ) -> Outcome:
        """Plain text, gzip, bzip2, zstd or xz; until its end, or until `stop` is set and a chunk is done.

        Raises `Transient` when nothing durable is writable or, of what cannot be read twice, another import overtook
        this one; `Damaged` on a file that cannot be read to its end. Started again it goes on where it ended.
        """
        outcome, counted = NOTHING, 0
        while True:
            text = open_text(raw)
            with ThreadPoolExecutor(1, "publish") as pool:
                this = Import(
                    *(self, text, (source, format_), pool, progress),
                    stop=stop or Stop(), counted=counted, outcome=outcome,
                )  # fmt: skip
                try:
                    this.run()
                    break
                except Overtaken:
                    if not raw.seekable():
                        raise
            outcome, counted = this.outcome, this.counted
            raw.seek(0)
        if text.damage:
            raise Damaged(text.damage, this.outcome)
        return this.outcome


@dataclass(frozen=True, slots=True)
class _InFlight:
    """A chunk that was parsed and is being published. `text` is all of it, also what was `over` before."""

    text: bytes
    mid_line: bool
    chunk: Chunk
    outcome: Outcome
    recorded: Future[bool]


class Import:
    """One pass over a text. `claim` is the origin it is taken for; `_others` are origins that began like it.

    A text that is read on from its middle is given its `claim`, the `formats` of the passes before, and `counted`:
    lines that begin before that position were counted by an earlier pass, whose `outcome` is added to. After `run`,
    also after one that raised, `outcome`, `claim` and `counted` say how far it came.
    """

    def __init__(
        self,
        parts: FileImporter,
        text: Text,
        what: tuple[Source, Format],
        pool: ThreadPoolExecutor,
        progress: Progress = lambda *_: None,
        *,
        stop: Stop,
        claim: FileClaim | None = None,
        counted: int = 0,
        outcome: Outcome = NOTHING,
        formats: InForce | None = None,
    ) -> None:
        self._parts, self._text = parts, text
        self._source, format_ = what
        self._formats = formats or InForce(format_)
        self._pool, self._progress, self._stop = pool, progress, stop
        self.outcome, self.counted, self.claim = outcome, counted, claim
        self._others: list[FileClaim] = []
        self._in_flight: _InFlight | None = None
        self._resumed = claim is not None
        self._open: tuple[Chunk, bytes, bool] | None = None  # the last chunk taken, if it may be extended, and its text

    def run(self) -> Outcome:
        while not self._stop.is_set:
            if self._text.at_end:
                if not self._settle():
                    break
                continue
            if self.claim is None and not self._text.peek(HEAD_BYTES):
                continue  # only now it shows that there is no whole line: an empty beginning is every file's
            claim = self.claim = self.claim or self._find()
            if known := claim.chunk_at(self._text.offset):
                self._take_known(claim, known)
            else:
                self._take_new(claim)
        self._settle()
        return self.outcome

    def _find(self) -> FileClaim:
        head = self._text.peek(HEAD_BYTES)
        found, *self._others = self._parts.claims.matching(self._source, head) or [None]  # type: ignore[list-item]
        return found or self._parts.claims.begin(self._source, head, self._parts.clock.now())

    # --- text that a claim covers ----------------------------------------------------------------------------------

    def _take_known(self, claim: FileClaim, chunk: Chunk) -> None:
        if self._settle():
            return
        text = self._text.peek(chunk.length)
        if not self._parts.fingerprints.begins(text, chunk.digests, chunk.length):
            self.claim = self._other_claim(claim)
            return
        mid_line = self._text.mid_line
        self._text.take(len(text))
        self._formats.follow(chunk.first, text)
        if chunk.first + len(text) > self.counted:
            self._count_known(claim, chunk, text, mid_line)
        if len(text) == chunk.length:
            self._leave_open(text, mid_line)

    def _count_known(self, claim: FileClaim, chunk: Chunk, text: bytes, mid_line: bool) -> None:
        end = chunk.first + len(text)
        missing = [p for p in chunk.exceptions if self.counted <= p < end]
        if not missing and self.counted <= chunk.first and len(text) == chunk.length:
            self._add(self._counted(Outcome(chunk.lines, 0, chunk.lines)), end)
            return
        lines = self._lines(text, chunk.first, mid_line)
        directives = self._directives(lines, chunk.first)
        told = set(lines.positions.filter(directives))  # under another format they may have been rejected as lines
        missing = [p for p in missing if p not in told]
        known = int(((lines.positions >= self.counted) & ~directives).sum()) - len(missing)
        outcome = self._counted(Outcome(known, 0, known))
        if missing:
            wanted = lines.positions.is_in(pl.Series(missing).implode()) | directives
            outcome += self._retry(claim, chunk, lines.where(wanted), missing)
        self._add(outcome, end)

    def _other_claim(self, claim: FileClaim) -> FileClaim:
        """Another origin that began the same, or a new one from here on."""
        if self._resumed:
            raise Changed("The file is not what it was; it is looked at from its beginning.")
        offset = self._text.offset
        while self._others:
            other = self._others.pop(0)
            if other.begins_as(claim, offset) and other.chunk_at(offset):
                return other
        text = self._text.peek(_FORK_BYTES)
        return self._parts.claims.fork(self._source, claim, offset, text, self._parts.clock.now())

    def _retry(self, claim: FileClaim, chunk: Chunk, lines: Lines, missing: list[int]) -> Outcome:
        """What was rejected before: the format may have been corrected since."""
        prepared = self._prepare(lines, chunk.first)
        rejected = set(prepared.rejects["position"].to_list())
        if len(rejected) == len(missing):
            return self._counted(_outcome(prepared))
        self._parts.publisher.publish(self._source.name, [self._part(claim, prepared)], (), self._parts.clock.now())
        left = [p for p in chunk.exceptions if p not in set(missing) or p in rejected]
        if self._parts.claims.amend(claim, chunk, left, self._tally(_outcome(prepared))):
            self.claim = claim.amended(chunk, left)
            return _outcome(prepared)
        # another import was first
        return self._counted(Outcome(prepared.lines, 0, prepared.accepted.height, prepared.rejected))

    # --- new text --------------------------------------------------------------------------------------------------

    def _take_new(self, claim: FileClaim) -> None:
        """A chunk that is less than half full is extended, so that a log that is followed, or imported every
        minute, has no more chunks than one that is imported whole."""
        first, mid_line = self._text.offset, self._text.mid_line
        if claim.chunk_over(first):  # another import has extended the chunk that ended here, whose text is gone
            raise Overtaken
        over, before, began_mid_line = self._open or (None, b"", mid_line)
        self._open = None
        fresh = self._text.chunk(texts.CHUNK_BYTES - len(before))
        self._parts.meters.text("file", len(fresh))
        prepared = self._prepare(self._lines(fresh, first, mid_line), first)
        self._formats.follow(first, fresh)
        chunk = self._chunk(before + fresh, over or Chunk(first, 0, b"", 0, ()), prepared)
        if self._settle((fresh, mid_line)):  # the chunk before was taken by somebody else: look again from there
            return
        recorded = self._pool.submit(self._publish, claim, chunk, over, prepared)
        self._in_flight = _InFlight(before + fresh, began_mid_line, chunk, _outcome(prepared), recorded)

    def _chunk(self, text: bytes, over: Chunk, prepared: Prepared) -> Chunk:
        """`over` with what is new. A last line without a line end that was rejected, or is a directive, is not
        taken: it may still be being written."""
        exceptions = [*over.exceptions, *prepared.rejects["position"].to_list()]
        last = text.rfind(b"\n") + 1
        lines = over.lines + prepared.lines
        if last < len(text) and self._text.at_end:
            if exceptions and exceptions[-1] == over.first + last:
                text, exceptions, lines = text[:last], exceptions[:-1], lines - 1
            elif self._directives(split_lines(text[last:]), over.first + last).any():
                text = text[:last]
        digests = self._parts.fingerprints.blocks(text)
        return Chunk(over.first, len(text), digests, lines, exceptions, over.revision + bool(over.length))

    def _publish(self, claim: FileClaim, chunk: Chunk, over: Chunk | None, prepared: Prepared) -> bool:
        now = self._parts.clock.now()
        self._parts.publisher.publish(self._source.name, [self._part(claim, prepared)], prepared.letters, now)
        tally = self._tally(_outcome(prepared))
        if chunk.length == (over.length if over else 0):
            self._parts.claims.count(tally)
            return True
        return self._parts.claims.record(claim, chunk, tally, over)

    def _settle(self, after: tuple[bytes, bool] | None = None) -> bool:
        """Wait for the chunk in flight. True when another import had taken it: it is to be verified instead,
        so its text goes back (first that of the chunk `after` it)."""
        flight, self._in_flight = self._in_flight, None
        if flight is None or self.claim is None:
            return False
        if flight.recorded.result():
            self.claim = self.claim.having(flight.chunk) if flight.chunk.end > self.claim.end else self.claim
            self._add(flight.outcome, flight.chunk.first + len(flight.text))
            return False
        if after is not None:
            self._text.give_back(*after)
        self._text.give_back(flight.text, flight.mid_line)
        self._open = None
        self.claim = self._parts.claims.reload(self.claim)
        return True

    def _leave_open(self, text: bytes, mid_line: bool) -> None:
        """Keep the text of a last chunk that may be extended."""
        last = self.claim.chunks[-1] if self.claim else None
        if last and last.end == self._text.offset and last.length <= texts.CHUNK_BYTES // 2:
            self._open = (last, text, mid_line)

    # --- shared ----------------------------------------------------------------------------------------------------

    def _lines(self, text: bytes, first: int, mid_line: bool) -> Lines:
        """The lines that begin in `text`; what continues an earlier line is part of that one."""
        skipped = (text.find(b"\n") + 1 or len(text)) if mid_line else 0
        return self._formats.at(first).lines(text[skipped:], first + skipped)

    def _directives(self, lines: Lines, first: int) -> pl.Series:
        """Which of `lines` say how others are to be read; none of them is counted."""
        found = self._formats.at(first).directives(lines.text)
        return pl.Series([False]).new_from_index(0, len(lines)) if found is None else found

    def _prepare(self, lines: Lines, first: int) -> Prepared:
        parts = self._parts
        prepared = prepare(lines, self._formats.at(first), self._source, parts.policy, parts.clock.now())
        parts.meters.cut(prepared)
        return prepared

    def _part(self, claim: FileClaim, prepared: Prepared) -> Part:
        return Part(claim.origin, prepared.accepted, prepared.runs)

    def _tally(self, outcome: Outcome) -> Tally:
        return Tally(self._source.name, outcome, self._parts.clock.now())

    def _counted(self, outcome: Outcome) -> Outcome:
        """In the blocks: of lines that are not marked as taken just now."""
        self._parts.claims.count(self._tally(outcome))
        return outcome

    def _add(self, outcome: Outcome, counted: int) -> None:
        self.outcome += outcome
        self.counted = max(self.counted, counted)
        self._parts.meters.lines(outcome)
        self._progress(self.outcome, self._text.raw_position())


def _outcome(prepared: Prepared) -> Outcome:
    return Outcome(prepared.lines, prepared.accepted.height, 0, prepared.rejected)
