r"""Undoes what servers write in place of bytes they do not print: `\x22`, `\"`, `#22`, `%22`, `+`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from urllib.parse import unquote

import orjson
import polars as pl

from services.ingest.distinct import mend

__all__ = ["Escape", "unescape", "unescape_column"]

_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_LETTERS = {b"t": b"\t", b"n": b"\n", b"r": b"\r", b"b": b"\b", b"v": b"\v", b"f": b"\f", b"a": b"\a"}
_HASH = re.compile(rb"#([0-9A-Fa-f]{2})")
_PERCENT_ROUNDS = 2  # CloudFront encodes once more what came encoded


class Escape(Enum):
    """How a server marks, within a value, what would end it."""

    BACKSLASH = "backslash"  # nginx, Apache, gunicorn: \x22 \" \\ \t
    JSON = "json"  # nginx escape=json
    HASH = "hash"  # HAProxy: #22
    PLUS = "plus"  # IIS: a blank is a plus
    PERCENT = "percent"  # CloudFront: %22, and %2522 where %22 was sent
    NONE = "none"  # nginx escape=none, Envoy: nothing is marked


def unescape(text: str) -> str:
    r"""Bytes that are no UTF-8 (a TLS greeting in place of a request) become U+FFFD."""
    return _ESCAPE.sub(_byte, text.encode()).decode(errors="replace")


def unescape_column(values: pl.Series, escape: Escape = Escape.BACKSLASH) -> pl.Series:
    """One byte is looked for at memory speed, so distinct values are only sought where there is one."""
    if escape not in _UNDO:
        return values
    mark, undo = _UNDO[escape]
    if not values.str.contains(mark, literal=True).any():
        return values
    return mend(values, lambda v: v.str.contains(mark, literal=True), undo)


def _byte(match: re.Match[bytes]) -> bytes:
    code, letter = match.groups()
    return bytes([int(code, 16)]) if code else _LETTERS.get(letter, letter)


def _of_json(text: str) -> str:
    try:
        value = orjson.loads(f'"{text}"')
    except orjson.JSONDecodeError:  # half a surrogate pair, or a raw control character
        return unescape(text)
    return str(value)


def _of_hash(text: str) -> str:
    return _HASH.sub(lambda match: bytes([int(match[1], 16)]), text.encode()).decode(errors="replace")


def _of_percent(text: str) -> str:
    for _ in range(_PERCENT_ROUNDS):
        text = unquote(text, errors="replace")
    return text


_UNDO: Mapping[Escape, tuple[str, Callable[[str], str]]] = {
    Escape.BACKSLASH: ("\\", unescape),
    Escape.JSON: ("\\", _of_json),
    Escape.HASH: ("#", _of_hash),
    Escape.PLUS: ("+", lambda text: text.replace("+", " ")),
    Escape.PERCENT: ("%", _of_percent),
}
