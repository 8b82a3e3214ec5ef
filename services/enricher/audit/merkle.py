"""Merkle tree hashing of RFC 9162, section 2.1: leaves 0x00, nodes 0x01, SHA-256."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

__all__ = ["HASH_BYTES", "Frontier"]

HASH_BYTES = 32


class Frontier:
    """The tree's right edge: the roots of its perfect subtrees, largest first. Appending and the root of n
    leaves need these at most 64 hashes and nothing else."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if len(peaks) != size.bit_count() or any(len(peak) != HASH_BYTES for peak in peaks):
            raise ValueError("the peaks do not belong to a tree of this size")
        self._size = size
        self._peaks = list(peaks)

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Frontier:
        """Raises `ValueError` when `data` cannot be the edge of a tree of `size` leaves."""
        return cls(size, [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)])

    def to_bytes(self) -> bytes:
        return b"".join(self._peaks)

    @property
    def size(self) -> int:
        return self._size

    def append(self, leaf: bytes) -> None:
        digest = sha256(b"\x00" + leaf).digest()
        ones = self._size
        while ones & 1:  # two perfect subtrees of one height become one, like carrying in a binary sum
            digest = sha256(b"\x01" + self._peaks.pop() + digest).digest()
            ones >>= 1
        self._peaks.append(digest)
        self._size += 1

    def root(self) -> bytes:
        """32 bytes; of the empty tree SHA-256 of nothing."""
        if not self._peaks:
            return sha256(b"").digest()
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = sha256(b"\x01" + peak + root).digest()
        return root
