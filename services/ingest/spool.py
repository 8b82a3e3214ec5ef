"""A bounded queue of messages on disk, for the time that the event log is away.

A message here is durable: file and folder are synced before `append` returns. Records lie in numbered
segments, each with a checksum, in the order they came. What a crash left half-written at the end of a
segment was never answered for, and is passed over. Nothing is ever written behind a failed write.

A segment: records, one after the other. A record: magic, length, CRC-32, time (ms, UTC), then messages as
length-prefixed topic, key, value and headers.

Other libraries for this keep a database (SQLite, LMDB) below: a sync of one small file is all that is needed,
and it must be plain what lies where, because this is clear personal data (docs/adr/0095-the-spool.md).
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import threading
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from services.runtime.clock import Clock
from services.runtime.errors import Fatal, Transient
from services.runtime.log.interface import Message

__all__ = ["Entry", "Spool"]

SEGMENT_BYTES = 8 * 1024 * 1024  # deleted as a whole: so much is sent again, at most, after a crash while draining
FULL_RETRY_S = 30  # the log is away and the spool is full: asking again sooner cannot help
_SUFFIX = ".spool"
_SEGMENTS = "[0-9]" * 16 + _SUFFIX
_MAGIC = b"VSP1"
_HEAD = struct.Struct(">4sIIQ")  # magic, length of what follows the head, CRC-32 of time and what follows, time
_TIME = struct.Struct(">Q")
_LENGTH = struct.Struct(">i")  # -1: no value (a tombstone)


@dataclass(frozen=True, slots=True)
class Entry:
    """What one `append` took: `messages` in their order, `size` on disk (bytes), when it was written.
    A record whose checksum is wrong has no messages and is not `intact`: it was acknowledged and is lost."""

    messages: Sequence[Message]
    size: int
    written_at: datetime
    intact: bool = True


@dataclass(slots=True)
class _Segment:
    """`at`: where the next record to be sent begins; `end`: behind the last that was synced."""

    path: Path
    at: int = 0
    end: int = 0


class Spool:
    """Thread safe. One process a folder; the caller holds the lock on it."""

    def __init__(self, folder: Path, bytes_max: int, clock: Clock) -> None:
        self._folder, self._bytes_max, self._clock = folder, bytes_max, clock
        self._lock = threading.Lock()
        self._segments: deque[_Segment] = deque()
        self._writing: int | None = None  # descriptor of the last segment, while it may be appended to
        self._number = 0
        self.torn_bytes = self._open()  # the unfinished ends that this start passed over

    @property
    def size(self) -> int:
        """Bytes that wait to be sent."""
        with self._lock:
            return self._size()

    @property
    def is_empty(self) -> bool:
        return self.size == 0

    @property
    def has_room(self) -> bool:
        return self.size < self._bytes_max

    def oldest(self) -> timedelta | None:
        """How long the oldest record has waited; None when there is none."""
        with self._lock:
            self._forget_sent()
            head = self._segments[0] if self._segments else None
            if head is None:
                return None
            written_ms = next(_records(head.path, head.at, head.end)).written_ms
        return max(timedelta(), self._clock.now() - _time(written_ms))

    def append(self, messages: Sequence[Message]) -> None:
        """All or none. Raises `Transient` when the spool is full or the disk takes no more."""
        record = _packed_record(messages, self._clock.now())
        with self._lock:
            if self._size() + len(record) > self._bytes_max:
                raise Transient("The event log is away and the spool is full.", retry_after_s=FULL_RETRY_S)
            try:
                self._write(record)
            except OSError as error:
                self._seal()
                text = "The event log is away and the disk takes no more."
                raise Transient(text, retry_after_s=FULL_RETRY_S) from error

    def peek(self, bytes_max: int) -> Sequence[Entry]:
        """The oldest records, in order: one when there is any, and more while they stay below `bytes_max`."""
        with self._lock:
            self._forget_sent()
            if not self._segments:
                return ()
            segment = self._segments[0]
            path, at, end = segment.path, segment.at, segment.end
        entries: list[Entry] = []
        for record in _records(path, at, end):
            entries.append(_entry(record))
            if sum(entry.size for entry in entries) >= bytes_max:
                break
        return entries

    def drop(self, entries: Sequence[Entry]) -> None:
        """`entries`, just peeked at, are durable elsewhere (or past their term)."""
        with self._lock:
            self._segments[0].at += sum(entry.size for entry in entries)
            self._forget_sent()

    def close(self) -> None:
        with self._lock:
            self._seal()

    # --- start ---

    def _open(self) -> int:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._folder.chmod(0o700)  # addresses and accounts come to lie here
            _sync(self._folder.parent)
            return sum(self._take_over(path) for path in sorted(self._folder.glob(_SEGMENTS)))
        except OSError as error:
            raise Fatal(f"The spool in {self._folder} cannot be read: {error.strerror}; mend its folder.") from error

    def _take_over(self, path: Path) -> int:
        """A segment that an earlier process left. Returns the bytes of its unfinished end."""
        self._number = int(path.stem)
        size = path.stat().st_size
        at = end = 0
        for record in _records(path, 0, size):
            at += record.size
            end = at if record.intact else end
        if end:
            self._segments.append(_Segment(path, 0, end))
        else:
            path.unlink()
        return size - end

    # --- under the lock ---

    def _size(self) -> int:
        return sum(segment.end - segment.at for segment in self._segments)

    def _write(self, record: bytes) -> None:
        if self._writing is not None and self._segments[-1].end >= SEGMENT_BYTES:
            self._seal()
        if self._writing is None:
            self._begin_segment()
        segment, descriptor = self._segments[-1], self._writing
        assert descriptor is not None
        rest = memoryview(record)
        while rest:  # a disk that fills up takes a part
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
        segment.end += len(record)

    def _begin_segment(self) -> None:
        self._number += 1
        path = self._folder / f"{self._number:016d}{_SUFFIX}"
        self._writing = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        self._segments.append(_Segment(path))
        _sync(self._folder)

    def _seal(self) -> None:
        """Nothing is appended to the last segment any more; what a failed write left at its end is cut off."""
        if self._writing is None:
            return
        with contextlib.suppress(OSError):  # then it stays, behind `end`: a restart takes it for torn, or sends it
            os.ftruncate(self._writing, self._segments[-1].end)
        os.close(self._writing)
        self._writing = None
        self._forget_sent()

    def _forget_sent(self) -> None:
        """Delete segments that have been sent as a whole."""
        while self._segments and self._segments[0].at >= self._segments[0].end:
            if self._writing is not None and len(self._segments) == 1:
                os.close(self._writing)
                self._writing = None
            self._segments.popleft().path.unlink(missing_ok=True)


class _Record(NamedTuple):
    size: int  # with its head
    written_ms: int
    payload: bytes
    intact: bool


def _records(path: Path, at: int, end: int) -> Iterator[_Record]:
    """Until `end`, or until what follows is not the beginning of a whole record."""
    with path.open("rb") as file:
        file.seek(at)
        while end - at >= _HEAD.size:
            magic, length, checksum, written_ms = _HEAD.unpack(file.read(_HEAD.size))
            if magic != _MAGIC or at + _HEAD.size + length > end:
                return
            payload = file.read(length)
            yield _Record(_HEAD.size + length, written_ms, payload, _checksum(written_ms, payload) == checksum)
            at += _HEAD.size + length


def _sync(folder: Path) -> None:
    """So that the names in it are durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _entry(record: _Record) -> Entry:
    messages = list(_unpacked(record.payload)) if record.intact else []
    return Entry(messages, record.size, _time(record.written_ms), record.intact)


