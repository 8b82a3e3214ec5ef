"""`application/msgpack` as Fluent Bit sends it: a stream of `[time, map]`, of `[[time, metadata], map]`, or of maps.

An event is first skipped over, which makes no objects, and only decoded when it is as short as a line may be:
a byte of MessagePack can stand for an object of 56.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import msgpack

from services.ingest.accounting import RejectReason
from services.ingest.formats import Format, format_named
from services.ingest.formats.columns import LINE_BYTES_MAX
from services.ingest.lines import Lines
from services.ingest.receivers.events import FIELDS_MAX, Gathered, event_format
from services.ingest.receivers.refusals import BodyError
from services.ingest.sources import Source

__all__ = ["packed_events"]

_FLUENT_TIME = 0  # its extension type: seconds and nanoseconds, big endian, 32 bits each
_PAIR = 2
_ARRAYS = frozenset((*range(0x90, 0xA0), 0xDC, 0xDD))  # first bytes: fixarray, array 16, array 32
_FLUENT_BYTES = 8


def packed_events(body: bytes, source: Source, lines_max: int) -> tuple[Lines, Format]:
    """Raises `BodyError(400)` when the body is no MessagePack as a whole, 413 on more than `lines_max` events."""
    own = format_named(source.format)
    gathered, wants_line = Gathered(), not own.is_json
    try:
        for piece in _pieces(body):
            _gather(piece, gathered, wants_line)
            if len(gathered.texts) > lines_max:
                raise BodyError(413, "too_many_lines", f"The body has more than {lines_max} events; send less at once.")
    except (msgpack.exceptions.UnpackException, ValueError, TypeError):  # TypeError: a list as a key
        raise BodyError(400, "bad_msgpack", "The body is no MessagePack; send a stream of maps.") from None
    return gathered.columns(own, event_format(source))


def _pieces(body: bytes) -> Iterator[bytes]:
    """The bytes of each event; an array that is no pair is one of events."""
    stream = _unpacker(len(body))
    stream.feed(body)
    within = 0  # elements of an array that are still to come
    while (start := stream.tell()) < len(body) or within:
        if not within and body[start] in _ARRAYS and (count := stream.read_array_header()) != _PAIR:
            within = count
            continue
        for _ in range(1 if within or body[start] not in _ARRAYS else _PAIR):
            stream.skip()
        within = max(0, within - 1)
        yield body[start : stream.tell()]


def _gather(piece: bytes, gathered: Gathered, wants_line: bool) -> None:
    if len(piece) > LINE_BYTES_MAX:
        gathered.refuse(RejectReason.TOO_LONG, len(piece))
        return
    for time, event in _events(_decoded(piece)):
        if not isinstance(event, dict):
            gathered.refuse(RejectReason.BAD_FIELD, len(piece))
        elif len(event) > FIELDS_MAX:
            gathered.refuse(RejectReason.TOO_MANY_FIELDS, len(piece))
        else:
            gathered.add(event, _moment(time), wants_line=wants_line)


def _events(value: Any) -> list[tuple[Any, Any]]:
    """(time, map) of a piece; of an array of two maps, two. What is neither is one event that is none."""
    if not isinstance(value, list) or len(value) != _PAIR:
        return [(None, value)]
    first, second = value
    if isinstance(first, dict):
        return [(None, first), (None, second)]
    return [(first[0] if isinstance(first, list) and first else first, second)]


def _decoded(piece: bytes) -> Any:
    stream = _unpacker(len(piece))
    stream.feed(piece)
    return stream.unpack()


def _unpacker(size: int) -> msgpack.Unpacker:
    return msgpack.Unpacker(
        max_buffer_size=max(size, 1),
        strict_map_key=False,
        unicode_errors="replace",
        ext_hook=_extension,
        timestamp=1,  # its standard time as a float
    )


def _extension(code: int, data: bytes) -> float | None:
    if code != _FLUENT_TIME or len(data) != _FLUENT_BYTES:
        return None
    seconds, nanoseconds = struct.unpack(">II", data)
    return float(seconds) + float(nanoseconds) / 1e9


def _moment(time: Any) -> str | None:
    """Seconds as a text; None for what is no time."""
    return str(time) if isinstance(time, int | float) and not isinstance(time, bool) else None
