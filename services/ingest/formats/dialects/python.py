"""`access_log_format` of gunicorn, hypercorn and granian: `%(h)s %(l)s ...`, and uvicorn's fixed line.

Source: the settings pages of gunicorn 23, hypercorn 0.17 and granian 2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from services.ingest.formats.columns import Format
from services.ingest.formats.dialects.apache import BRACKETED, HEADERS, clock_in_brackets
from services.ingest.formats.dialects.templates import chosen, json_template, reading_of, template_format, tokens_of
from services.ingest.formats.escapes import Escape
from services.ingest.formats.pattern import ANY_TAIL, TAIL, WORD, Token, Var
from services.ingest.formats.text_format import text_format

__all__ = ["python_format"]

_NAMES = "gunicorn names them %(h)s and %(r)s, granian %(addr)s and %(path)s."
_ROLES: Mapping[str, str] = {
    **{"h": "address", "addr": "address", "client_addr": "address", "u": "user", "t": "time", "time": "time"},
    **{"r": "request", "request_line": "request", "m": "method", "method": "method", "U": "path", "path": "path"},
    **{"q": "query", "query_string": "query", "H": "protocol", "protocol": "protocol", "f": "referrer"},
    **{"s": "status", "status": "status", "status_code": "status", "B": "bytes", "b": "bytes", "a": "user_agent"},
    **{"asctime": "time", "D": "duration", "M": "duration", "dt_ms": "duration", "L": "duration", "T": "duration"},
}
_ORDER = [f"%({name})" for name in _ROLES]
_UNITS_MS = {"D": 0.001, "M": 1.0, "dt_ms": 1.0}
_TIMES = {"t": BRACKETED, "time": "%Y-%m-%d %H:%M:%S %z"}
_DIRECTIVE = re.compile(r"%\([^)]*\)(?:[sd]|(?:\.\d+)?f)")
_COLOUR = r"(?:\x1b\[[0-9;]*m)*"  # uvicorn colours its lines on a terminal
_ASCTIME = r'[^ \]"]+(?: [0-9][^ \]"]*)?(?: [+-][0-9:]{4,6})?'  # one to three words, as `datefmt` says
_SPECIAL = {"asctime": _ASCTIME, "levelprefix": rf"{_COLOUR}[A-Z]+{_COLOUR}: *{_COLOUR}", "l": WORD}


def python_format(text: str, name: str, description: str) -> Format:
    """Raises `Fatal`."""
    body = text.strip("\r\n")
    tail = ANY_TAIL if body.endswith("%(status_code)s") else TAIL  # uvicorn writes "200 OK" for it
    template = json_template(body, _DIRECTIVE, _token)
    if template is not None:
        return template_format(name, description, template, _ORDER, _NAMES)
    tokens = chosen(clock_in_brackets(tokens_of(body, _DIRECTIVE, _token)), _ORDER)
    return text_format(name, description, tokens, reading_of(tokens, Escape.BACKSLASH), names=_NAMES, tail=tail)


def _token(match: re.Match[str]) -> Token:
    name = match[0][2 : match[0].rindex(")")]
    written = f"%({name})"
    if name.startswith("{"):
        header = name[1:].partition("}")[0].lower()
        return Var(written, HEADERS.get(header) if name.endswith("}i") else None)
    role = _ROLES.get(name)
    return Var(written, role, _SPECIAL.get(name, ""), time=_TIMES.get(name, "any"), unit_ms=_UNITS_MS.get(name, 1000))
