"""Importing files, again and again: every line once."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import resource
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import zstandard

from services.ingest.accounting import Outcome
from services.ingest.file_claims import Chunk, FileClaim, FileClaims
from services.ingest.formats import FORMATS
from services.ingest.publisher import Publisher
from services.ingest.receivers import text
from services.ingest.receivers.files import Damaged, FileImporter
from services.ingest.service import Ingest
from services.ingest.source_counts import Tally
from services.runtime.errors import Fatal, Transient
from tests.parts.edge import SOURCE, AwayLog, absorbed, combined, opened, published, records, text_of

LINES = [combined(n) for n in range(60)]
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": partial(gzip.compress, compresslevel=1),
    "bzip2": partial(bz2.compress, compresslevel=1),
    "xz": partial(lzma.compress, preset=1),
    "zstd": zstandard.compress,
}


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few lines a chunk, so that small files have many."""
    monkeypatch.setattr(text, "CHUNK_BYTES", 1500)


def _import(ingest: Ingest, data: bytes, format_: str = "") -> Outcome:
    return ingest.import_stream(io.BytesIO(data), "web", format_)


def _paths(ingest: Ingest) -> list[str]:
    return sorted(published(ingest.log)["path"].to_list())


def _wanted(lines: Sequence[str]) -> list[str]:
    return sorted(line.split(" ")[6] for line in lines)


def test_every_line_is_published_with_its_offset(tmp_path: Path) -> None:
    """The position of a row is where its line begins in the text."""
    data = text_of(LINES)
    with opened(tmp_path) as ingest:
        assert _import(ingest, data) == Outcome(60, 60)
        for row in published(ingest.log).to_dicts():
            assert f"GET {row['path']} HTTP".encode() in data[row["position"] :].split(b"\n")[0]
        assert _paths(ingest) == _wanted(LINES)


@pytest.mark.parametrize("data", [text_of(LINES), text_of(LINES)[:-1], *(f(text_of(LINES)) for f in PACKERS.values())])
def test_the_same_file_again_is_all_duplicates(tmp_path: Path, data: bytes) -> None:
    """Also packed, also without its last line end."""
    with opened(tmp_path) as ingest:
        _import(ingest, text_of(LINES))
        assert _import(ingest, data) == Outcome(60, 0, 60)
        assert _paths(ingest) == _wanted(LINES)


@pytest.mark.parametrize("first", [1, 3, 20, 59])
def test_a_file_that_grew_gives_only_what_is_new(tmp_path: Path, first: int) -> None:
    """Also one that was shorter than the head that names it."""
    with opened(tmp_path) as ingest:
        assert _import(ingest, text_of(LINES[:first])) == Outcome(first, first)
        assert _import(ingest, text_of(LINES)) == Outcome(60, 60 - first, first)
        assert _import(ingest, text_of(LINES)) == Outcome(60, 0, 60)
        assert _paths(ingest) == _wanted(LINES)


@pytest.mark.parametrize(
    ("cut", "reason"), [(1, "cut_short"), (10, "cut_short"), (60, "unknown_shape"), (80, "unknown_shape")]
)
def test_a_line_cut_off_at_the_end_is_taken_when_it_is_whole(tmp_path: Path, cut: int, reason: str) -> None:
    """It was rejected for now; the grown file has it once."""
    whole = text_of(LINES)
    with opened(tmp_path) as ingest:
        part = text_of(LINES[:30])[: -1 - cut]
        assert _import(ingest, part) == Outcome(30, 29, 0, {reason: 1})
        assert _import(ingest, whole) == Outcome(60, 31, 29)
        assert _paths(ingest) == _wanted(LINES)


def test_a_whole_last_line_without_line_end_is_taken_once(tmp_path: Path) -> None:
    """When the line end comes later, it belongs to that line."""
    with opened(tmp_path) as ingest:
        assert _import(ingest, text_of(LINES[:30])[:-1]) == Outcome(30, 30)
        assert _import(ingest, text_of(LINES)) == Outcome(60, 30, 30)
        assert _paths(ingest) == _wanted(LINES)


@pytest.mark.parametrize("kept", [15, 30, 59])
def test_an_older_copy_of_a_file_is_all_duplicates(tmp_path: Path, kept: int) -> None:
    """It is shorter, and the same as far as it goes."""
    with opened(tmp_path) as ingest:
        _import(ingest, text_of(LINES))
        assert _import(ingest, text_of(LINES[:kept])) == Outcome(kept, 0, kept)


