"""A file's decompressed text as a stream of chunks that end at line ends; never more than a few MB of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

from services.ingest.receivers.packing import DAMAGED, MAGIC_BYTES, TAR_BYTES, Pieces, Unreadable, refuse_tar, unpacked

__all__ = ["CHUNK_BYTES", "Text", "open_text"]

CHUNK_BYTES = 4 * 1024 * 1024  # 20 000 lines: long enough for columns, and memory stays small
_READ_BYTES = 1024 * 1024


class Text:
    """Reads ahead as far as asked. `offset` is where the text not taken yet begins, in decompressed bytes.

    A file that cannot be read to its end ends, for readers, with its last whole line; `damage` then says why.
    """

    def __init__(
        self,
        read: Pieces,
        raw_position: Callable[[], int],
        *,
        packed: str = "",
        whole_lines: bool = False,
        offset: int = 0,
        mid_line: bool = False,
    ) -> None:
        """`whole_lines`: what stands after the last line end is not given, as somebody is still writing it."""
        self._read_piece, self.raw_position = read, raw_position
        self._packed, self._whole_lines = packed, whole_lines
        self._ahead = b""
        self._ended = False
        self._last = b"" if mid_line else b"\n"
        self.offset = self.start = offset
        self.damage = ""

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
            self._ended = not part
        if len(parts) > 1:
            self._ahead = b"".join(parts)
            if self._ended and (self._whole_lines or self.damage):
                self._ahead = self._ahead[: self._ahead.rfind(b"\n") + 1]
        return self._ahead[:size]

    def take(self, size: int) -> bytes:
        text = self.peek(size)
        self._ahead = self._ahead[len(text) :]
        self.offset += len(text)
        self._last = text[-1:] or self._last
        return text

    def chunk(self, size: int) -> bytes:
        """Take up to `size`, cut back to a line end unless the text or one line is at its end there."""
        ahead = self.peek(size)
        if len(ahead) < size:
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
        """b"" at the end, wherever that is."""
        try:
            return self._read_piece(_READ_BYTES)
        except OSError as error:
            what = f"cannot be read on ({error.strerror})" if error.errno else self._broken()
        except DAMAGED:
            what = self._broken()
        self.damage = f"{what}; the lines that could be read before that were taken"
        return b""

    def _broken(self) -> str:
        return f"is damaged or cut off ({self._packed})"


def open_text(raw: BinaryIO) -> Text:
    """Plain, gzip, bzip2, zstd or xz. Raises `Unreadable` on an archive of several files, and on what is no text."""
    buffered = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)  # type: ignore[type-var]
    counted = _Counted(buffered)
    try:
        magic = buffered.peek(MAGIC_BYTES)
    except OSError as error:
        raise Unreadable(f"It cannot be read: {error.strerror}.") from None
    packed, read = unpacked(magic[:MAGIC_BYTES], counted)  # type: ignore[arg-type]  # only `read` is called
    text = Text(read, counted.tell, packed=packed)
    refuse_tar(text.peek(TAR_BYTES))
    return text


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
