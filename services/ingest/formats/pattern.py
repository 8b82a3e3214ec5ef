"""A format as text and variables -> one pattern for the Rust engine (no look-around).

Each variable gets the narrowest class that what follows it allows, so that as many formats as possible
are "one-pass" for the engine: 0.6 us a line, against 2.0 as soon as one place is ambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.ingest.formats.columns import Column
from services.ingest.formats.escapes import Escape
from services.ingest.formats.roles import COLUMN_OF, DURATIONS
from services.runtime.errors import Fatal

__all__ = [
    "ANY_TAIL",
    "FIELDS_MAX",
    "LIST",
    "TAIL",
    "WORD",
    "Literal",
    "Pattern",
    "Token",
    "Var",
    "build",
    "check_roles",
    "columns_of",
]

FIELDS_MAX = 100  # a pattern of so many is still compiled in a few ms; the longest known format has 40

# A crash leaves NULs at the head of a line; a forwarded-for list may stand for the address; a user may hold blanks.
_HEAD = r"^\x00*"
TAIL = r"\r?$"
ANY_TAIL = r"(?: [^\r]*)?\r?$"  # for formats that grew at their end over the years: what follows is not read
_ADDRESS = r"[!-+\--~]+(?:, ?[!-+\--~]+)*"
_USER = r"[^ ]+ (?:[^ \[][^ ]* )*"  # keeps its trailing blank: with the blank outside it would be ambiguous
_CLASSES = {"status": r"[0-9A-Za-z-]+", "bytes": r"[0-9]+|-"}
WORD = r"[!-~]+"
LIST = r"[^ ,]+(?:(?:,| :) [^ ,]+)*"  # nginx's upstream values: "0.1, 0.2 : 0.3"
_BLANKS = frozenset({"user_agent", "referrer", "request", "path", "target", "query"})  # may hold them, unquoted too
_META = frozenset(r"\.+*?()|[]{}^$#&-~/")


@dataclass(frozen=True, slots=True)
class Literal:
    """`pattern` when not exactly `text` is meant."""

    text: str
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Var:
    """`written` as in the user's string; `role` of `COLUMN_OF` or None (read over). `pattern` when the class that
    follows from its neighbours will not do. `optional`: it and the blank after it may be absent. `time` (as for
    `read_time`) and `unit_ms` say how a time and a duration are written."""

    written: str
    role: str | None
    pattern: str = ""
    optional: bool = False
    time: str = "any"
    unit_ms: float = 1000


Token = Literal | Var


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of the pattern. `column` is what it is called to people; `quoted`: its value may have lost its end."""

    column: str
    text: str
    quoted: bool = False
    is_column: bool = True


@dataclass(frozen=True, slots=True)
class Pattern:
    """`text` is the whole; `cut` matches lines that end within a quoted value ("": no value is quoted)."""

    text: str
    fragments: Sequence[Fragment]
    roles: Sequence[str]

    @property
    def cut(self) -> str:
        if not any(fragment.quoted for fragment in self.fragments):
            return ""
        rest = "[^\x00-\U0010ffff]"  # nothing: a line that has all its fields was not cut
        for fragment in reversed(self.fragments):
            rest = f"{fragment.text}(?:\\\\?$|{rest})" if fragment.quoted else fragment.text + rest
        return _HEAD + rest

    def prefix(self, count: int) -> str:
        return _HEAD + "".join(fragment.text for fragment in self.fragments[:count])


def build(tokens: Sequence[Token], escape: Escape, tail: str = TAIL) -> Pattern:
    """Raises `Fatal` for what no pattern can tell apart."""
    tokens = _with_ports(_merged(_once(tokens)))
    if sum(isinstance(token, Var) for token in tokens) > FIELDS_MAX:
        raise Fatal(f"This format has more than {FIELDS_MAX} fields; is it a format string?")
    fragments, quoted, index = [], False, 0
    roles: list[str] = []
    while index < len(tokens):
        token = tokens[index]
        if isinstance(token, Literal):
            quoted ^= token.text.count('"') % 2 == 1
            fragments += _between(token)
        else:
            following = tokens[index + 1] if index + 1 < len(tokens) else None
            fragment, eaten = _variable(token, following, quoted, escape)
            fragments.append(fragment)
            if token.role:
                roles.append(token.role)
            if eaten and isinstance(following, Literal):
                tokens = [*tokens[: index + 1], Literal(following.text[eaten:]), *tokens[index + 2 :]]
        index += 1
    kept = [fragment for fragment in fragments if fragment.text]
    return Pattern(_HEAD + "".join(fragment.text for fragment in kept) + tail, kept, roles)