def test_a_file_that_begins_the_same_and_goes_on_otherwise_is_another(tmp_path: Path) -> None:
    """From the first chunk that differs; what came before was verified and stays a duplicate."""
    other = [*LINES[:40], *[combined(n) for n in range(500, 520)]]
    with opened(tmp_path) as ingest:
        _import(ingest, text_of(LINES))
        outcome = _import(ingest, text_of(other))
        assert outcome.accepted + outcome.duplicates == 60
        assert 20 <= outcome.accepted < 40
        assert set(_wanted(other)) <= set(_paths(ingest))
        assert _import(ingest, text_of(other)) == Outcome(60, 0, 60)
        assert _import(ingest, text_of(LINES)) == Outcome(60, 0, 60)


def test_another_source_is_another_origin(tmp_path: Path) -> None:
    """The same bytes of two servers are two logs."""
    with opened(tmp_path) as ingest:
        ingest.add_source(replace(SOURCE, name="other"))
        _import(ingest, text_of(LINES))
        assert ingest.import_stream(io.BytesIO(text_of(LINES)), "other") == Outcome(60, 60)
        assert published(ingest.log)["origin"].n_unique() == 2


def test_rejects_are_tried_again_with_a_corrected_format(tmp_path: Path) -> None:
    """Exactly those, under the same origin and positions, and none of them is hidden by an earlier span."""
    mixed = [line if n % 3 else f"www.x.example:443 {line}" for n, line in enumerate(LINES)]
    with opened(tmp_path) as ingest:
        assert _import(ingest, text_of(mixed)) == Outcome(60, 40, 0, {"bad_address": 20})
        assert _import(ingest, text_of(mixed)) == Outcome(60, 0, 40, {"bad_address": 20})
        assert _import(ingest, text_of(mixed), "vhost_combined") == Outcome(60, 20, 40)
        assert _import(ingest, text_of(mixed)) == Outcome(60, 0, 60)
        assert _paths(ingest) == _wanted(LINES)
        assert absorbed(ingest.log).height == 60
        assert published(ingest.log)["origin"].n_unique() == 1


def test_equal_lines_stay_two_events(tmp_path: Path) -> None:
    """Nothing is dropped for what it says."""
    with opened(tmp_path) as ingest:
        assert _import(ingest, text_of([LINES[0]] * 5)) == Outcome(5, 5)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """Counted by reason, line by line, however long; the rest is accepted."""
    data = text_of(LINES[:5]) + b"\xff\xfe\x00" * 3000 + b"\n\n" + text_of(LINES[5:])
    with opened(tmp_path) as ingest:
        outcome = _import(ingest, data)
        assert outcome == Outcome(62, 60, 0, {"unknown_shape": 1, "empty_line": 1})
        assert _import(ingest, data) == Outcome(62, 0, 60, {"unknown_shape": 1, "empty_line": 1})


def test_an_empty_file_is_no_error(tmp_path: Path) -> None:
    """Rotation leaves such."""
    with opened(tmp_path) as ingest:
        assert _import(ingest, b"") == Outcome()


class _CrashingClaims(FileClaims):
    """Dies between publish and mark, once, at the given chunk."""

    crash_at = 2

    def record(self, claim: FileClaim, chunk: Chunk, tally: Tally, over: Chunk | None = None) -> bool:
        self.crash_at -= 1
        if self.crash_at == -1:
            raise KeyboardInterrupt
        return super().record(claim, chunk, tally, over)


def _importer(ingest: Ingest, claims: FileClaims) -> FileImporter:
    parts = (ingest.publisher, ingest.fingerprints, ingest.policy, ingest.meters, ingest.clock)
    return FileImporter(claims, *parts)


def _crash_then_import(ingest: Ingest, claims: type[FileClaims], again: type[FileClaims]) -> Outcome:
    data, format_ = text_of(LINES), FORMATS["combined"]
    crashing = _importer(ingest, claims(ingest.engine, ingest.fingerprints))
    with pytest.raises(KeyboardInterrupt):
        crashing.import_stream(io.BytesIO(data), SOURCE, format_, lambda *_: None)
    second = _importer(ingest, again(ingest.engine, ingest.fingerprints))
    return second.import_stream(io.BytesIO(data), SOURCE, format_, lambda *_: None)


