r"""Undoes what nginx and Apache write for bytes they do not print: `\x22`, `\xC3\xA9`, `\"`, `\\`, `\t`."""

from __future__ import annotations

import re

import polars as pl

from services.ingest.distinct import mend

__all__ = ["unescape", "unescape_column"]

_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_LETTERS = {b"t": b"\t", b"n": b"\n", b"r": b"\r", b"b": b"\b", b"v": b"\v", b"f": b"\f", b"a": b"\a"}


def unescape(text: str) -> str:
    r"""Bytes that are no UTF-8 (a TLS greeting in place of a request) become U+FFFD."""
    return _ESCAPE.sub(_byte, text.encode()).decode(errors="replace")


def unescape_column(values: pl.Series) -> pl.Series:
    """One byte is looked for at memory speed, so distinct values are only sought where there is one."""
    if not values.str.contains("\\", literal=True).any():
        return values
    return mend(values, lambda v: v.str.contains("\\", literal=True), unescape)


def _byte(match: re.Match[bytes]) -> bytes:
    code, letter = match.groups()
    return bytes([int(code, 16)]) if code else _LETTERS.get(letter, letter)
