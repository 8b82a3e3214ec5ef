"""Prepares the bodies of one source together: most of what 500 lines cost is the same for 5000.

Nobody waits for company: the worker takes along all that came while it was busy. There is one: of two, each finds half
the company (measured, bodies of 500 lines from 8 connections: 18 us a line, with one 14), and polars has threads of its
own. A body that is larger than what is prepared together has another worker, and holds up none of the small.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import polars as pl

from services.ingest.formats import Format
from services.ingest.lines import Lines
from services.ingest.preparing import Prepared
from services.ingest.sources import Source

__all__ = ["LINES_TOGETHER_MAX", "Together"]

LINES_TOGETHER_MAX = (
    10_000  # beyond it a line costs hardly less (measured: 500 lines 10 us a line, 4000 2.9, 10000 2.2)
)

Prepare = Callable[[Lines, Format, Source], Prepared]


@dataclass(frozen=True, slots=True, eq=False)
class _Body:
    lines: Lines
    format: Format
    source: Source
    result: Future[Prepared] = field(default_factory=Future)


class Together:
    """`submit` from any thread."""

    def __init__(self, prepare: Prepare) -> None:
        self._prepare = prepare
        self._worker = ThreadPoolExecutor(1, "prepare")
        self._worker_of_large = ThreadPoolExecutor(1, "prepare-large")
        self._lock = threading.Lock()
        self._waiting: deque[_Body] = deque()

    def submit(self, lines: Lines, format_: Format, source: Source) -> Future[Prepared]:
        """The future raises what preparing this body raises, and nothing that another body does."""
        body = _Body(lines, format_, source)
        if len(lines) > LINES_TOGETHER_MAX:
            self._worker_of_large.submit(self._alone, body)
            return body.result
        with self._lock:
            self._waiting.append(body)
        self._worker.submit(self._work)
        return body.result

    def _work(self) -> None:
        """One for each body: whose body was taken along finds less, or nothing."""
        for bodies in _alike(self._take()):
            if len(bodies) == 1 or not self._at_once(bodies):
                for body in bodies:
                    self._alone(body)

    def _take(self) -> list[_Body]:
        found: list[_Body] = []
        lines = 0
        with self._lock:
            while self._waiting and (not found or lines + len(self._waiting[0].lines) <= LINES_TOGETHER_MAX):
                found.append(self._waiting.popleft())
                lines += len(found[-1].lines)
        return found

    def _alone(self, body: _Body) -> None:
        try:
            body.result.set_result(self._prepare(body.lines, body.format, body.source))
        except BaseException as error:  # polars' PanicException is no Exception; the sender is told something
            body.result.set_exception(error)

    def _at_once(self, bodies: Sequence[_Body]) -> bool:
        """False when they have to be prepared one by one: one of them cannot be, or has lines without a time,
        which only tells of all together."""
        try:
            prepared = self._prepare(_joined(bodies), bodies[0].format, bodies[0].source)
        except BaseException:  # as above; each is tried again alone
            return False
        if not prepared.timed:
            return False
        for body, part in zip(bodies, _parted(prepared, [len(body.lines) for body in bodies]), strict=True):
            body.result.set_result(part)
        return True


def _alike(bodies: Sequence[_Body]) -> list[list[_Body]]:
    """By source and format; a format that is made for one body stays alone."""
    groups: dict[object, list[_Body]] = {}
    for body in bodies:
        key = (body.source, body.format.name) if body.format.joins else body
        groups.setdefault(key, []).append(body)
    return list(groups.values())


def _joined(bodies: Sequence[_Body]) -> Lines:
    """Positions are counted through all bodies."""
    text, sizes = (pl.concat([getattr(body.lines, name) for body in bodies]) for name in ("text", "sizes"))
    return Lines(text, pl.arange(0, text.len(), eager=True), sizes)


def _parted(prepared: Prepared, counts: Sequence[int]) -> Iterator[Prepared]:
    """Each body's part, with positions counted from its own beginning. Cuts are told with the first one."""
    first = 0
    for n, count in enumerate(counts):
        accepted, at = _between(prepared.accepted, first, count)
        letters = [letter for letter in prepared.letters if first <= letter.position < first + count]
        yield replace(
            prepared,
            lines=count,
            accepted=accepted,
            runs=prepared.runs.slice(at, accepted.height),
            rejects=_between(prepared.rejects, first, count)[0],
            letters=[replace(letter, position=letter.position - first) for letter in letters],
            cards=prepared.cards if n == 0 else 0,
            ibans=prepared.ibans if n == 0 else 0,
        )
        first += count


def _between(frame: pl.DataFrame, first: int, count: int) -> tuple[pl.DataFrame, int]:
    """The rows at positions `first` and on, of `count`; and which row of `frame` is their first."""
    at, end = frame["position"].search_sorted(pl.Series([first, first + count], dtype=pl.Int64)).to_list()
    return frame.slice(at, end - at).with_columns(pl.col("position") - first), at
