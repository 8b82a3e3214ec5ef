"""How a file is packed, by its first bytes (any name will do), and its decompressed bytes as a stream."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Callable
from typing import BinaryIO

from services.runtime.errors import Fatal

__all__ = [
    "DAMAGED",
    "MAGIC_BYTES",
    "TAR_BYTES",
    "Pieces",
    "Unreadable",
    "encoding_of",
    "is_packed",
    "refuse_tar",
    "unpacked",
]

# What unpackers raise for bytes they cannot read; an OSError without a number is one of those, too.
DAMAGED = (EOFError, zlib.error, lzma.LZMAError)

# Arrow's reader gives up the whole piece in which a file is cut off, so pieces are small. (Before bytes that are
# damaged up to 1 MB more is lost to the import of what could be read.)
_ZSTD_PIECE_BYTES = 128 * 1024
_GZIP, _BZIP2, _ZSTD, _XZ = b"\x1f\x8b", b"BZh", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ"
_ZIP = b"PK\x03\x04"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # what PowerShell makes of `>`

MAGIC_BYTES = 8  # what `unpacked` and `encoding_of` look at
_TAR, _TAR_AT = b"ustar", 257
TAR_BYTES = _TAR_AT + len(_TAR)

Pieces = Callable[[int], bytes]


class Unreadable(Fatal):
    """A file of another kind. FILE in its text stands for the file's name."""


def is_packed(head: bytes) -> bool:
    return any(head.startswith(magic) for magic in (*_OPENERS, _ZIP))


def unpacked(magic: bytes, raw: BinaryIO) -> tuple[str, Pieces]:
    """(what it is packed with, a function that reads up to so many bytes; b"" at the end).

    Several members or frames one after the other are one text: rotation and parallel packers write such.
    `magic` is at least the first eight bytes of `raw`, if it has as many. Raises `Unreadable` on a ZIP archive and on
    UTF-16.
    """
    if magic.startswith(_ZIP):
        raise Unreadable("This is a ZIP archive of files; unpack it: unzip -p FILE | voile import - ...")
    if encoding := encoding_of(magic):
        raise Unreadable(f"This text is {encoding}; convert it: iconv -f {encoding} -t UTF-8 FILE | voile import - ...")
    opener = next((opener for start, opener in _OPENERS.items() if magic.startswith(start)), None)
    return opener(raw) if opener else ("", raw.read)


def refuse_tar(text: bytes) -> None:
    """`text` begins a file, unpacked. Raises `Unreadable`: names and sizes between the lines would spoil some."""
    if text[_TAR_AT:TAR_BYTES] == _TAR:
        raise Unreadable("This is a tar archive of files; unpack it: tar -xOf FILE | voile import - ...")


def encoding_of(magic: bytes) -> str:
    """ "" for what may be text in UTF-8. Without its mark UTF-16 is known by every other byte being NUL."""
    if magic.startswith(_UTF16):
        return "UTF-16"
    high, low = magic[1::2], magic[0::2]
    if len(magic) < 4 or any(high) == any(low):
        return ""
    if not any(high) and all(low):
        return "UTF-16LE"
    return "UTF-16BE" if not any(low) and all(high) else ""


def _gzip(raw: BinaryIO) -> tuple[str, Pieces]:
    return "gzip", gzip.GzipFile(fileobj=raw).read1


def _bzip2(raw: BinaryIO) -> tuple[str, Pieces]:
    return "bzip2", bz2.BZ2File(raw).read1


def _xz(raw: BinaryIO) -> tuple[str, Pieces]:
    return "xz", lzma.LZMAFile(raw).read1


def _zstd(raw: BinaryIO) -> tuple[str, Pieces]:
    """Arrow's, since python-zstandard's reader takes a frame that breaks off for one that ends. Loaded only here:
    with numpy it is a fifth of the start of an import."""
    import pyarrow as pa

    stream = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")

    def read(size: int) -> bytes:
        try:
            return bytes(stream.read(min(size, _ZSTD_PIECE_BYTES)))
        except pa.ArrowException as error:
            raise EOFError("damaged") from error

    return "zstd", read


_OPENERS = {_GZIP: _gzip, _BZIP2: _bzip2, _ZSTD: _zstd, _XZ: _xz}