def test_a_crash_between_publish_and_mark_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """The chunk is published again under the same positions, which consumers absorb."""
    with opened(tmp_path) as ingest:
        outcome = _crash_then_import(ingest, _CrashingClaims, FileClaims)
        assert outcome.accepted + outcome.duplicates == 60
        assert published(ingest.log).height > 60
        assert sorted(absorbed(ingest.log)["path"].to_list()) == _wanted(LINES)


class _ForgetfulCrashingClaims(_CrashingClaims):
    """The switch: origins that are made anew each time, as if claims were not there."""

    def begin(self, source: object, head: bytes, now: object) -> FileClaim:
        return super().begin(replace(SOURCE, tenant=f"acme{id(self)}"), head, now)  # type: ignore[arg-type]

    def matching(self, source: object, head: bytes) -> list[FileClaim]:
        return []


class _Forgetful(_ForgetfulCrashingClaims):
    crash_at = 10**6


def test_without_claims_the_crash_would_double(tmp_path: Path) -> None:
    """So the test above can fail."""
    with opened(tmp_path) as ingest:
        _crash_then_import(ingest, _ForgetfulCrashingClaims, _Forgetful)
        assert absorbed(ingest.log).height > 60


def test_nothing_is_marked_before_it_is_durable(tmp_path: Path) -> None:
    """The log goes away in the middle: the import fails, and the next one goes on where it ended."""
    with opened(tmp_path) as ingest:
        log = AwayLog(ingest.log)
        importer = replace(_importer(ingest, ingest.file_claims), publisher=Publisher(log))

        def go_away(_outcome: Outcome, _read: int) -> None:
            log.away = log.sent >= 3

        with pytest.raises(Transient):
            importer.import_stream(io.BytesIO(text_of(LINES)), SOURCE, FORMATS["combined"], go_away)
        assert 0 < published(ingest.log).height < 60
        outcome = _import(ingest, text_of(LINES))
        assert 0 < outcome.duplicates < 60
        assert _paths(ingest) == _wanted(LINES)


def test_two_imports_at_once_count_once(tmp_path: Path) -> None:
    """Both publish, one records each chunk; together they accepted every line once."""
    outcomes: list[Outcome] = []
    with opened(tmp_path) as ingest:
        barrier = threading.Barrier(2)

        def run() -> None:
            barrier.wait()
            outcomes.append(_import(ingest, text_of(LINES)))

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(outcome.accepted for outcome in outcomes) == 60
        assert all(outcome.lines == 60 for outcome in outcomes)
        assert sorted(absorbed(ingest.log)["path"].to_list()) == _wanted(LINES)


class _SlowClaims(FileClaims):
    """Another import takes everything after this one has looked, before it marks its first chunk."""

    other: Ingest | None = None

    def record(self, claim: FileClaim, chunk: Chunk, tally: Tally, over: Chunk | None = None) -> bool:
        if self.other is not None:
            other, self.other = self.other, None
            assert _import(other, text_of(LINES[:50])) == Outcome(50, 50)
        return super().record(claim, chunk, tally, over)


def test_an_import_that_comes_second_finds_out_and_goes_on(tmp_path: Path) -> None:
    """What the other took is a duplicate, what it did not is accepted; chunks cut elsewhere do not matter."""
    with opened(tmp_path) as ingest:
        claims = _SlowClaims(ingest.engine, ingest.fingerprints)
        claims.other = ingest
        importer = _importer(ingest, claims)
        outcome = importer.import_stream(io.BytesIO(text_of(LINES)), SOURCE, FORMATS["combined"], lambda *_: None)
        assert outcome == Outcome(60, 10, 50)
        assert sorted(absorbed(ingest.log)["path"].to_list()) == _wanted(LINES)


class _Pipe(io.BytesIO):
    """Cannot be read twice."""

    def seekable(self) -> bool:
        return False


