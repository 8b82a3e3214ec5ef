"""Whether the asker has a file already, and which part of it is wanted: RFC 9110, chapters 13 and 14, for one range."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["Unsatisfiable", "known", "part"]

_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.IGNORECASE)


class Unsatisfiable(Exception):
    """The range lies beyond the end."""


def known(headers: Mapping[str, str], tag: str) -> bool:
    """`If-None-Match` names `tag` (weak comparison, 13.1.2)."""
    given = {entry.strip().removeprefix("W/") for entry in headers.get("if-none-match", "").split(",")}
    return bool(given & {tag, "*"})


def part(headers: Mapping[str, str], tag: str, size: int) -> range | None:
    """The bytes wanted; None: all. What is malformed, of several ranges, or of another version (`If-Range`, strong
    comparison: a date never fits, because no date is told) is as if it were not there. Raises `Unsatisfiable`."""
    form = _RANGE.fullmatch(headers.get("range", ""))
    if form is None or headers.get("if-range", tag).strip() != tag:
        return None
    first, last = form.groups()
    if not first:
        return _suffix(last, size)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise Unsatisfiable
    return range(int(first), min(int(last), size - 1) + 1 if last else size)


def _suffix(length: str, size: int) -> range | None:
    """The last `length` bytes."""
    if not length:
        return None
    if int(length) == 0 or size == 0:
        raise Unsatisfiable
    return range(max(0, size - int(length)), size)
