"""Following logs: every line once, whatever rotation does."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
import sqlalchemy as sa

from services.ingest.accounting import Outcome
from services.ingest.publisher import Publisher
from services.ingest.receivers import following, text
from services.ingest.receivers.following import Follower
from services.ingest.records import claim_chunks, file_claims
from services.ingest.service import Ingest
from services.runtime.clock import FixedClock
from services.runtime.errors import Fatal
from services.runtime.stop import Stop
from tests.parts.edge import AwayLog, absorbed, combined, opened, published, register, text_of

LINES = [combined(n) for n in range(60)]


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few lines a chunk, so that small files have many."""
    monkeypatch.setattr(text, "CHUNK_BYTES", 1500)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the log is."""
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "access.log"


@contextmanager
def _following(ingest: Ingest, *logs: Path, kind: type[Follower] | None = None) -> Iterator[Callable[[], Outcome]]:
    """A function that polls once and gives all that was counted so far."""
    follower = ingest.follower(logs, "web")
    if kind:
        follower.__class__ = kind
    try:
        yield lambda: (follower.poll(Stop()), follower.outcome)[1]
    finally:
        follower.close()


def _append(path: Path, lines: Sequence[str]) -> None:
    with path.open("ab") as file:
        file.write(text_of(lines))


def _taken(ingest: Ingest) -> list[str]:
    return sorted(absorbed(ingest.log)["path"].to_list())


def _wanted(lines: Sequence[str]) -> list[str]:
    return sorted(line.split(" ")[6] for line in lines)


def _rename(log: Path) -> Path:
    rotated = log.with_name("access.log.1")
    log.rename(rotated)
    return rotated


def _copytruncate(log: Path) -> None:
    shutil.copyfile(log, log.with_name("access.log.1"))
    os.truncate(log, 0)


def _chunks(ingest: Ingest) -> list[tuple[int, int]]:
    with ingest.engine.begin() as connection:
        rows = connection.execute(sa.select(claim_chunks.c.first, claim_chunks.c.length).order_by("first"))
        return [(first, length) for first, length in rows]


def test_what_is_appended_is_taken_at_the_next_poll(tmp_path: Path, log: Path) -> None:
    """Once, under one origin; a poll without news does nothing."""
    with opened(tmp_path) as ingest, _following(ingest, log) as poll:
        for n, line in enumerate(LINES):
            _append(log, [line])
            assert poll() == Outcome(n + 1, n + 1)
            assert poll() == Outcome(n + 1, n + 1)
        rows = published(ingest.log)
        assert sorted(rows["path"].to_list()) == _wanted(LINES)
        assert rows["origin"].n_unique() == 1


def test_a_log_that_was_followed_has_no_more_chunks_than_one_that_was_imported(tmp_path: Path, log: Path) -> None:
    """They are extended: else a slow log would have one a line, for as long as it is kept."""
    with opened(tmp_path) as ingest, _following(ingest, log) as poll:
        for line in LINES:
            _append(log, [line])
            poll()
        chunks = _chunks(ingest)
        assert len(chunks) <= 2 * log.stat().st_size // text.CHUNK_BYTES + 1
        assert [first + length for first, length in chunks] == [*(first for first, _ in chunks[1:]), log.stat().st_size]
        assert ingest.import_file(log, "web") == Outcome(60, 0, 60)


def test_a_line_is_taken_when_it_is_whole(tmp_path: Path, log: Path) -> None:
    """Not before its line end is there, also when it looks whole."""
    data = text_of(LINES[:2])
    with opened(tmp_path) as ingest, _following(ingest, log) as poll:
        for size in (len(data) - 60, len(data) - 1):
            log.write_bytes(data[:size])
            assert poll() == Outcome(1, 1)
        log.write_bytes(data)
        assert poll() == Outcome(2, 2)


def test_a_restart_goes_on_where_it_ended(tmp_path: Path, log: Path) -> None:
    """By what is in the claims alone."""
    with opened(tmp_path) as ingest:
        _append(log, LINES[:35])
        with _following(ingest, log) as poll:
            poll()
        _append(log, LINES[35:])
        with _following(ingest, log) as poll:
            assert poll() == Outcome(60, 25, 35)
        assert published(ingest.log).height == 60


def test_a_renamed_log_is_read_to_its_end(tmp_path: Path, log: Path) -> None:
    """Servers write to it until they reopen; then it is packed, and importing that doubles nothing."""
    with opened(tmp_path) as ingest, _following(ingest, log) as poll:
        _append(log, LINES[:10])
        poll()
        rotated = _rename(log)
        _append(rotated, LINES[10:20])
        poll()
        _append(log, LINES[20:30])
        _append(rotated, LINES[30:40])
        poll()
        packed = rotated.with_name("access.log.1.gz")
        packed.write_bytes(gzip.compress(rotated.read_bytes()))
        rotated.unlink()
        _append(log, LINES[40:])
        assert poll() == Outcome(60, 60)
        assert ingest.import_file(packed, "web") == Outcome(30, 0, 30)
        assert sorted(published(ingest.log)["path"].to_list()) == _wanted(LINES)


def test_a_renamed_log_is_closed_when_nobody_writes_to_it_any_more(tmp_path: Path, log: Path) -> None:
    """Else each rotation would hold a deleted file's room on the disk."""
    with opened(tmp_path) as ingest, _following(ingest, log) as poll:
        _append(log, LINES[:10])
        poll()
        _rename(log)
        _append(log, LINES[10:])
        poll()
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        cast(FixedClock, ingest.clock).advance(timedelta(seconds=61))
        poll()
        assert len(list(Path("/proc/self/fd").iterdir())) == descriptors - 1


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("grown", [5, 30])
def test_a_log_that_is_copied_and_truncated_loses_nothing(tmp_path: Path, log: Path, grown: int, packed: bool) -> None:
    """Also lines that were written just before, also when it is longer than before at the next poll."""
    with opened(tmp_path) as ingest, _following(ingest, log) as poll:
        _append(log, LINES[:10])
        poll()
        _append(log, LINES[10:20])
        _copytruncate(log)
        if packed:
            copy = log.with_name("access.log.1")
            log.with_name("access.log.1.gz").write_bytes(gzip.compress(copy.read_bytes()))
            copy.unlink()
        _append(log, LINES[20 : 20 + grown])
        poll()
        assert poll() == Outcome(20 + grown, 20 + grown)
        assert _taken(ingest) == _wanted(LINES[: 20 + grown])