@pytest.mark.parametrize("stream", [io.BytesIO, _Pipe])
def test_an_import_that_is_overtaken_within_a_chunk_looks_at_the_file_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: type[io.BytesIO]
) -> None:
    """The other extends the chunk that this one has just taken; what cannot be read twice is for the user to repeat."""
    data = text_of(LINES)
    with opened(tmp_path) as ingest:
        waiting = [ingest]

        def overtake(*_: object) -> None:
            if waiting:
                with monkeypatch.context() as patch:
                    patch.setattr(text, "CHUNK_BYTES", 100_000)
                    assert _import(waiting.pop(), text_of(LINES[:50])).lines == 50

        if stream is _Pipe:
            with pytest.raises(Transient, match="start this one again"):
                ingest.import_stream(io.BufferedReader(stream(data)), "web", "", overtake)
        else:
            outcome = ingest.import_stream(io.BufferedReader(stream(data)), "web", "", overtake)
            assert (outcome.lines, outcome.rejected) == (60, {})
        assert _import(ingest, data).lines == 60
        assert sorted(absorbed(ingest.log)["path"].to_list()) == _wanted(LINES)


def test_progress_tells_lines_and_bytes(tmp_path: Path) -> None:
    """Both only grow, and end at the whole."""
    seen: list[tuple[int, int]] = []
    data = text_of(LINES)
    with opened(tmp_path) as ingest:
        ingest.import_stream(io.BytesIO(data), "web", "", lambda done, read: seen.append((done.lines, read)))
    assert seen == sorted(seen)
    assert seen[-1] == (60, len(data))


@pytest.mark.parametrize("kind", PACKERS)
def test_a_damaged_packed_file_keeps_what_was_read(tmp_path: Path, kind: str) -> None:
    """Whole lines, no half one at the end; it says so with the outcome, and the mended file gives the rest."""
    lines = [combined(n) for n in range(20_000)]
    packed = PACKERS[kind](text_of(lines))
    with opened(tmp_path) as ingest, pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "CHUNK_BYTES", 400_000)
        for size, duplicates in ((len(packed) // 2, 0), (len(packed) * 3 // 4, 5000)):
            with pytest.raises(Damaged, match="damaged or cut off") as raised:
                _import(ingest, packed[:size])
            outcome = raised.value.outcome
            assert outcome.lines == outcome.accepted + outcome.duplicates
            assert outcome.accepted > 3000
            assert outcome.duplicates >= duplicates
        taken = outcome.lines
        assert published(ingest.log).height == taken < 20_000
        assert _import(ingest, packed) == Outcome(20_000, 20_000 - taken, taken)
        assert _paths(ingest) == _wanted(lines)


def test_a_packed_file_of_one_byte_a_million_times_stays_small(tmp_path: Path) -> None:
    """400 MB of it unpack to no more than a few chunks at a time."""
    bomb = zstandard.compress(bytes(400_000_000))
    with opened(tmp_path) as ingest, pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "CHUNK_BYTES", 4_000_000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert _import(ingest, bomb).lines == 1
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_dead_letters_name_the_place_and_no_text(tmp_path: Path) -> None:
    """And are not written again when the file is imported again."""
    data = text_of([*LINES[:3], "bob@x.example was here"])
    with opened(tmp_path) as ingest:
        _import(ingest, data)
        _import(ingest, data)
        (letter,) = records(ingest.log, "dead-letter")
        assert letter.value is not None
        assert b"unknown_shape" in letter.value
        assert b"bob" not in letter.value


def test_what_is_missing_says_so(tmp_path: Path) -> None:
    """File, source, format."""
    with opened(tmp_path) as ingest:
        with pytest.raises(Fatal, match="cannot be read"):
            ingest.import_file(tmp_path / "none.log", "web")
        with pytest.raises(Fatal, match="voile source add nobody"):
            ingest.import_stream(io.BytesIO(b""), "nobody")
        with pytest.raises(Fatal, match="formats are"):
            _import(ingest, b"", "xml")


def test_a_lost_key_stops_the_start_once_something_was_taken(tmp_path: Path) -> None:
    """With a new key every file that was taken before would be counted again."""
    with opened(tmp_path) as ingest:
        assert ingest.keys.destroy("fingerprints")
    with opened(tmp_path) as ingest:  # nothing was taken: a new key does no harm
        _import(ingest, text_of(LINES))
        assert ingest.keys.destroy("fingerprints")
    with pytest.raises(Fatal, match="is missing from its folder"), opened(tmp_path):
        pass
