"""Searches a data folder for what must be gone: pseudonyms (64-bit numbers) and keys, in every form they may take.

Every file is read as it lies there, which shows free pages and write-ahead logs of SQLite too, and once more
decompressed: ClickHouse's blocks (LZ4 or ZSTD behind a header of 9 bytes and a checksum of 16), Arrow's and gzip's.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import lz4.block
import numpy as np
import polars as pl
import zstandard

__all__ = ["Residue", "blocks_of"]

_LZ4, _ZSTD, _PLAIN = 0x82, 0x90, 0x02
_CHECKSUM_BYTES, _HEADER_BYTES = 16, 9
_BLOCK_BYTES_MAX = 1 << 26
_DECIMAL = re.compile(rb"\d{15,20}")
_HEX = re.compile(rb"[0-9a-f]{16}")
_ARROW = b"ARROW1"


class Residue:
    """`numbers` must be large (a small one stands in any file); `keys` are byte strings."""

    def __init__(self, numbers: Iterable[int], keys: Iterable[bytes]) -> None:
        self._numbers = np.array(sorted({n for n in numbers if n > 2**48}), dtype=np.uint64)
        self._texts = {str(n).encode() for n in self._numbers} | {b"%016x" % int(n) for n in self._numbers}
        forms = [form for key in keys for form in (key, key.hex().encode(), base64.b64encode(key).rstrip(b"=")[:-1])]
        self._keys = forms

    def in_folder(self, folder: Path) -> dict[str, set[str]]:
        """Kind ("key" or "pseudonym") -> the files that have one."""
        found: dict[str, set[str]] = {"key": set(), "pseudonym": set()}
        for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()):
            for kind in self.in_bytes(path.read_bytes()):
                found[kind].add(str(path.relative_to(folder)))
        return found

    def in_bytes(self, data: bytes) -> set[str]:
        found = set()
        for piece in (data, *_unpacked(data)):
            found |= {"key"} if any(form in piece for form in self._keys) else set()
            found |= {"pseudonym"} if self._has_number(piece) else set()
        return found

    def _has_number(self, data: bytes) -> bool:
        for offset in range(8):
            aligned = (
                np.frombuffer(data, np.uint64, (len(data) - offset) // 8, offset) if len(data) >= offset + 8 else None
            )
            if aligned is not None and (
                np.isin(aligned, self._numbers).any() or np.isin(aligned.byteswap(), self._numbers).any()
            ):
                return True
        return any(text in self._texts for pattern in (_DECIMAL, _HEX) for text in pattern.findall(data))


def blocks_of(data: bytes) -> Iterator[bytes]:
    """The contents of a file of ClickHouse, block by block; nothing when it is none."""
    at = 0
    while at + _CHECKSUM_BYTES + _HEADER_BYTES <= len(data):
        header = data[at + _CHECKSUM_BYTES : at + _CHECKSUM_BYTES + _HEADER_BYTES]
        packed, size = int.from_bytes(header[1:5], "little"), int.from_bytes(header[5:9], "little")
        body = data[at + _CHECKSUM_BYTES + _HEADER_BYTES : at + _CHECKSUM_BYTES + packed]
        if packed <= _HEADER_BYTES or len(body) != packed - _HEADER_BYTES or not 0 < size < _BLOCK_BYTES_MAX:
            return
        try:
            yield _content(header[0], body, size)
        except (ValueError, lz4.block.LZ4BlockError, zstandard.ZstdError):  # any bytes may begin like one
            return
        at += _CHECKSUM_BYTES + packed


def _content(method: int, body: bytes, size: int) -> bytes:
    if method == _LZ4:
        return bytes(lz4.block.decompress(body, uncompressed_size=size))
    if method == _ZSTD:
        return zstandard.ZstdDecompressor().decompress(body, max_output_size=size)
    if method == _PLAIN:
        return body
    raise ValueError("no block")


def _unpacked(data: bytes) -> Iterator[bytes]:
    whole = b"".join(blocks_of(data))
    if whole:
        yield whole
    if data[:3] == b"\x1f\x8b\x08":
        with contextlib.suppress(OSError, EOFError, zlib.error):  # any bytes may begin like it
            yield gzip.decompress(data)
    for start in (m.start() for m in re.finditer(_ARROW + rb"\0\0", data)):  # a frame in a column of SQLite
        yield _frame_at(data[start:])


def _frame_at(data: bytes) -> bytes:
    """The columns of an Arrow file that begins here; its end is searched for, as SQLite may cut it into pages."""
    end = data.find(_ARROW, len(_ARROW))
    try:
        frame = pl.read_ipc(io.BytesIO(data[: end + len(_ARROW)]))
    except Exception:  # cut into pages: its table is read by SQL instead
        return b""
    return repr(frame.to_dict(as_series=False)).encode()


def by_place(found: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The first folder or file of each path."""
    return {kind: {path.partition("/")[0] for path in paths} for kind, paths in found.items()}
