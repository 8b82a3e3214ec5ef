"""A file's decompressed text as a stream of chunks that end at line ends; never more than a few MB of it."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable
from typing import BinaryIO

from services.runtime.errors import Fatal, VoileError

__all__ = ["CHUNK_BYTES", "Text", "open_text"]

CHUNK_BYTES = 4 * 1024 * 1024  # 20 000 lines: long enough for columns, and memory stays small
_READ_BYTES = 1024 * 1024
_GZIP = b"\x1f\x8b"
_OTHERS = {b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz", b"PK\x03\x04": "zip"}


class Text:
    """Reads ahead as far as asked. `offset` is where the text not taken yet begins, in decompressed bytes."""

    def __init__(self, stream: BinaryIO, raw_position: Callable[[], int]) -> None:
        self._stream, self.raw_position = stream, raw_position
        self._ahead = b""
        self._ended = False
        self._last = b"\n"
        self.offset = 0

    @property
    def mid_line(self) -> bool:
        """True when what comes next continues a line that was taken already."""
        return self._last != b"\n"

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end; they are not taken."""
        parts, have = [self._ahead], len(self._ahead)
        while have < size and not self._ended:
            part = self._read()
            parts.append(part)
            have += len(part)
        self._ahead = b"".join(parts)
        return self._ahead[:size]

    def take(self, size: int) -> bytes:
        text = self.peek(size)
        self._ahead = self._ahead[len(text) :]
        self.offset += len(text)
        self._last = text[-1:] or self._last
        return text

    def chunk(self) -> bytes:
        """Take up to `CHUNK_BYTES`, cut back to a line end unless the text or one line is at its end there."""
        ahead = self.peek(CHUNK_BYTES)
        if len(ahead) < CHUNK_BYTES:
            return self.take(len(ahead))
        return self.take(ahead.rfind(b"\n") + 1 or len(ahead))

    def give_back(self, text: bytes, mid_line: bool) -> None:
        """Undo `take` of exactly this text, which `mid_line` tells about."""
        self._ahead = text + self._ahead
        self.offset -= len(text)
        self._last = b"" if mid_line else b"\n"

    @property
    def at_end(self) -> bool:
        return not self.peek(1)

    def _read(self) -> bytes:
        try:
            part = self._stream.read(_READ_BYTES)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise VoileError("The gzip file is damaged or cut off; what could be read before that was taken.") from None
        except OSError as error:
            raise VoileError(f"The file cannot be read on ({error.strerror}); what was read was taken.") from None
        self._ended = not part
        return part


def open_text(raw: BinaryIO) -> Text:
    """Plain or gzip by its first bytes (any name will do). Raises `Fatal` on another compression."""
    buffered = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)  # type: ignore[type-var]
    magic = buffered.peek(8)[:8]
    for start, name in _OTHERS.items():
        if magic.startswith(start):
            raise Fatal(
                f"This file is compressed with {name}; unpack it into a pipe: {name} -dc FILE | voile import - ..."
            )
    counted = _Counted(buffered)
    if magic.startswith(_GZIP):
        return Text(gzip.GzipFile(fileobj=counted), counted.tell)  # type: ignore[arg-type]
    return Text(counted, counted.tell)  # type: ignore[arg-type]


class _Counted(io.RawIOBase):
    """Counts bytes as stored on disk, for the progress bar; works on pipes, where `tell` does not."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._count = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._count += len(data)
        return data

    def tell(self) -> int:
        return self._count
