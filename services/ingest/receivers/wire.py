"""Protobuf's wire format, as much as is needed to walk the levels of a message without making objects.

Source: protobuf.dev, "Encoding": a field is a varint of its number and type, then a varint, 4 or 8 bytes, or a
length and as many bytes. Groups (types 3 and 4) are of proto2 and are refused.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["submessages"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}
_VARINT_BYTES_MAX = 10  # 64 bits, seven a byte


def submessages(message: memoryview, field: int) -> Iterator[memoryview]:
    """The bytes of each occurrence of `field`, which holds messages. Raises ValueError on what is no protobuf."""
    at, wanted = 0, field << 3 | _BYTES
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            _, at = _varint(message, at)
            continue
        size = _SIZES.get(kind)
        if kind == _BYTES:
            size, at = _varint(message, at)
        if size is None or not tag >> 3 or at + size > len(message):
            raise ValueError("not protobuf's wire format")
        if tag == wanted:
            yield message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for n in range(_VARINT_BYTES_MAX):
        if at + n >= len(message):
            break
        byte = message[at + n]
        value |= (byte & 0x7F) << 7 * n
        if byte < 0x80:
            return value, at + n + 1
    raise ValueError("not protobuf's wire format")
