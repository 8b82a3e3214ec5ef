"""A request's body -> lines, within limits: what was sent compressed costs no more than what was allowed."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import orjson
import polars as pl
import zstandard

from services.ingest.formats import FORMATS, JSON_FORMATS, Format
from services.ingest.formats.native import NATIVE
from services.ingest.lines import Lines, split_lines
from services.ingest.sources import Source

__all__ = ["BodyError", "Decompress", "body_lines", "decompressor", "media_type"]

LINES_MAX = 250_000  # 16 MB of ordinary lines; as many bad ones as that still cost only seconds
RATIO_MAX = 250  # access logs reach 60; a bomb 1000
_ZSTD_PIECE = 256  # at most 64 blocks of 128 kB begin in it: 8 MB more than the limit at worst
_RATIO_FREE_BYTES = 1024 * 1024  # below this no bomb is worth its name

_TEXT = frozenset({"text/plain"})
_JSON = frozenset({"application/json"})
_NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonlines"})

Decompress = Callable[[bytes, int], bytes]  # (body, most bytes that may come out) -> text


@dataclass(frozen=True, slots=True)
class BodyError(Exception):
    """The whole body is refused. `code` is Voile's own, `detail` says what to do; neither quotes the body."""

    status: int
    code: str
    detail: str


def media_type(header: str) -> str:
    """Raises `BodyError(415)`, before the body is read."""
    media = header.partition(";")[0].strip().lower()
    if media not in _TEXT | _JSON | _NDJSON:
        raise BodyError(415, "media_type", "Send text/plain (lines), application/json or application/x-ndjson.")
    return media


def decompressor(header: str) -> Decompress:
    """Raises `BodyError(415)`, before the body is read."""
    known = {"": _identity, "identity": _identity, "gzip": _gzip, "x-gzip": _gzip, "deflate": _deflate, "zstd": _zstd}
    encoding = header.strip().lower()
    if encoding not in known:
        raise BodyError(415, "content_encoding", "Send the body as it is, or with gzip, deflate or zstd.")
    return known[encoding]


def body_lines(text: bytes, media: str, source: Source) -> tuple[Lines, Format]:
    """Lines with their index as position, and the format to read them by. Raises `BodyError(400)` when the body
    is no JSON as a whole; a single bad line is a reject, not an error."""
    if text.count(b"\n") > LINES_MAX:
        raise _too_many()
    if media in _TEXT:
        return _indexed(split_lines(text)), FORMATS[source.format]
    format_ = FORMATS[source.format] if source.format in JSON_FORMATS else NATIVE
    return (_indexed(split_lines(text)) if media in _NDJSON else _elements(text)), format_


def _elements(text: bytes) -> Lines:
    """A JSON array, or one object, as lines of JSON."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise BodyError(400, "bad_json", "The body is no JSON; send an object or an array of objects.") from None
    if not isinstance(value, dict | list):
        raise BodyError(400, "bad_json", "Send a JSON object or an array of objects.")
    elements = value if isinstance(value, list) else [value]
    if len(elements) > LINES_MAX:
        raise _too_many()
    texts = pl.Series([orjson.dumps(element).decode() for element in elements], dtype=pl.String)
    return Lines(texts, pl.arange(0, texts.len(), eager=True), texts.str.len_bytes().cast(pl.Int64))


def _indexed(lines: Lines) -> Lines:
    return Lines(lines.text, pl.arange(0, len(lines), eager=True), lines.sizes)


def _identity(body: bytes, limit: int) -> bytes:
    return _within(body, len(body), limit)


def _gzip(body: bytes, limit: int) -> bytes:
    out, rest = b"", body
    while rest:  # a gzip body may be several members, one after the other
        part, rest = _inflate(rest, limit - len(out), 16 + zlib.MAX_WBITS)
        out += part
        _within(out, len(body), limit)
    return out


def _deflate(body: bytes, limit: int) -> bytes:
    """RFC 9110 means zlib's wrapping; some senders leave it out."""
    raw = not body or body[0] & 0x0F != 8
    out, rest = _inflate(body, limit, -zlib.MAX_WBITS if raw else zlib.MAX_WBITS)
    if rest and len(out) <= limit:
        raise _undecodable("deflate")
    return _within(out, len(body), limit)


def _zstd(body: bytes, limit: int) -> bytes:
    """Fed in small pieces, because a piece cannot be told how much may come out of it."""
    unpacker = zstandard.ZstdDecompressor(max_window_size=_window(limit))
    out, size, frame = [], 0, None
    try:
        for at in range(0, len(body), _ZSTD_PIECE):
            rest = body[at : at + _ZSTD_PIECE]
            while rest:  # several frames may follow each other
                frame = unpacker.decompressobj() if frame is None or frame.eof else frame
                out.append(frame.decompress(rest))
                size += len(out[-1])
                rest = frame.unused_data if frame.eof else b""
            if size > limit:
                break
    except zstandard.ZstdError:
        raise _undecodable("zstd") from None
    if frame is not None and not frame.eof and size <= limit:
        raise _undecodable("zstd")
    return _within(b"".join(out), len(body), limit)


def _inflate(body: bytes, limit: int, window: int) -> tuple[bytes, bytes]:
    """(text, what follows the member); at most one byte more than `limit`, which is how a bomb shows."""
    inflater = zlib.decompressobj(window)
    try:
        out = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise _undecodable("gzip or deflate") from None
    if not inflater.eof and len(out) <= limit:
        raise _undecodable("gzip or deflate")
    return out, inflater.unused_data


def _within(text: bytes, sent: int, limit: int) -> bytes:
    if len(text) > limit:
        raise BodyError(413, "too_large", f"The body is larger than {limit} bytes; send less at once.")
    if len(text) > _RATIO_FREE_BYTES and len(text) > RATIO_MAX * sent:
        raise BodyError(413, "ratio", f"The body grows more than {RATIO_MAX} times when unpacked.")
    return text


def _window(limit: int) -> int:
    """zstd sets aside its window before a byte comes out."""
    return max(1 << 20, 1 << (limit - 1).bit_length())


def _too_many() -> BodyError:
    return BodyError(413, "too_many_lines", f"The body has more than {LINES_MAX} lines; send less at once.")


def _undecodable(encoding: str) -> BodyError:
    return BodyError(400, "bad_encoding", f"The body is not what its Content-Encoding says ({encoding}).")
