"""`#Fields` that come again: which columns a row has depends on what stands above it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from services.ingest.accounting import Outcome
from services.ingest.formats import FORMATS, custom, format_named
from services.ingest.formats.columns import Format
from services.ingest.formats.dialects.w3c import LAYOUTS_MAX, W3cFormat
from services.ingest.lines import split_lines
from services.ingest.receivers import text
from services.ingest.receivers.together import _alike, _Body
from services.ingest.service import Ingest
from services.ingest.sources import Source
from services.runtime.stop import Stop
from tests.parts.edge import absorbed, opened, published

FIRST = "#Fields: date time c-ip cs-method cs-uri-stem sc-status"
SECOND = "#Fields: c-ip sc-status cs-uri-stem cs-method date time"


def _first(number: int) -> str:
    return f"2026-11-02 10:00:00 192.0.2.7 GET /first/{number} 200"


def _second(number: int) -> str:
    return f"192.0.2.7 404 /second/{number} GET 2026-11-02 10:00:00"


LINES = [
    "#Software: IIS", FIRST, *map(_first, range(20)),
    "#Software: IIS", SECOND, *map(_second, range(20)), FIRST, *map(_first, range(20, 40)),
]  # fmt: skip
WANTED = sorted([f"/first/{n}" for n in range(40)] + [f"/second/{n}" for n in range(20)])


def _bytes(lines: list[str], end: str = "\n") -> bytes:
    return "".join(line + end for line in lines).encode()


def _import(ingest: Ingest, lines: list[str], format_: str = "", end: str = "\n") -> Outcome:
    return ingest.import_stream(io.BytesIO(_bytes(lines, end)), "iis", format_)


def _with_source(folder: Path, work: Callable[[Ingest], None]) -> None:
    with opened(folder) as ingest:
        ingest.add_source(Source("iis", "acme", "iis_w3c"))
        work(ingest)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Directives are out of sight of most chunks."""
    monkeypatch.setattr(text, "CHUNK_BYTES", 256)
    monkeypatch.setattr(text, "_READ_BYTES", 64)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_directives_hold_across_chunks_and_are_in_no_count(tmp_path: Path, end: str) -> None:
    """Every row is read by the fields above it; lines = accepted."""

    def work(ingest: Ingest) -> None:
        assert _import(ingest, LINES, end=end) == Outcome(60, 60)
        assert _import(ingest, LINES, end=end) == Outcome(60, 0, 60)
        assert sorted(published(ingest.log)["path"].to_list()) == WANTED

    _with_source(tmp_path, work)


@pytest.mark.parametrize("lines", range(3, len(LINES), 7))
def test_an_import_that_goes_on_in_the_middle_knows_the_fields_in_force(tmp_path: Path, lines: int) -> None:
    """They stand in text that was taken before and is only verified now."""

    def work(ingest: Ingest) -> None:
        before = sum(not line.startswith("#") for line in LINES[:lines])
        assert _import(ingest, LINES[:lines]) == Outcome(before, before)
        assert _import(ingest, LINES) == Outcome(60, 60 - before, before)
        assert sorted(published(ingest.log)["path"].to_list()) == WANTED

    _with_source(tmp_path, work)


def test_rejected_rows_are_tried_again_under_their_own_fields(tmp_path: Path) -> None:
    """Imported as something else first: nothing fits; then with the format it has."""

    def work(ingest: Ingest) -> None:
        first = _import(ingest, LINES, "combined")
        assert (first.accepted, first.lines) == (0, len(LINES))
        assert _import(ingest, LINES) == Outcome(60, 60)
        assert _import(ingest, LINES) == Outcome(60, 0, 60)
        assert sorted(published(ingest.log)["path"].to_list()) == WANTED

    _with_source(tmp_path, work)