def test_a_log_that_was_rotated_while_nobody_followed_it_loses_nothing(tmp_path: Path, log: Path) -> None:
    """The newest rotated file is looked at when following begins; what was taken of it is not counted again."""
    with opened(tmp_path) as ingest:
        _append(log, LINES[:10])
        with _following(ingest, log) as poll:
            poll()
        _append(log, LINES[10:20])
        _rename(log)
        _append(log, LINES[20:])
        with _following(ingest, log) as poll:
            assert poll() == Outcome(50, 50)
        assert _taken(ingest) == _wanted(LINES)


def test_files_that_lie_beside_it_are_left_alone(tmp_path: Path, log: Path) -> None:
    """Only a file that begins like one that was taken is a rotated one."""
    _append(log.with_name("access.log.old-server"), LINES[:10])
    _append(log, LINES[10:])
    with opened(tmp_path) as ingest, _following(ingest, log) as poll:
        assert poll() == Outcome(50, 50)


def test_several_logs_one_of_which_is_not_there_yet(tmp_path: Path, log: Path) -> None:
    """It is waited for, and that is said once."""
    other, notes = log.with_name("other.log"), list[str]()
    with opened(tmp_path) as ingest:
        follower = ingest.follower([log, other], "web", note=notes.append)
        _append(log, LINES[:10])
        for _ in range(3):
            follower.poll(Stop())
        assert follower.outcome == Outcome(10, 10)
        assert len(notes) == 1
        assert "other.log" in notes[0]
        _append(other, LINES[10:])
        follower.poll(Stop())
        assert follower.outcome == Outcome(60, 60)
        follower.close()


def test_it_waits_while_the_event_log_is_away(tmp_path: Path, log: Path) -> None:
    """Nothing is lost or doubled, what is waited for is said once, and the wait is the one that was asked for."""
    notes = list[str]()
    with opened(tmp_path) as ingest:
        away = AwayLog(ingest.log)
        follower = ingest.follower([log], "web", note=notes.append)
        object.__setattr__(follower._parts, "publisher", Publisher(away))
        for n, line in enumerate(LINES):
            away.away = n % 20 >= 10
            _append(log, [line])
            assert follower.poll(Stop()) == (7 if away.away else following.POLL_S)
        away.away = False
        follower.poll(Stop())
        follower.close()
        assert follower.outcome == Outcome(60, 60)
        assert len(notes) == 3
        assert _taken(ingest) == _wanted(LINES)


