"""nginx `log_format`: text, with escape=default, json or none; or an object with escape=json.

Source: ngx_http_log_module and the index of variables (nginx.org/en/docs/varindex.html).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches

from services.ingest.formats.columns import Format
from services.ingest.formats.dialects.templates import chosen, json_template, reading_of, template_format, tokens_of
from services.ingest.formats.escapes import Escape
from services.ingest.formats.pattern import LIST, Var
from services.ingest.formats.text_format import text_format
from services.runtime.errors import Fatal

__all__ = ["looking_like", "nginx_format"]

_NAMES = "nginx names them $remote_addr (or $http_x_forwarded_for) and $request (or $request_uri)."
# Best first, where several have one role.
_ROLES: Mapping[str, str] = {
    **{"remote_addr": "address", "http_x_forwarded_for": "forwarded", "remote_user": "user"},
    **{"http_forwarded": "forwarded_7239", "http_x_real_ip": "real_ip"},
    **{"request": "request", "request_method": "method", "request_uri": "target"},
    **{"uri": "path", "document_uri": "path", "args": "query", "query_string": "query"},
    **{"server_protocol": "protocol", "status": "status", "body_bytes_sent": "bytes", "bytes_sent": "bytes"},
    **{"request_time": "duration", "http_referer": "referrer", "http_user_agent": "user_agent"},
    **{"host": "host", "http_host": "host", "server_name": "host", "http_sec_gpc": "gpc", "http_dnt": "dnt"},
    **{"msec": "time", "time_iso8601": "time", "time_local": "time"},
}
_ORDER = [f"${name}" for name in _ROLES]
_SLIP = 0.9  # difflib's ratio: one letter of ten; nginx's own $request_id is to $request_uri as 0.86
_VARIABLE = re.compile(r"\$(?:\{\w+\}|\w+)")
_WHOLE = re.compile(r"^\s*log_format\s+\S+\s+(.*?);?\s*$", re.DOTALL)
_ESCAPE = re.compile(r"^\s*escape=(default|json|none)\s+")
_PIECES = re.compile(r"\s*(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\")")
_ESCAPES = {"default": Escape.BACKSLASH, "json": Escape.JSON, "none": Escape.NONE}


def nginx_format(text: str, name: str, description: str) -> Format:
    """`text`: the format, or the whole directive as it stands in nginx.conf. Raises `Fatal`."""
    body, escape = _directive(text)
    template = json_template(body, _VARIABLE, _token)
    if template is not None:
        return template_format(name, description, template, _ORDER, _NAMES)
    tokens = chosen(tokens_of(body, _VARIABLE, _token), _ORDER)
    return text_format(name, description, tokens, reading_of(tokens, escape), names=_NAMES)


def looking_like(text: str) -> Mapping[str, str]:
    """Variables in `text` that are read over and differ from one that is read by a slip of the hand, with that one.
    A configuration may have variables of its own, so this is a question and no error."""
    names = dict.fromkeys(match[0].strip("${}") for match in _VARIABLE.finditer(text))
    found = {name: get_close_matches(name, _ROLES, 1, _SLIP) for name in names if name not in _ROLES}
    return {f"${name}": f"${near[0]}" for name, near in found.items() if near}


def _directive(text: str) -> tuple[str, Escape]:
    whole = _WHOLE.match(text)
    body, escape = (whole[1] if whole else text), Escape.BACKSLASH
    if match := _ESCAPE.match(body):
        body, escape = body[match.end() :], _ESCAPES[match[1]]
    if body.lstrip().startswith(("'", '"$', '"{')) and (whole or _PIECES.sub("", body).strip() == ""):
        return _joined(body), escape
    if whole:
        raise Fatal("This log_format cannot be read; paste it from `log_format` to the semicolon, with its quotes.")
    return body.strip("\r\n"), escape


def _joined(body: str) -> str:
    """nginx joins quoted pieces; a backslash before a quote of the piece's own kind is its escape."""
    pieces = [first.replace(r"\'", "'") or second.replace(r"\"", '"') for first, second in _PIECES.findall(body)]
    return "".join(pieces)


def _token(match: re.Match[str]) -> Var:
    name = match[0].strip("${}")
    pattern = LIST if name.startswith("upstream_") else ""
    return Var(f"${name}", _ROLES.get(name), pattern, time="clf" if name == "time_local" else "any")
