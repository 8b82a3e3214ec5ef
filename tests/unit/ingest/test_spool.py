"""The queue on disk: durable, bounded, in order, and honest about what a crash left."""

from __future__ import annotations

import errno
import os
from datetime import timedelta
from pathlib import Path

import pytest

from services.ingest.spool import SEGMENT_BYTES, Spool
from services.runtime.clock import FixedClock
from services.runtime.errors import Transient
from services.runtime.log.interface import Message
from tests.parts.edge import NOW

ROOM = 1024**3


def _message(text: str = "x", size: int = 0) -> Message:
    return Message("access-log.v1", b"web", text.encode() + b"." * size, {"h": b"\x00\xff"})


def _open(folder: Path, bytes_max: int = ROOM, clock: FixedClock | None = None) -> Spool:
    return Spool(folder, bytes_max, clock or FixedClock(NOW))


def _drained(spool: Spool) -> list[Message]:
    found: list[Message] = []
    while entries := spool.peek(1):
        found += [message for entry in entries for message in entry.messages]
        spool.drop(entries)
    return found


def _segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.spool"))


def test_what_went_in_comes_out_in_order(tmp_path: Path) -> None:
    """Every part of a message, also a tombstone and an empty key; afterwards no file is left."""
    wanted = [_message("1"), Message("t", b"", None), Message("t", b"k", b""), _message("2", 3_000)]
    spool = _open(tmp_path)
    spool.append(wanted[:2])
    spool.append(wanted[2:])
    assert _drained(spool) == wanted
    assert spool.is_empty
    assert _segments(tmp_path) == []


def test_a_restart_finds_what_was_appended(tmp_path: Path) -> None:
    """Without a close: that is what kill -9 is. What was sent from a segment that still stands is sent again."""
    spool = _open(tmp_path)
    for number in range(3):
        spool.append([_message(str(number))])
    spool.drop(spool.peek(1))
    again = _open(tmp_path)
    again.append([_message("3")])
    assert _drained(again) == [_message(str(n)) for n in range(4)]


def test_segments_are_cut_and_deleted_one_by_one(tmp_path: Path) -> None:
    """So that what was drained does not lie about until the end."""
    spool = _open(tmp_path)
    for number in range(5):
        spool.append([_message(str(number), SEGMENT_BYTES // 2)])
    before = len(_segments(tmp_path))
    for _ in range(3):
        spool.drop(spool.peek(1))
    assert (before, len(_segments(tmp_path))) == (3, 2)
    assert _drained(spool)[0].value[:1] == b"3"  # type: ignore[index]  # no tombstone


def test_peek_takes_what_fits(tmp_path: Path) -> None:
    """One record at least; the order of appends stays."""
    spool = _open(tmp_path)
    for number in range(4):
        spool.append([_message(str(number), 1_000)])
    assert [e.messages[0].value[:1] for e in spool.peek(2_000)] == [b"0", b"1"]  # type: ignore[index]
    assert len(spool.peek(1)) == 1
    assert len(spool.peek(ROOM)) == 4


@pytest.mark.parametrize("kept", [1, 7, 24])
def test_an_unfinished_end_is_passed_over(tmp_path: Path, kept: int) -> None:
    """A kill in the middle of a write leaves any number of its bytes; what was answered before is whole."""
    spool = _open(tmp_path)
    spool.append([_message("answered")])
    (segment,) = _segments(tmp_path)
    whole = segment.read_bytes()
    segment.write_bytes(whole + whole[:kept])
    again = _open(tmp_path)
    assert again.torn_bytes == kept
    again.append([_message("new")])
    assert _drained(again) == [_message("answered"), _message("new")]


def test_a_whole_length_of_zeros_is_an_unfinished_end_too(tmp_path: Path) -> None:
    """A file system may have the size of a write but not its bytes."""
    spool = _open(tmp_path)
    spool.append([_message("answered")])
    (segment,) = _segments(tmp_path)
    whole = segment.read_bytes()
    segment.write_bytes(whole + whole[:20] + bytes(len(whole) - 20))
    again = _open(tmp_path)
    assert again.torn_bytes == len(whole)
    assert _drained(again) == [_message("answered")]


def test_a_damaged_record_loses_itself_alone(tmp_path: Path) -> None:
    """It is told apart, so that the loss is counted; the records around it are sent."""
    spool = _open(tmp_path)
    for number in range(3):
        spool.append([_message(str(number), 50)])
    (segment,) = _segments(tmp_path)
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    entries = _open(tmp_path).peek(ROOM)
    assert [e.intact for e in entries] == [True, False, True]
    assert [m for e in entries for m in e.messages] == [_message("0", 50), _message("2", 50)]


def test_a_full_spool_takes_nothing(tmp_path: Path) -> None:
    """Told with a time to come back; room again once something was drained."""
    spool = _open(tmp_path, 2_500)
    spool.append([_message("1", 1_000)])
    spool.append([_message("2", 1_000)])
    with pytest.raises(Transient) as refused:
        spool.append([_message("3", 1_000)])
    assert refused.value.retry_after_s > 0
    spool.drop(spool.peek(1))
    spool.append([_message("3", 1_000)])
    assert [m.value[:1] for m in _drained(spool)] == [b"2", b"3"]  # type: ignore[index]


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_disk_that_refuses_is_not_an_acceptance(tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of it may be written by then; it is cut off, and what comes later lies in a file of its own."""
    real_write = os.write

    def half(descriptor: int, data: memoryview) -> int:
        real_write(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "full")

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.EIO, "gone")

    spool = _open(tmp_path)
    spool.append([_message("answered")])
    with monkeypatch.context() as failing:
        failing.setattr(os, call, half if call == "write" else refuse)
        with pytest.raises(Transient):
            spool.append([_message("refused")])
    spool.append([_message("new")])
    assert len(_segments(tmp_path)) == 2
    assert _open(tmp_path).torn_bytes == 0
    assert _drained(_open(tmp_path)) == [_message("answered"), _message("new")]


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    """It is clear personal data, by design."""
    folder = tmp_path / "spool"
    _open(folder).append([_message()])
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in _segments(folder)] == [0o600]


def test_age_of_the_oldest(tmp_path: Path) -> None:
    """Also after a restart."""
    clock = FixedClock(NOW)
    spool = _open(tmp_path, clock=clock)
    assert spool.oldest() is None
    spool.append([_message()])
    clock.sleep(90)
    assert _open(tmp_path, clock=clock).oldest() == timedelta(seconds=90)
