"""Content-Encoding -> the text that was meant, within limits: a bomb costs no more than an honest body."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import zstandard

from services.ingest.receivers.refusals import BodyError

__all__ = ["MEMBERS_MAX", "RATIO_MAX", "Decompress", "decompressor"]

RATIO_MAX = 250  # access logs reach 60; a bomb 1000
MEMBERS_MAX = 1000  # of one body: bgzip makes one of 64 kB; an empty one costs us as much as a full one
_RATIO_FREE_BYTES = 1024 * 1024  # below this no bomb is worth its name
_ZSTD_PIECE = 256  # at most 64 blocks of 128 kB begin in it: 8 MB more than the limit at worst
_GZIP_PIECE = 16 * 1024  # what follows a member is copied: of a piece, not of the body

Decompress = Callable[[bytes, int], bytes]  # (body, most bytes that may come out) -> text


def decompressor(header: str) -> Decompress:
    """Raises `BodyError(415)`, before the body is read; several encodings on top of each other are none of them."""
    known = {"": _identity, "identity": _identity, "gzip": _gzip, "x-gzip": _gzip, "deflate": _deflate, "zstd": _zstd}
    encoding = header.strip().lower()
    if encoding not in known:
        raise BodyError(415, "content_encoding", "Send the body as it is, or with one of gzip, deflate or zstd.")
    return known[encoding]


def _identity(body: bytes, limit: int) -> bytes:
    return _within(body, len(body), limit)


def _gzip(body: bytes, limit: int) -> bytes:
    """Several members may follow each other."""
    bound, out, size, members = _bound(len(body), limit), [], 0, 0
    inflater = None
    for at in range(0, len(body), _GZIP_PIECE):
        rest = body[at : at + _GZIP_PIECE]
        while rest:
            if inflater is None or inflater.eof:
                inflater, members = zlib.decompressobj(16 + zlib.MAX_WBITS), members + 1
                _few(members)
            out.append(_inflated(inflater, rest, bound + 1 - size))
            size += len(out[-1])
            if size > bound:
                return _within(b"".join(out), len(body), limit)
            rest = inflater.unused_data if inflater.eof else b""
    if inflater is not None and not inflater.eof:
        raise _undecodable("gzip")
    return b"".join(out)


def _deflate(body: bytes, limit: int) -> bytes:
    """RFC 9110 means zlib's wrapping; some senders leave it out."""
    bound = _bound(len(body), limit)
    inflater = zlib.decompressobj(zlib.MAX_WBITS if _is_wrapped(body) else -zlib.MAX_WBITS)
    out = _inflated(inflater, body, bound + 1)
    if len(out) <= bound and (not inflater.eof or inflater.unused_data):
        raise _undecodable("deflate")
    return _within(out, len(body), limit)


def _is_wrapped(body: bytes) -> bool:
    """RFC 1950: method 8, and the first two bytes are a multiple of 31."""
    return len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0


def _zstd(body: bytes, limit: int) -> bytes:
    """Fed in small pieces, because a piece cannot be told how much may come out of it."""
    bound, out, size, frames = _bound(len(body), limit), [], 0, 0
    unpacker = zstandard.ZstdDecompressor(max_window_size=_window(limit))
    frame = None
    try:
        for at in range(0, len(body), _ZSTD_PIECE):
            rest = body[at : at + _ZSTD_PIECE]
            while rest:  # several frames may follow each other
                if frame is None or frame.eof:
                    frame, frames = unpacker.decompressobj(), frames + 1
                    _few(frames)
                out.append(frame.decompress(rest))
                size += len(out[-1])
                rest = frame.unused_data if frame.eof else b""
            if size > bound:
                break
    except zstandard.ZstdError:
        raise _undecodable("zstd") from None
    if frame is not None and not frame.eof and size <= bound:
        raise _undecodable("zstd")
    return _within(b"".join(out), len(body), limit)


def _inflated(inflater: zlib._Decompress, data: bytes, most: int) -> bytes:
    try:
        return inflater.decompress(data, most)
    except zlib.error:
        raise _undecodable("gzip or deflate") from None


def _bound(sent: int, limit: int) -> int:
    """Where unpacking stops: the size that is allowed, or the growth, whichever comes first."""
    return min(limit, max(_RATIO_FREE_BYTES, RATIO_MAX * sent))


def _within(text: bytes, sent: int, limit: int) -> bytes:
    if len(text) > limit:
        raise BodyError(413, "too_large", f"The body is larger than {limit} bytes; send less at once.")
    if len(text) > _bound(sent, limit):
        raise BodyError(413, "ratio", f"The body grows more than {RATIO_MAX} times when unpacked.")
    return text


def _window(limit: int) -> int:
    """zstd sets aside its window before a byte comes out."""
    return max(1 << 20, 1 << (limit - 1).bit_length())


def _few(members: int) -> None:
    if members > MEMBERS_MAX:
        raise BodyError(413, "too_many_members", f"The body is of more than {MEMBERS_MAX} compressed pieces.")


def _undecodable(encoding: str) -> BodyError:
    return BodyError(400, "bad_encoding", f"The body is not what its Content-Encoding says ({encoding}).")
