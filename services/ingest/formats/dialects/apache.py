"""Apache httpd `LogFormat`.

Source: mod_log_config (httpd.apache.org/docs/2.4/mod/mod_log_config.html).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from services.ingest.formats.columns import Format
from services.ingest.formats.dialects.templates import chosen, json_template, reading_of, template_format, tokens_of
from services.ingest.formats.escapes import Escape
from services.ingest.formats.pattern import TAIL, WORD, Literal, Token, Var
from services.ingest.formats.text_format import text_format
from services.ingest.formats.times import is_whole_time
from services.runtime.errors import Fatal

__all__ = ["HEADERS", "apache_format", "clock_in_brackets"]

_NAMES = "Apache names them %h (or %a, or %{X-Forwarded-For}i) and %r (or %U)."
# Best first, where several have one role: %h is a name under HostnameLookups, %a never.
_ROLES: Mapping[str, str] = {
    **{"%a": "address", "%h": "address", "%{c}a": "address", "%u": "user", "%r": "request", "%m": "method"},
    **{"%U": "path", "%q": "query", "%H": "protocol", "%>s": "status", "%s": "status", "%<s": "status"},
    **{"%B": "bytes", "%b": "bytes", "%O": "bytes", "%v": "host", "%V": "host"},
    **{"%D": "duration", "%{us}T": "duration", "%{ms}T": "duration", "%T": "duration", "%{s}T": "duration"},
}
HEADERS: Mapping[str, str] = {
    **{"referer": "referrer", "user-agent": "user_agent", "x-forwarded-for": "forwarded", "host": "host"},
    **{"forwarded": "forwarded_7239", "x-real-ip": "real_ip", "sec-gpc": "gpc", "dnt": "dnt"},
}
_UNITS_MS = {"%D": 0.001, "%{us}T": 0.001, "%{ms}T": 1.0, "%T": 1000.0, "%{s}T": 1000.0}
_DIRECTIVE = re.compile(r"%%|%(?:!?[0-9,]+)?[<>]?(?:\{[^}]*\})?[<>]?(?:\^t[io]|[A-Za-z])")
_CONDITION = re.compile(r"^%!?[0-9,]+")
_LINE = re.compile(r'^\s*(?:LogFormat|CustomLog\s+\S+)\s+"((?:[^"\\]|\\.)*)".*$', re.IGNORECASE | re.DOTALL)
_EPOCHS = frozenset({"sec", "msec", "usec"})
_FRACTIONS = {"msec_frac": "%3f", "usec_frac": "%6f"}
_TEXTS = {r"\"": '"', r"\t": "\t", r"\n": "\n", r"\\": "\\"}


def apache_format(text: str, name: str, description: str, tail: str = TAIL) -> Format:
    """`text`: the format, or the whole LogFormat line. Raises `Fatal`."""
    whole = _LINE.match(text)
    body = re.sub(r'\\["tn\\]', lambda m: _TEXTS[m[0]], whole[1] if whole else text.strip("\r\n"))
    template = json_template(body, _DIRECTIVE, _token)
    if template is not None:
        return template_format(name, description, template, list(_ROLES), _NAMES)
    tokens = _joined_times(tokens_of(body, _DIRECTIVE, _token))
    tokens = chosen(clock_in_brackets(tokens), list(_ROLES))
    return text_format(name, description, tokens, reading_of(tokens, Escape.BACKSLASH), names=_NAMES, tail=tail)


def clock_in_brackets(tokens: list[Token]) -> list[Token]:
    """In text, the brackets that are part of %t are what ends it."""
    found: list[Token] = []
    for token in tokens:
        if isinstance(token, Var) and token.time == BRACKETED:
            found += [Literal("["), replace(token, time="clf"), Literal("]")]
        else:
            found.append(token)
    return found


def _joined_times(tokens: list[Token]) -> list[Token]:
    """Apache has no strftime for parts of a second: an ISO time is up to three, `%{%FT%T}t.%{msec_frac}t%{%z}t`."""
    found: list[Token] = []
    for token in tokens:
        found.append(token)
        while (joined := _joined(found)) is not None:
            found = joined
    return found


def _joined(tokens: list[Token]) -> list[Token] | None:
    """Two parts of a time at the end, next to each other or with a sign between, as one."""
    if len(tokens) < 3 or not isinstance(last := tokens[-1], Var) or not isinstance(tokens[-2], Literal):
        return None
    first, between = tokens[-3], tokens[-2].text
    if not (isinstance(first, Var) and "%" in first.time and "%" in last.time and between in _BETWEEN):
        return None
    if is_whole_time(first.time) and is_whole_time(last.time):  # the beginning and the end of a request
        return None
    written, time = f"{first.written}{between}{last.written}", f"{first.time}{between}{last.time}"
    return [*tokens[:-3], Var(written, "time", _blanks_in(time), time=time)]


_BETWEEN = frozenset({"", ".", ",", " ", "T"})
BRACKETED = "[%d/%b/%Y:%H:%M:%S %z]"


def _token(match: re.Match[str]) -> Token:
    written = _CONDITION.sub("%", match[0])
    if written == "%%":
        return Literal("%")
    argument, kind = _parts(written)
    if kind == "t":
        return _time(written, argument)
    if kind == "i":
        return Var(written, HEADERS.get((argument or "").lower()))
    role = _ROLES.get(written)
    return Var(written, role, WORD if kind == "l" else "", unit_ms=_UNITS_MS.get(written, 1000))


def _parts(written: str) -> tuple[str | None, str]:
    found = re.search(r"\{([^}]*)\}", written)
    return (found[1] if found else None), written[-1]


def _time(written: str, format_: str | None) -> Var:
    if format_ is None:
        return Var(written, "time", time=BRACKETED)
    format_ = re.sub("^(?:begin|end):?", "", format_)
    if not format_ or format_ in _EPOCHS:
        return Var(written, "time", time="any" if format_ else BRACKETED)
    if format_ in _FRACTIONS:
        return Var(written, None, "[0-9]+", time=_FRACTIONS[format_])
    if "%Z" in format_ or "%c" in format_:
        raise Fatal(f"{written} names its zone by a word, which no program can read for sure; write %z in it.")
    return Var(written, "time", _blanks_in(format_), time=format_)


def _blanks_in(time: str) -> str:
    """The class of a time that has blanks, "" without one."""
    blanks = time.count(" ")
    return rf"[^ \]\"]+(?: [^ \]\"]+){{{blanks}}}" if blanks else ""
