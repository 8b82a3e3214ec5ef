"""Follows logs that are being written, through every way of rotation. The bookmarks are the claims (ADR 0020).

A poll compares sizes. What grew is read from the last chunk on that is marked as taken: its text is verified
first, so a log that was truncated and has grown again is noticed, and it is extended. Files stay open after they
were renamed: servers go on writing to them until they reopen their log.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from services.ingest.accounting import NOTHING, Outcome
from services.ingest.file_claims import HEAD_BYTES, FileClaim
from services.ingest.formats import Format
from services.ingest.formats.in_force import InForce
from services.ingest.receivers.files import Changed, Damaged, FileImporter, Import, Progress
from services.ingest.receivers.packing import MAGIC_BYTES, encoding_of, is_packed
from services.ingest.receivers.text import Text, open_text
from services.ingest.sources import Source
from services.runtime.errors import Fatal, Transient
from services.runtime.stop import Stop

__all__ = ["POLL_S", "Follower"]

POLL_S = 0.25  # what a line waits at most before it is seen; asking for a size costs microseconds
_LEAVING = timedelta(seconds=60)  # a renamed file that did not grow for so long is written by nobody any more
_COPY_TRIES = 20  # polls; a copy that is just being packed cannot be read whole


@dataclass(slots=True)
class _Opened:
    """A file that had the log's name when it was opened. `size` is that of the last look, `counted` as in `Import`."""

    file: BinaryIO
    inode: tuple[int, int]
    grown_at: datetime
    claim: FileClaim | None = None
    counted: int = 0
    size: int = 0
    formats: InForce | None = None

    def forget(self) -> None:
        self.claim, self.counted, self.size, self.formats = None, 0, 0, None


@dataclass(slots=True)
class _Log:
    """One name. `copy_wanted`: tries left to find the copy of what stood there before; `copied` of it is counted."""

    path: Path
    current: _Opened | None = None
    leaving: list[_Opened] = field(default_factory=list)
    copy_wanted: int = _COPY_TRIES
    copied: int | None = None
    said: str = ""

    @property
    def opened(self) -> list[_Opened]:
        return [*self.leaving, *([self.current] if self.current else [])]


