"""Envoy's access log format string, and its JSON form (`json_format` as JSON).

Source: Envoy's documentation, "Access logging". Text values are not escaped: a quote in an agent is a quote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from services.ingest.formats.columns import Format
from services.ingest.formats.dialects.apache import HEADERS
from services.ingest.formats.dialects.templates import chosen, json_template, reading_of, template_format, tokens_of
from services.ingest.formats.escapes import Escape
from services.ingest.formats.pattern import Token, Var
from services.ingest.formats.text_format import text_format

__all__ = ["envoy_format"]

_NAMES = "Envoy names them %DOWNSTREAM_REMOTE_ADDRESS% (or %REQ(X-FORWARDED-FOR)%) and %REQ(:PATH)%."
_REMOTE = ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", "DOWNSTREAM_REMOTE_ADDRESS")
_DIRECT = ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", "DOWNSTREAM_DIRECT_REMOTE_ADDRESS")
# Best first, where several have one role.
_ROLES: Mapping[str, str] = {
    **dict.fromkeys((*_REMOTE, *_DIRECT), "address"),
    **{"PROTOCOL": "protocol", "RESPONSE_CODE": "status", "BYTES_SENT": "bytes", "DURATION": "duration"},
    **{"START_TIME": "time"},
}
_REQ: Mapping[str, str] = {
    **HEADERS,
    **{":method": "method", ":path": "target", "x-envoy-original-path": "target", ":authority": "host"},
}
_OPERATOR = re.compile(r"%[A-Z_]+(?:\([^)]*\))?(?::[0-9]+)?%")
_SECONDS = re.compile(r"^%s(?:\.%[0-9]+f)?$")
_POINT_AND_DIGITS = re.compile(r"\.%[0-9]*f")


def envoy_format(text: str, name: str, description: str) -> Format:
    """Raises `Fatal`."""
    body = text.strip("\r\n").removesuffix(r"\n")
    template = json_template(body, _OPERATOR, _token)
    if template is not None:
        return template_format(name, description, template, list(_ROLES), _NAMES)
    tokens = chosen(tokens_of(body, _OPERATOR, _token), list(_ROLES))
    return text_format(name, description, tokens, reading_of(tokens, Escape.NONE), names=_NAMES)


def _token(match: re.Match[str]) -> Token:
    operator, _, argument = match[0].strip("%").partition("(")
    written, argument = match[0], argument.rpartition(")")[0]
    if operator == "REQ":
        return Var(written, _REQ.get(argument.lower().split("?")[0]))
    if operator == "START_TIME" and argument:
        return Var(written, "time", time=_time(argument))
    return Var(written, _ROLES.get(operator.split(":")[0]), unit_ms=1)


def _time(argument: str) -> str:
    """Envoy's strftime has `%3f` for digits of a second, as chrono has, which takes any number behind a point."""
    return "any" if _SECONDS.match(argument) else _POINT_AND_DIGITS.sub("%.f", argument).replace("%f", "%9f")
