"""HAProxy `log-format`.

Source: HAProxy's configuration manual, "Custom Log format". Its text has no escapes: what would end a value or is
not printable is written `#22`. %t, %tr and %tl without a zone are read as UTC: run HAProxy with TZ=UTC, or use %trg.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from services.ingest.formats.columns import Format
from services.ingest.formats.dialects.apache import HEADERS
from services.ingest.formats.dialects.templates import chosen, json_template, reading_of, template_format, tokens_of
from services.ingest.formats.escapes import Escape
from services.ingest.formats.pattern import Literal, Token, Var
from services.ingest.formats.text_format import text_format

__all__ = ["haproxy_format"]

_NAMES = "HAProxy names them %ci (or %[src]) and %r (or %HU)."
_ROLES: Mapping[str, str] = {
    **{"ci": "address", "src": "address", "r": "request", "HM": "method", "method": "method", "HU": "target"},
    **{"url": "target", "HPO": "path", "HP": "path", "path": "path", "HQ": "query", "query": "query", "HV": "protocol"},
    **{"ST": "status", "status": "status", "B": "bytes", "Ta": "duration", "Tt": "duration"},
    **{"trg": "time", "Tg": "time", "trl": "time", "Tl": "time", "Ts": "time", "tr": "time", "t": "time", "T": "time"},
}
_ORDER = list(_ROLES)
_LOCAL = "%d/%b/%Y:%H:%M:%S%.f"
_TIMES = {**dict.fromkeys(("trg", "Tg", "T", "trl", "Tl"), "clf"), "tr": _LOCAL, "t": _LOCAL}
_VARIABLE = re.compile(r"%%|%(?:\{[^}]*\})?(?:\[(?:[^\[\]]|\[[^\]]*\])*\]|[A-Za-z]+)")
_WHOLE = re.compile(r"^\s*log-format(?:-sd)?\s+(.*?)\s*$", re.DOTALL)
_HEADER = re.compile(r"^(?:req\.f?hdr|hdr|req\.hdr_ip)\(([^),]+)")
_CAPTURES = r"\{[^{}]*\}"  # captured headers, `{a|b}`; nothing at all when none are captured
_PATTERNS = {"cp": "[0-9]+|-", "B": r"\+?[0-9]+|-", "ST": "-?[0-9]+|-"}  # a plus: logged before the end


def haproxy_format(text: str, name: str, description: str) -> Format:
    """`text`: the format, or the whole log-format line, quoted or with escaped blanks. Raises `Fatal`."""
    whole = _WHOLE.match(text)
    body = _unquoted(whole[1] if whole else text.strip("\r\n"))
    template = json_template(body, _VARIABLE, _token)
    if template is not None:
        return template_format(name, description, template, _ORDER, _NAMES)
    tokens = chosen(_in_quotes(tokens_of(body, _VARIABLE, _token)), _ORDER)
    return text_format(name, description, tokens, reading_of(tokens, Escape.HASH), names=_NAMES)


def _unquoted(text: str) -> str:
    if text.startswith('"'):
        return re.sub(r'\\(["\\ ])', r"\1", text.strip('"'))
    if text.startswith("'"):
        return text.strip("'")
    return text.replace(r"\ ", " ").replace(r"\"", '"')


def _token(match: re.Match[str]) -> Token:
    written = match[0]
    if written == "%%":
        return Literal("%")
    name = re.sub(r"^%(?:\{[^}]*\})?", "", written)
    if name.startswith("["):
        role = _sample(name[1:-1])
        return Var(written, role, "" if role == "address" else ".*?")  # a sample is written as it is, quotes and all
    optional = name in {"hr", "hs"}
    pattern = _CAPTURES if optional else _PATTERNS.get(name, "")
    return Var(written, _ROLES.get(name), pattern, optional, _TIMES.get(name, "any"), unit_ms=1)


def _sample(expression: str) -> str | None:
    """A fetch with its converters; only the first step says what it is."""
    if header := _HEADER.match(expression):
        return HEADERS.get(header[1].strip("'\"").lower())
    first = expression.partition(",")[0]
    return _ROLES.get(first) if first.islower() else None


def _in_quotes(tokens: list[Token]) -> list[Token]:
    """The flag Q puts quotes around a value; on the pseudo variable `o` around all that follow."""
    always = False
    found: list[Token] = []
    for token in tokens:
        if not isinstance(token, Var):
            found.append(token)
        elif token.written.endswith("}o"):
            always = "+Q" in token.written
        elif (always or "+Q" in token.written) and not token.optional:
            found += [Literal('"'), token, Literal('"')]
        else:
            found.append(token)
    return found