def _between(literal: Literal) -> list[Fragment]:
    """In pieces, so that it can be said which of them is missing."""
    if literal.pattern:
        return [Fragment(literal.text, literal.pattern, is_column=False)]
    return [Fragment(piece, _escaped(piece), is_column=False) for piece in re.split("( )", literal.text) if piece]


def check_roles(roles: Sequence[str], names: str) -> None:
    """Raises `Fatal` when a line of this format could never be an access. `names` says what would do."""
    if "address" not in roles:
        raise Fatal(f"This format has no client address, without which nothing can be counted: {names}")
    if not {"request", "target", "path"} & set(roles):
        raise Fatal(f"This format has no request or path, so it says nothing about what was asked for: {names}")


def columns_of(tokens: Sequence[Token]) -> list[Column]:
    return [Column(t.written, COLUMN_OF.get(t.role or "", "")) for t in _once(tokens) if isinstance(t, Var)]


def _once(tokens: Sequence[Token]) -> list[Token]:
    """A role's first place counts. Without an address of its own, the forwarded-for list is it: a proxy in front
    writes there who asked it."""
    roles = {token.role for token in tokens if isinstance(token, Var)}
    seen: set[str | None] = {None}
    found: list[Token] = []
    for token in tokens:
        kept = token
        if isinstance(token, Var):
            role = "address" if token.role == "forwarded" and "address" not in roles else token.role
            kept = replace(token, role=None if role in seen else role)
            seen.add(role)
        found.append(kept)
    return found


def _merged(tokens: Sequence[Token]) -> list[Token]:
    found: list[Token] = []
    for token in tokens:
        if isinstance(token, Literal) and found and isinstance(found[-1], Literal):
            found[-1] = Literal(found[-1].text + token.text)
        elif token != Literal(""):
            found.append(token)
    return found


def _with_ports(tokens: Sequence[Token]) -> list[Token]:
    """A host and its port are one word, which the engine reads faster; what reads hosts cuts ports."""
    found: list[Token] = []
    for token in tokens:
        if len(found) > 1 and isinstance(token, Var) and found[-1] == Literal(":"):
            host = found[-2]
            if isinstance(host, Var) and host.role == "host" and not token.role:
                found[-2:] = [Var(f"{host.written}:{token.written}", "host", WORD)]
                continue
        found.append(token)
    return found


def _variable(var: Var, following: Token | None, quoted: bool, escape: Escape) -> tuple[Fragment, int]:
    """The fragment, and how many characters of the literal behind it are in it."""
    if isinstance(following, Var) and not (var.pattern or following.pattern or var.optional):
        raise Fatal(f"Between {var.written} and {following.written} stands nothing that tells where one ends.")
    after = following.text if isinstance(following, Literal) else ""
    if var.optional:
        blank = after[:1] == " "
        return Fragment(var.written, f"(?:{_group(var, var.pattern)}{' ' if blank else ''})?"), int(blank)
    if var.role == "user" and after.startswith(" [") and not quoted:
        return Fragment(var.written, _group(var, _USER)), 1
    body = var.pattern or _class(var, after[:1], quoted, escape)
    return Fragment(var.written, _group(var, body), quoted), 0


def _group(var: Var, body: str) -> str:
    return f"(?P<{var.role}>{body})" if var.role else f"(?:{body})"


def _class(var: Var, end: str, quoted: bool, escape: Escape) -> str:
    """What the value may hold, so that it ends at `end` ("": the end of the line)."""
    if quoted:
        return _class_in_quotes(end, escape)
    if known := _class_of_role(var.role or "", end):
        return known
    if not end:
        return r"[^\r]*"
    return f"[^{_in_class(end)}]{'+' if end in ' ]' or var.role in DURATIONS else '*'}"


def _class_of_role(role: str, end: str) -> str:
    if role in {"address", "forwarded", "host"} and end == ":":
        return WORD  # the port behind it is digits; an IPv6 address has colons of its own
    if role in {"address", "forwarded"} and end in {" ", ""}:
        return _ADDRESS
    return ".*?" if role in _BLANKS and end == " " else _CLASSES.get(role, "")


def _class_in_quotes(end: str, escape: Escape) -> str:
    if escape is Escape.NONE:
        return ".*?" if end else r"[^\r]*"
    if escape is Escape.HASH:
        return f"[^{_in_class(end or chr(34))}]*"
    excluded = "" if end in {'"', ""} else _in_class(end)
    return rf'(?:[^"\\{excluded}]|\\.)*'


def _in_class(character: str) -> str:
    return "\\" + character if character in r"\]^-[&~" else character


def _escaped(text: str) -> str:
    return "".join("\\" + character if character in _META else character for character in text)