def test_it_opens_a_log_again_whose_file_system_went_away(tmp_path: Path, log: Path) -> None:
    """By the claims it goes on where it was; that is said once."""
    notes = list[str]()
    with opened(tmp_path) as ingest, pytest.MonkeyPatch.context() as patch:
        follower = ingest.follower([log], "web", note=notes.append)
        _append(log, LINES[:30])
        follower.poll(Stop())
        patch.setattr(os, "fstat", _stale)
        for _ in range(3):
            follower.poll(Stop())
        patch.undo()
        assert len(notes) == 1
        assert "Stale" in notes[0]
        _append(log, LINES[30:])
        follower.poll(Stop())
        follower.close()
        assert follower.outcome == Outcome(90, 60, 30)
        assert _taken(ingest) == _wanted(LINES)


def _stale(_descriptor: int) -> os.stat_result:
    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def test_rejects_are_counted_once(tmp_path: Path, log: Path) -> None:
    """Not at each poll anew."""
    with opened(tmp_path) as ingest, _following(ingest, log) as poll:
        _append(log, ["rubbish", *LINES[:3]])
        for _ in range(3):
            poll()
            _append(log, LINES[3:4])
        assert poll() == Outcome(7, 6, 0, {"unknown_shape": 1})


def test_another_import_of_the_log_meanwhile_doubles_nothing(tmp_path: Path, log: Path) -> None:
    """It extends the claim, and the follower notices; and the other way round."""
    with opened(tmp_path) as ingest, _following(ingest, log) as poll:
        accepted = 0
        for n in range(0, 60, 6):
            _append(log, LINES[n : n + 3])
            accepted += ingest.import_file(log, "web").accepted
            _append(log, LINES[n + 3 : n + 6])
            outcome = poll()
        assert outcome == Outcome(60, 60 - accepted, accepted)
        assert absorbed(ingest.log).height == 60


def test_what_cannot_be_followed_says_so(tmp_path: Path, log: Path) -> None:
    """A packed file, a folder; and a tenant that was suspended stops it."""
    log.write_bytes(gzip.compress(text_of(LINES)))
    with opened(tmp_path) as ingest:
        with _following(ingest, log) as poll, pytest.raises(Fatal, match="compressed"):
            poll()
        with _following(ingest, tmp_path) as poll, pytest.raises(Fatal, match="no file"):
            poll()
        _append(plain := tmp_path / "plain.log", LINES)
        with _following(ingest, plain) as poll:
            register(ingest.log, "acme", "suspended")
            ingest.clock.sleep(2)
            with pytest.raises(Fatal, match="suspended"):
                poll()


class _ByNameAlone(Follower):
    """The switch: what has no name any more is closed at once, and copies are not looked at."""

    def _reopen(self, log) -> bool:  # type: ignore[no-untyped-def]
        there = super()._reopen(log)
        while log.leaving:
            log.leaving.pop().file.close()
        return there

    def _take_copy(self, log, stop) -> None:  # type: ignore[no-untyped-def]
        pass


@pytest.mark.parametrize("rotate", [_rename, _copytruncate])
def test_a_follower_by_name_alone_would_lose_lines(tmp_path: Path, log: Path, rotate: Callable[[Path], object]) -> None:
    """So the tests above can fail."""
    lost = {}
    for kind in (_ByNameAlone, Follower):
        folder = tmp_path / kind.__name__
        log.write_bytes(b"")
        log.with_name("access.log.1").unlink(missing_ok=True)
        with opened(folder) as ingest, _following(ingest, log, kind=kind) as poll:
            _append(log, LINES[:10])
            poll()
            _append(log, LINES[10:20])
            rotate(log)
            _append(log, LINES[20:])
            poll()
            poll()
            lost[kind] = set(_wanted(LINES)) - set(_taken(ingest))
    assert lost[Follower] == set()
    assert lost[_ByNameAlone] == set(_wanted(LINES[10:20]))


def test_a_first_line_that_is_still_being_written_is_no_beginning(tmp_path: Path, log: Path) -> None:
    """With an empty beginning every log would be this one: what a claim begins with is whole lines."""
    log.write_bytes(LINES[0].encode()[:40])
    with opened(tmp_path) as ingest, _following(ingest, log) as poll:
        assert poll() == Outcome()
        with ingest.engine.connect() as connection:
            assert connection.execute(sa.select(file_claims)).all() == []
        log.write_bytes(text_of(LINES[:20]))
        assert poll() == Outcome(20, 20)


def test_a_log_in_utf_16_is_told_so(tmp_path: Path, log: Path) -> None:
    """Every line of it would be rejected."""
    log.write_bytes(LINES[0].encode("utf-16"))
    with opened(tmp_path) as ingest, _following(ingest, log) as poll, pytest.raises(Fatal, match="is UTF-16"):
        poll()