@pytest.mark.parametrize("cut", [3, 12, 30])
def test_a_directive_that_is_still_being_written_is_not_taken(tmp_path: Path, cut: int) -> None:
    """The file ends within `#Fields`; the import after that finds it whole."""

    def work(ingest: Ingest) -> None:
        before = [*LINES[:23], SECOND[:-cut]]
        done = ingest.import_stream(io.BytesIO(_bytes(before)[:-1]), "iis")
        assert done == Outcome(20, 20)
        assert _import(ingest, LINES) == Outcome(60, 40, 20)
        assert sorted(published(ingest.log)["path"].to_list()) == WANTED

    _with_source(tmp_path, work)


def test_a_log_that_is_followed_keeps_the_fields_that_were_said_long_ago(tmp_path: Path) -> None:
    """Each poll reads on from the last chunk alone."""
    log = tmp_path / "u_ex.log"

    def work(ingest: Ingest) -> None:
        follower = ingest.follower([log], "iis")
        for first in range(0, len(LINES), 3):
            with log.open("ab") as file:
                file.write(_bytes(LINES[first : first + 3]))
            follower.poll(Stop())
        follower.close()
        assert follower.outcome == Outcome(60, 60)
        assert sorted(absorbed(ingest.log)["path"].to_list()) == WANTED

    _with_source(tmp_path / "data", work)


def test_bodies_do_not_share_their_fields() -> None:
    """Bodies of other formats are prepared as one; one of these says how its own rows are read, not the next body's."""
    ours, theirs = FORMATS["iis_w3c"], format_named(custom("$remote_addr $request_uri", "nginx"))
    again = format_named(theirs.name)
    assert (ours.joins, theirs.joins) == (False, True)
    source = Source("iis", "acme", "iis_w3c")
    lines = split_lines(b"x\n")
    assert [len(group) for group in _alike([_Body(lines, ours, source), _Body(lines, ours, source)])] == [1, 1]
    assert [len(group) for group in _alike([_Body(lines, theirs, source), _Body(lines, again, source)])] == [2]


def test_without_following_the_directives_rows_are_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch: what these tests would see if the fields in force were not carried on."""
    monkeypatch.setattr(W3cFormat, "after", lambda self, _text: self)

    def work(ingest: Ingest) -> None:
        outcome = _import(ingest, LINES)
        assert outcome.lines == 60
        assert outcome.accepted < 60

    _with_source(tmp_path, work)


def test_a_text_with_too_many_layouts_is_not_followed_further() -> None:
    """Compiling a pattern costs a millisecond: a sender must not make it happen for every line."""
    lines = [text for n in range(LAYOUTS_MAX + 5) for text in (f"{FIRST} x-{n}", f"{_first(n)} -")]
    frame = FORMATS["iis_w3c"].parse(pl.Series(lines))
    rows = frame.filter(~pl.Series(lines).str.starts_with("#"))
    assert rows["target"].to_list()[:LAYOUTS_MAX] == [f"/first/{n}" for n in range(LAYOUTS_MAX)]
    assert rows["shape"].to_list()[LAYOUTS_MAX:] == ["unknown_shape"] * 5


@pytest.mark.parametrize(
    "fields", ["#Fields:", "#Fields: x y", "#Fields: date time cs-uri-stem", "#Fields: " + "a " * 300]
)
def test_fields_that_give_no_access_reject_their_rows(fields: str) -> None:
    """A file that logs something else is an answer, not an error."""
    frame = FORMATS["iis_w3c"].parse(pl.Series([fields, "2026-11-02 10:00:00 /a", "x y"]))
    assert frame["address"].to_list() == [None, None, None]


def test_nuls_before_a_directive_do_not_hide_it() -> None:
    """A crash leaves them."""
    format_ = FORMATS["iis_w3c"]
    lines = split_lines(b"\x00\x00" + _bytes([SECOND, _second(1)]))
    assert format_.parse(lines.text)["target"].to_list()[1] == "/second/1"
    assert _fields(format_.after(b"\x00\x00" + _bytes([SECOND]))) == _fields(format_named(custom(SECOND, "w3c")))


def _fields(format_: Format) -> list[str]:
    return [column.written for column in format_.columns]
