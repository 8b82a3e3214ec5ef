"""Keyed digests of what was sent, and the packed form of positions: nothing here can be turned back into text."""

from __future__ import annotations

import hashlib
import itertools
import zlib
from array import array
from collections.abc import Iterable

__all__ = ["Fingerprints", "pack_positions", "unpack_positions"]

_BLOCKS = 256  # a text is digested in so many blocks: 2 kB of digests, whether it is a chunk of 4 MB or a few lines
_BLOCK_BYTES_MIN = 64  # less than most lines
_DIGEST_BYTES = 16
_BLOCK_DIGEST_BYTES = 8  # equal blocks are only looked for at one place of one file
_ORIGIN_BYTES = 12  # 96 bits: no two of 10^9 origins meet by chance; short, as each span carries one


class Fingerprints:
    """BLAKE2b with ingest's own key; `person` keeps the uses apart."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def text(self, text: bytes) -> str:
        return self._digest(b"voile.text", _DIGEST_BYTES, text).hex()

    def line(self, text: bytes) -> str:
        """For dead letters, to recognise a repeat."""
        return self._digest(b"voile.letter", _DIGEST_BYTES, text).hex()

    def origin(self, *parts: str | bytes) -> str:
        """An origin's name from what it is made of, length-prefixed so that no two lists of parts are one."""
        encoded = [part.encode() if isinstance(part, str) else part for part in parts]
        joined = b"".join(len(part).to_bytes(8, "big") + part for part in encoded)
        return self._digest(b"voile.origin", _ORIGIN_BYTES, joined).hex()

    def blocks(self, text: bytes) -> bytes:
        """The digests of the blocks of `text`, joined."""
        return self._blocks(text, _block_bytes(len(text)))

    def begins(self, text: bytes, digests: bytes, length: int) -> bool:
        """True when `text` begins what had these `blocks` and that `length`. Of a shorter text the last piece,
        under 1/256 of the length, cannot be compared and passes."""
        size = _block_bytes(length)
        whole = text if len(text) == length else text[: len(text) // size * size]
        return len(text) <= length and digests.startswith(self._blocks(whole, size))

    def _blocks(self, text: bytes, size: int) -> bytes:
        view = memoryview(text)
        cut = (view[at : at + size] for at in range(0, len(text), size))
        return b"".join(self._digest(b"voile.block", _BLOCK_DIGEST_BYTES, block) for block in cut)

    def _digest(self, person: bytes, size: int, data: bytes | memoryview) -> bytes:
        return hashlib.blake2b(data, key=self._key, person=person, digest_size=size).digest()


def _block_bytes(length: int) -> int:
    return max(_BLOCK_BYTES_MIN, -(-length // _BLOCKS))


def pack_positions(positions: Iterable[int]) -> bytes:
    """Sorted positions as zlib of 8-byte differences; b"" for none."""
    found = array("q", positions)
    if not found:
        return b""
    steps = array("q", [found[0], *(b - a for a, b in itertools.pairwise(found))])
    return zlib.compress(steps.tobytes(), 6)


def unpack_positions(packed: bytes) -> list[int]:
    if not packed:
        return []
    steps = array("q")
    steps.frombytes(zlib.decompress(packed))
    total, positions = 0, []
    for step in steps:
        total += step
        positions.append(total)
    return positions
