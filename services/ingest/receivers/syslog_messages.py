"""A stream of syslog messages -> messages (RFC 6587), and messages -> the log lines in them (RFC 3164, RFC 5424)."""

from __future__ import annotations

import re

import polars as pl

from services.ingest.formats.columns import LINE_BYTES_MAX
from services.ingest.lines import Lines, split_lines

__all__ = ["MESSAGE_BYTES_MAX", "Frames", "log_lines"]

MESSAGE_BYTES_MAX = LINE_BYTES_MAX + 2048  # a line and its header; RFC 5424's structured data is short in practice

_COUNT_CHARS_MAX = 9  # of an octet count; more is no count
_COUNTED = re.compile(rb"([1-9][0-9]{0,8}) <")  # a line of a log may begin with a number, but hardly so
_MAY_BE_COUNT = re.compile(rb"[1-9][0-9]{0,8} ?\Z")
_END = re.compile(rb"[\n\0]")  # Python's own handler ends a message with NUL
_ENDS = b"\r\n\0"

_BSD_TIME = r"[A-Z][a-z]{2} [ 0-9][0-9](?: [0-9]{4})? [0-9:]{8}(?:\.[0-9]+)?"
_ISO_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9:]{5,6})?"
_HOST = r"(?:[^ ]*[^ :] )?"  # nginx and HAProxy can leave it out; then the tag follows, which ends with a colon
_TAG = r'[^ :\["{]{1,64}(?:\[[^\]]*\])?: '  # with its blank: a line may begin with an IPv6 address, or be JSON
_DATA = r'(?:-|(?:\[(?:[^\]\\"]|\\.|"(?:[^"\\]|\\.)*")*\])+)'
_HEADER = (
    r"^<[0-9]{1,3}>(?:"
    rf"1 (?:[^ ]+ ){{5}}{_DATA}(?: \x{{FEFF}}?|$)"  # RFC 5424
    rf"|(?:(?:{_BSD_TIME}|{_ISO_TIME}) {_HOST})?(?:{_TAG})?"  # RFC 3164, and Python's handler, which has no time
    r")?"
)


class Frames:
    """Cuts one connection's bytes into messages: each begins with its count, or ends with a line feed or NUL."""

    def __init__(self) -> None:
        self._buffer = b""
        self._skip_bytes = 0
        self._skip_line = False
        self.too_long = 0

    @property
    def unfinished(self) -> bool:
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete now."""
        data = self._skipped(self._buffer + data)
        found: list[bytes] = []
        at = 0
        while at < len(data):
            following = self._next(data, at, found)
            if following is None:
                break
            at = following
        self._buffer = data[at:]
        return found

    def end(self) -> list[bytes]:
        """The sender closed: a last line without a line feed is complete; what was counted and cut is not."""
        rest, self._buffer = self._buffer, b""
        return [] if not rest or _COUNTED.match(rest) else [rest.rstrip(_ENDS)]

    def _next(self, data: bytes, at: int, found: list[bytes]) -> int | None:
        """Takes the message that begins at `at`; where the next begins, or None when it is not complete."""
        if counted := _COUNTED.match(data, at):
            return self._counted(data, counted.end() - 1, int(counted[1]), found)
        if len(data) - at <= _COUNT_CHARS_MAX + 1 and _MAY_BE_COUNT.match(data, at):
            return None
        end = _END.search(data, at)
        if end is None:
            if len(data) - at <= MESSAGE_BYTES_MAX:
                return None
            self.too_long += 1
            self._skip_line = True
            return len(data)
        self._take(data[at : end.start()], found)
        return end.end()

    def _counted(self, data: bytes, at: int, length: int, found: list[bytes]) -> int | None:
        if length > MESSAGE_BYTES_MAX:
            self.too_long += 1
            self._skip_bytes = max(0, at + length - len(data))
            return min(len(data), at + length)
        if len(data) - at < length:
            return None
        self._take(data[at : at + length], found)
        return at + length

    def _take(self, message: bytes, found: list[bytes]) -> None:
        if len(message) > MESSAGE_BYTES_MAX:
            self.too_long += 1
        elif text := message.rstrip(_ENDS):
            found.append(text)

    def _skipped(self, data: bytes) -> bytes:
        if self._skip_bytes:
            skipped = min(self._skip_bytes, len(data))
            self._skip_bytes -= skipped
            return data[skipped:]
        if self._skip_line:
            end = _END.search(data)
            self._skip_line = end is None
            return b"" if end is None else data[end.end() :]
        return data


def log_lines(messages: list[bytes], first: int) -> Lines:
    """Whole messages -> their lines, numbered from `first`. What has no syslog header is a line as it is."""
    joined = b"\n".join(message.replace(b"\n", b" ") for message in messages) + b"\n"
    text = split_lines(joined).text.str.replace(_HEADER, "")
    positions = pl.arange(first, first + len(messages), eager=True)
    return Lines(text, positions, text.str.len_bytes().cast(pl.Int64))
