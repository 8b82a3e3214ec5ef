"""The combined format read slowly, one character after the other: what the columns are compared with.

Written from the servers' documentation, without a regular expression and without looking at the pattern.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

PRINTABLE = {chr(code) for code in range(0x21, 0x7F)}
LETTERS = {"t": b"\t", "n": b"\n", "r": b"\r", "b": b"\b", "v": b"\v", "f": b"\f", "a": b"\a"}
METHOD_CHARS_MAX = 20


@dataclass(frozen=True)
class Row:
    """None in a field: nothing there."""

    address: str | None
    user: str | None
    time: datetime | None
    method: str | None
    target: str | None
    protocol: str | None
    status: str | None
    response_bytes: int | None
    referrer: str | None
    user_agent: str | None


class _NoMatch(Exception):
    pass


def read_combined(line: str) -> Row | None:
    """None when the line has not this shape."""
    try:
        return _row(line.lstrip("\x00"))
    except (_NoMatch, IndexError):
        return None


def _row(line: str) -> Row:
    address, rest = _address(line)
    ident, rest = _word(rest)
    del ident
    user, rest = _user(rest)
    time, rest = _bracketed(rest)
    request, rest = _quoted(_after(rest, " "))
    status, rest = _word(_after(rest, " "))
    if not all(ch == "-" or (ch.isascii() and ch.isalnum()) for ch in status):
        raise _NoMatch
    size, rest = _word(rest)
    if size != "-" and not (size.isascii() and size.isdigit()):
        raise _NoMatch
    referrer, rest = _quoted(rest)
    agent, rest = _quoted(_after(rest, " "))
    rest = rest.removesuffix("\r")
    if (rest and not rest.startswith(" ")) or "\r" in rest or "\n" in line:
        raise _NoMatch
    method, target, protocol = _request(_plain(request))
    return Row(
        _given(address), _given(_plain(user)), _time(time), method, target, protocol, _given(status), _size(size),
        _given(_plain(referrer)), _given(_plain(agent)),
    )  # fmt: skip


def _address(line: str) -> tuple[str, str]:
    hops, rest = [], line
    while True:
        end = next(i for i, ch in enumerate(rest + " ") if ch not in PRINTABLE - {","})
        if end == 0:
            raise _NoMatch
        hops.append(rest[:end])
        rest = rest[end:]
        if rest.startswith(", "):
            hops[-1] += ", "
            rest = rest[2:]
        elif rest.startswith(","):
            hops[-1] += ","
            rest = rest[1:]
        else:
            return "".join(hops), _after(rest, " ")


def _word(text: str) -> tuple[str, str]:
    word, blank, rest = text.partition(" ")
    if not word or not blank or not set(word) <= PRINTABLE:
        raise _NoMatch
    return word, rest


def _user(text: str) -> tuple[str, str]:
    first, blank, rest = text.partition(" ")
    if not first or not blank:
        raise _NoMatch
    words = [first]
    while not rest.startswith("["):
        word, blank, rest = rest.partition(" ")
        if not blank or not word:
            raise _NoMatch
        words.append(word)
    return " ".join(words), rest


def _bracketed(text: str) -> tuple[str, str]:
    inside, bracket, rest = text[1:].partition("]")
    if not inside or not bracket:
        raise _NoMatch
    return inside, rest


def _quoted(text: str) -> tuple[str, str]:
    rest, inside = _after(text, '"'), ""
    while rest[0] != '"':
        take = 2 if rest[0] == "\\" else 1
        if len(rest) < take + 1:
            raise _NoMatch
        inside, rest = inside + rest[:take], rest[take:]
    return inside, rest[1:]


def _after(text: str, start: str) -> str:
    if not text.startswith(start):
        raise _NoMatch
    return text[len(start) :]


def _plain(text: str) -> str:
    out, rest = b"", text
    while rest:
        if rest[0] != "\\" or len(rest) == 1:
            out, rest = out + rest[0].encode(), rest[1:]
        elif rest[1] == "x" and len(rest) >= 4 and all(ch in "0123456789abcdefABCDEF" for ch in rest[2:4]):
            out, rest = out + bytes([int(rest[2:4], 16)]), rest[4:]
        else:
            out, rest = out + LETTERS.get(rest[1], rest[1].encode()), rest[2:]
    return out.decode(errors="replace")


def _request(text: str) -> tuple[str | None, str | None, str | None]:
    return _usual_request(text) or _unusual_request(text)


def _usual_request(text: str) -> tuple[str, str, str] | None:
    """Three words, the method in capitals and the last a version of HTTP, however long."""
    words = text.split(" ")
    if len(words) != 3 or not all(words):
        return None
    method, target, protocol = words
    version = protocol.removeprefix("HTTP/")
    if not (method.isascii() and method.isalpha() and method.isupper()) or version == protocol:
        return None
    return (method, target, protocol) if version and set(version) <= set("0123456789.") else None


def _unusual_request(text: str) -> tuple[str | None, str | None, str | None]:
    words = text.strip(" ").split(" ") if not text.startswith(" ") else []
    method = words[0] if words else ""
    if not (method.isascii() and method.isalpha()) or len(method) > METHOD_CHARS_MAX:
        return None, None, None
    protocol = words[-1] if len(words) > 2 and _is_protocol(words[-1]) else None
    target = text[len(method) :].strip(" ")
    if protocol:
        before = target[: -len(protocol)].rstrip(" ")
        target, protocol = (before, protocol) if before else (protocol, None)  # two words are method and target
    return (method.upper(), target, protocol) if target and "\n" not in target else (None, None, None)


def _is_protocol(word: str) -> bool:
    version = word.removeprefix("HTTP/")
    if word in {"1.0", "1.1", "2.0", "2.1", "1", "2", "3"}:  # as hypercorn writes it
        return True
    return word.startswith("HTTP/") and 0 < len(version) <= 4 and all(ch in "0123456789." for ch in version)


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z").astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def _size(text: str) -> int | None:
    number = 0 if text == "-" else int(text)
    return number if number < 2**63 else None


def _given(text: str) -> str | None:
    return None if text in {"", "-"} else text