def _packed_record(messages: Sequence[Message], at: datetime) -> bytes:
    payload = b"".join(_packed(message) for message in messages)
    written_ms = int(at.timestamp() * 1000)
    return _HEAD.pack(_MAGIC, len(payload), _checksum(written_ms, payload), written_ms) + payload


def _checksum(written_ms: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_TIME.pack(written_ms)))


def _packed(message: Message) -> bytes:
    headers = [part for name, value in message.headers.items() for part in (name.encode(), value)]
    parts = [message.topic.encode(), message.key, message.value, *headers]
    count = _LENGTH.pack(len(message.headers))
    return count + b"".join(_LENGTH.pack(-1 if part is None else len(part)) + (part or b"") for part in parts)


def _unpacked(payload: bytes) -> Iterator[Message]:
    file = io.BytesIO(payload)
    while head := file.read(_LENGTH.size):
        (headers,) = _LENGTH.unpack(head)
        topic, key, value = (_part(file) for _ in range(3))
        pairs = [((_part(file) or b"").decode(), _part(file) or b"") for _ in range(headers)]
        yield Message((topic or b"").decode(), key or b"", value, dict(pairs))


def _part(file: io.BytesIO) -> bytes | None:
    (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
    return None if length < 0 else file.read(length)


def _time(written_ms: int) -> datetime:
    return datetime.fromtimestamp(written_ms / 1000, UTC)
