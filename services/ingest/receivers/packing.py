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

__all__ = ["DAMAGED", "Pieces", "is_packed", "unpacked"]

# What unpackers raise for bytes they cannot read; an OSError without a number is one of those, too.
DAMAGED = (EOFError, zlib.error, lzma.LZMAError)

# Arrow's reader gives up the whole piece in which a file is cut off, so pieces are small. (Before bytes that are
# damaged up to 1 MB more is lost to the import of what could be read.)
_ZSTD_PIECE_BYTES = 128 * 1024
_GZIP, _BZIP2, _ZSTD, _XZ = b"\x1f\x8b", b"BZh", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ"
_ZIP = b"PK\x03\x04"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # what PowerShell makes of `>`

Pieces = Callable[[int], bytes]


def is_packed(head: bytes) -> bool:
    return any(head.startswith(magic) for magic in (*_OPENERS, _ZIP))


def unpacked(magic: bytes, raw: BinaryIO) -> tuple[str, Pieces]:
    """(what it is packed with, a function that reads up to so many bytes; b"" at the end).

    Several members or frames one after the other are one text: rotation and parallel packers write such.
    `magic` is at least the first eight bytes of `raw`, if it has as many. Raises `Fatal` on a ZIP archive and UTF-16.
    """
    if magic.startswith(_ZIP):
        raise Fatal("This is a ZIP archive, which may hold many files; unpack it: unzip -p FILE | voile import - ...")
    if magic.startswith(_UTF16):
        raise Fatal("This text is UTF-16; convert it: iconv -f UTF-16 -t UTF-8 FILE | voile import - ...")
    opener = next((opener for start, opener in _OPENERS.items() if magic.startswith(start)), None)
    return opener(raw) if opener else ("", raw.read)


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