class Follower:
    """`note` is told, once each time, what is being waited for; `permitted` raises `Fatal` when nothing may be
    taken for the tenant any more."""

    def __init__(
        self,
        parts: FileImporter,
        what: tuple[Source, Format],
        paths: Sequence[Path],
        *,
        progress: Progress,
        note: Callable[[str], None],
        permitted: Callable[[], None],
    ) -> None:
        self._parts, self._what = parts, what
        self._logs = [_Log(path) for path in paths]
        self._progress, self._note, self._permitted = progress, note, permitted
        self._pool = ThreadPoolExecutor(1, "publish")
        self._waiting = False
        self.outcome = NOTHING

    def run(self, stop: Stop) -> Outcome:
        """Until `stop` is set; then all files are closed. Raises `Fatal` on what cannot be followed; waits for
        everything else."""
        try:
            while not stop.is_set:
                stop.wait(self.poll(stop))
        finally:
            self.close()
        return self.outcome

    def close(self) -> None:
        self._pool.shutdown()
        for log in self._logs:
            for opened in log.opened:
                opened.file.close()

    def poll(self, stop: Stop) -> float:
        """Take what is new in all logs; returns how long to wait, in seconds."""
        try:
            for log in self._logs:
                self._poll_or_close(log, stop)
        except Transient as error:
            if not self._waiting:
                self._note(f"waiting: {error}")
            self._waiting = True
            return float(error.retry_after_s)
        self._waiting = False
        return POLL_S

    def _poll_or_close(self, log: _Log, stop: Stop) -> None:
        try:
            there = self._reopen(log)
            self._poll(log, stop)
            log.said = "" if there else log.said
        except OSError as error:  # a network file system went away: what was open will not come back
            self._say(log, f"waiting for {log.path}: {error.strerror}")
            for opened in log.opened:
                with contextlib.suppress(OSError):
                    opened.file.close()
            log.leaving, log.current = [], None

    def _poll(self, log: _Log, stop: Stop) -> None:
        """1 what was renamed, to its end; 2 what a copy holds that was not seen in time; 3 what has the name now."""
        for opened in list(log.leaving):
            self._look(opened, stop)
            if self._parts.clock.now() - opened.grown_at > _LEAVING:
                log.leaving.remove(opened)
                opened.file.close()
        if log.current and self._was_cut(log.current):
            log.copied, log.copy_wanted = log.current.counted, _COPY_TRIES
            log.current.forget()
        if log.copy_wanted:
            self._take_copy(log, stop)
        if log.current and not self._look(log.current, stop):
            log.copied, log.copy_wanted = log.current.counted, _COPY_TRIES
            log.current.forget()

    # --- which files -----------------------------------------------------------------------------------------------

    def _reopen(self, log: _Log) -> bool:
        """Whether what has the name now is open."""
        try:
            status = log.path.stat()
            if log.current and (status.st_dev, status.st_ino) == log.current.inode:
                return True
            if not stat.S_ISREG(status.st_mode):
                raise Fatal(f"{log.path} is no file that could be followed.")
            file, inode = _open(log.path)
        except OSError as error:
            self._say(log, f"waiting for {log.path}: {error.strerror}")
            return False
        if log.current:
            log.leaving.append(log.current)
        log.current = _Opened(file, inode, self._parts.clock.now())
        head = os.pread(file.fileno(), HEAD_BYTES, 0)
        if is_packed(head):
            raise Fatal(f"{log.path} is compressed, so nobody appends lines to it; import it without --follow.")
        if encoding := encoding_of(head[:MAGIC_BYTES]):
            raise Fatal(
                f"{log.path} is {encoding}; have it written as UTF-8, or convert it with iconv and import that."
            )
        return True

    def _say(self, log: _Log, text: str) -> None:
        if text != log.said:
            self._note(text)
        log.said = text

    def _was_cut(self, opened: _Opened) -> bool:
        return os.fstat(opened.file.fileno()).st_size < opened.size

    # --- what is in them -------------------------------------------------------------------------------------------

    def _look(self, opened: _Opened, stop: Stop) -> bool:
        """Take what is new. False when the file's text is another than it was."""
        size = os.fstat(opened.file.fileno()).st_size
        if size == opened.size:
            return True
        try:
            self._take(opened, stop)
        except Changed:
            return False
        opened.size, opened.grown_at = size, self._parts.clock.now()
        return True

    def _take(self, opened: _Opened, stop: Stop) -> None:
        self._permitted()
        text = _read_on(opened)
        before = self.outcome
        opened.formats = opened.formats or InForce(self._what[1])
        importing = Import(
            *(self._parts, text, self._what, self._pool, lambda done, read: self._progress(before + done, read)),
            stop=stop, claim=opened.claim, counted=opened.counted, formats=opened.formats,
        )  # fmt: skip
        try:
            importing.run()
        finally:
            self.outcome += importing.outcome
            opened.claim, opened.counted = importing.claim, importing.counted

    def _take_copy(self, log: _Log, stop: Stop) -> None:
        """A log that was copied and truncated, or renamed while nobody followed it, may have ended with lines that
        were not seen. The newest rotated file is looked at, if it begins like one that was taken before."""
        found = _newest_rotated(log)
        log.copy_wanted = log.copy_wanted - 1 if found else 0
        if found is None:
            return
        try:
            with found.open("rb") as raw:
                text = open_text(raw)
                if self._parts.claims.matching(self._what[0], text.peek(HEAD_BYTES)):
                    self._take_rest(log, text, stop)
        except (OSError, Damaged):
            return  # it is just being packed or moved: at a next poll there is another one
        log.copy_wanted = 0

    def _take_rest(self, log: _Log, text: Text, stop: Stop) -> None:
        """Lines that were counted when they were followed are not counted as duplicates here."""
        importing = Import(self._parts, text, self._what, self._pool, stop=stop, counted=log.copied or 0)
        try:
            importing.run()
        finally:
            done = importing.outcome
            self.outcome += Outcome(done.lines - done.duplicates, done.accepted, 0, done.rejected)
        if text.damage:
            raise Damaged(text.damage, importing.outcome)


def _open(path: Path) -> tuple[BinaryIO, tuple[int, int]]:
    """The file and its inode, which may be another than the name had just before."""
    file = path.open("rb", buffering=0)
    try:
        status = os.fstat(file.fileno())
    except OSError:
        file.close()
        raise
    return file, (status.st_dev, status.st_ino)


def _read_on(opened: _Opened) -> Text:
    """The file's text from the chunk on in which the counted lines end."""
    last = opened.claim.chunk_over(opened.counted - 1) if opened.claim and opened.counted else None
    first = last.first if last else 0
    opened.file.seek(first)
    mid_line = first > 0 and os.pread(opened.file.fileno(), 1, first - 1) != b"\n"
    return Text(opened.file.read, opened.file.tell, whole_lines=True, offset=first, mid_line=mid_line)


def _newest_rotated(log: _Log) -> Path | None:
    """`access.log.1`, `access.log-20261123`, `access.log.2.gz`, ...: whichever was written last, and is not open."""
    open_ones = {opened.inode for opened in log.opened}
    found = []
    for path in (p for mark in ".-" for p in log.path.parent.glob(f"{_literally(log.path.name)}{mark}*")):
        with contextlib.suppress(OSError):  # it has just been moved
            status = path.stat()
            if stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) not in open_ones:
                found.append((status.st_mtime, path))
    return max(found)[1] if found else None


def _literally(name: str) -> str:
    return "".join(f"[{ch}]" if ch in "*?[" else ch for ch in name)
