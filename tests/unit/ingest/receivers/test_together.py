"""Bodies prepared together come to the same as each alone."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.formats import Format
from services.ingest.lines import Lines
from services.ingest.preparing import Prepared, prepare
from services.ingest.receivers import together
from services.ingest.receivers.bodies import body_lines
from services.ingest.receivers.together import Together
from services.ingest.sources import Source
from tests.parts.edge import NOW, POLICY, SOURCE, combined, text_of


def _prepare(lines: Lines, format_: Format, source: Source) -> Prepared:
    return prepare(lines, format_, source, POLICY, NOW)


class _Held:
    """Prepares, but nothing before `go`: until then bodies gather. `sizes` are of what was prepared at once."""

    def __init__(self) -> None:
        self._free, self.begun, self.sizes = threading.Event(), threading.Semaphore(0), list[int]()
        self.together = Together(self._prepare)
        self.submit(b"")  # holds the worker
        assert self.begun.acquire(timeout=10)

    def submit(self, text: bytes, media: str = "text/plain", source: Source = SOURCE) -> Future[Prepared]:
        lines, format_ = body_lines(text, media, source)
        return self.together.submit(lines, format_, source)

    def go(self) -> None:
        self.sizes.clear()
        self._free.set()

    def _prepare(self, lines: Lines, format_: Format, source: Source) -> Prepared:
        self.begun.release()
        assert self._free.wait(10)
        self.sizes.append(len(lines))
        if any("deadly" in text for text in lines.text):
            raise RuntimeError("a defect")
        return _prepare(lines, format_, source)


def _same(found: Prepared, alone: Prepared) -> None:
    assert found.accepted.equals(alone.accepted)
    assert found.rejects.equals(alone.rejects)
    assert (found.runs - (found.runs.min() or 0)).to_list() == (alone.runs - (alone.runs.min() or 0)).to_list()
    assert (found.lines, found.letters, found.timed) == (alone.lines, alone.letters, alone.timed)


_LINES = st.integers(0, 50).map(combined) | st.sampled_from(["rubbish", "", combined(1, status=999)])


@given(st.lists(st.lists(_LINES, max_size=5), min_size=1, max_size=6))
def test_the_same_as_alone(bodies: Sequence[Sequence[str]]) -> None:
    """Rows, positions, stretches, rejects and letters."""
    held = _Held()
    futures = [held.submit(text_of(lines)) for lines in bodies]
    held.go()
    for future, lines in zip(futures, bodies, strict=True):
        _same(future.result(10), _prepare(*body_lines(text_of(lines), "text/plain", SOURCE), SOURCE))


def test_what_came_meanwhile_is_prepared_at_once() -> None:
    """That is what it is for."""
    held = _Held()
    futures = [held.submit(text_of([combined(n), combined(n + 1)])) for n in range(10)]
    held.go()
    assert [future.result(10).accepted.height for future in futures] == [2] * 10
    assert max(held.sizes) > 2


def test_sources_and_formats_are_kept_apart() -> None:
    """And bodies whose records are of two kinds."""
    held = _Held()
    other = replace(SOURCE, name="other", site="www.other.example")
    event = b'{"client_address": "192.0.2.1", "path": "/e", "timestamp": "2026-11-23T10:00:00Z"}'
    wrapped = b'{"log": "' + combined(7).replace('"', '\\"').encode() + b'"}'
    futures = [
        *(held.submit(text_of([combined(n)]), source=source) for n, source in ((1, SOURCE), (2, other), (3, SOURCE))),
        *(held.submit(text, "application/x-ndjson") for text in (event, wrapped, wrapped)),
    ]
    held.go()
    found = [future.result(10).accepted.row(0, named=True) for future in futures]
    assert [(row["source"], row["path"]) for row in found] == [
        *(("web", "/pages/1"), ("other", "/pages/2"), ("web", "/pages/3")),
        *(("web", "/e"), ("web", "/pages/7"), ("web", "/pages/7")),
    ]


def test_a_body_that_cannot_be_prepared_does_not_take_its_neighbours_down() -> None:
    """Its own sender is told."""
    held = _Held()
    good, bad, better = (held.submit(text_of([line])) for line in (combined(1), "deadly", combined(2)))
    held.go()
    assert (good.result(10).accepted.height, better.result(10).accepted.height) == (1, 1)
    with pytest.raises(RuntimeError):
        bad.result(10)


def test_lines_without_a_time_are_told_by_body() -> None:
    """Whether a body can be a duplicate is its own matter."""
    held = _Held()
    timed = b'{"client_address": "192.0.2.1", "path": "/e", "timestamp": "2026-11-23T10:00:00Z"}'
    untimed = b'{"client_address": "192.0.2.1", "path": "/e"}'
    futures = [held.submit(text, "application/x-ndjson") for text in (timed, untimed)]
    held.go()
    assert [future.result(10).timed for future in futures] == [True, False]


def test_a_large_body_holds_up_no_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too large for company is prepared beside the others."""
    monkeypatch.setattr(together, "LINES_TOGETHER_MAX", 2)
    held = _Held()
    large, small = (held.submit(text_of([combined(n) for n in range(count)])) for count in (5, 1))
    assert held.begun.acquire(timeout=10), "the large one waits for the worker of the small ones"
    assert not small.done()
    held.go()
    assert (large.result(10).accepted.height, small.result(10).accepted.height) == (5, 1)
