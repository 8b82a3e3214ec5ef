"""A request's body -> lines, and the format to read them by."""

from __future__ import annotations

import codecs
import re

import msgspec
import polars as pl

from services.ingest.formats import Format, format_named
from services.ingest.formats.columns import LINE_BYTES_MAX
from services.ingest.lines import Lines, indexed, split_lines
from services.ingest.receivers.events import unwrapped
from services.ingest.receivers.messagepack import packed_events
from services.ingest.receivers.packing import MAGIC_BYTES, encoding_of
from services.ingest.receivers.refusals import BodyError
from services.ingest.sources import Source

__all__ = ["LINES_MAX", "MEDIA_TYPES", "body_lines", "media_type"]

LINES_MAX = 250_000  # 16 MB of ordinary lines; as many bad ones as that still cost only seconds
JSON_COMMAS_MAX = 1_000_000  # 16 MB of ordinary events have 700 000; an element costs us 60 bytes
ESCAPES_MENDED_MAX = 200_000  # what is looked at one by one, in 0.1 s

# Read over: an escaped backslash, and both halves of a character; group 1: one half alone.
_HALF_CHARACTER = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_TEXT = frozenset({"text/plain"})
_JSON = frozenset({"application/json"})
_NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonlines"})
_MSGPACK = frozenset({"application/msgpack", "application/x-msgpack", "application/vnd.msgpack"})
_PACKED = (b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd")  # gzip and zstd: no server begins a line so
MEDIA_TYPES = (*_TEXT, *_JSON, *sorted(_NDJSON), *sorted(_MSGPACK))


def media_type(header: str) -> str:
    """Raises `BodyError(415)`, before the body is read."""
    media = header.partition(";")[0].strip().lower()
    if media not in MEDIA_TYPES:
        raise BodyError(415, "media_type", f"Send one of {', '.join(MEDIA_TYPES)}.")
    return media


def body_lines(text: bytes, media: str, source: Source) -> tuple[Lines, Format]:
    """Lines with their index as position, and the format to read them by. Raises `BodyError(400)` when the body
    cannot be read as a whole; a single bad line is a reject, not an error."""
    if media in _MSGPACK:
        return packed_events(text, source, LINES_MAX)
    _refuse_no_text(text[:MAGIC_BYTES])
    if text.count(b"\n") > LINES_MAX:
        raise _too_many()
    if media in _TEXT:
        format_ = format_named(source.format)
        return indexed(format_.lines(text)), format_
    return unwrapped(split_lines(text) if media in _NDJSON else _elements(text), source)


def _refuse_no_text(head: bytes) -> None:
    """A sender that packs and does not say so, or writes UTF-16, would have every line rejected and not know why."""
    if head.startswith(_PACKED):
        raise BodyError(400, "bad_encoding", "The body is packed; say so in Content-Encoding: gzip, deflate or zstd.")
    if encoding := encoding_of(head):
        raise BodyError(400, "bad_encoding", f"The body is {encoding}; send UTF-8.")


def _elements(text: bytes) -> Lines:
    """A JSON array, or one object, as lines of JSON; no object is made of what stands in them."""
    text = text.removeprefix(codecs.BOM_UTF8)
    if text.count(b",") > JSON_COMMAS_MAX:
        raise BodyError(413, "too_many_values", f"The body has more than {JSON_COMMAS_MAX} values; send less at once.")
    try:
        elements = _decoded(text)
    except msgspec.DecodeError:
        elements = _decoded_mended(text)
    if len(elements) > LINES_MAX:
        raise _too_many()
    texts = pl.Series([_one_line(element) for element in elements], dtype=pl.String)
    sizes = pl.Series([len(memoryview(element)) for element in elements], dtype=pl.Int64)
    return Lines(texts, pl.arange(0, texts.len(), eager=True), sizes)


def _decoded(text: bytes) -> list[msgspec.Raw]:
    """Raises `DecodeError`."""
    try:
        return msgspec.json.decode(text, type=list[msgspec.Raw]) if _is_array(text) else [_object(text)]
    except RecursionError:
        raise _no_json() from None


def _decoded_mended(text: bytes) -> list[msgspec.Raw]:
    """Half of a character (a program cut a visitor's text in the middle of one) would cost the sender all events."""
    if text.count(b"\\") > ESCAPES_MENDED_MAX:
        raise _no_json()
    try:
        return _decoded(_HALF_CHARACTER.sub(_whole, text))
    except msgspec.DecodeError:
        raise _no_json() from None


def _whole(match: re.Match[bytes]) -> bytes:
    return match[0] if match[1] is None else b"\\ufffd"


def _no_json() -> BodyError:
    detail = "The body is no JSON; send an object or an array of objects, or one object a line as application/x-ndjson."
    return BodyError(400, "bad_json", detail)


def _is_array(text: bytes) -> bool:
    return text.lstrip()[:1] == b"["


def _object(text: bytes) -> msgspec.Raw:
    if text.lstrip()[:1] != b"{":
        raise BodyError(400, "bad_json", "Send a JSON object or an array of objects.")
    return msgspec.json.decode(text, type=msgspec.Raw)


def _one_line(element: msgspec.Raw) -> str:
    """Line ends stand between JSON's parts, never in them."""
    head = bytes(memoryview(element)[:LINE_BYTES_MAX])
    return head.decode(errors="replace").replace("\n", " ")


def _too_many() -> BodyError:
    return BodyError(413, "too_many_lines", f"The body has more than {LINES_MAX} lines; send less at once.")
