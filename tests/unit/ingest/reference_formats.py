"""Every format read slowly, one line after the other: what the columns are compared with.

Written from the servers' documentation: a layout is a list of small readers that try every way a line can be
taken apart, objects are plain dictionaries. No regular expression, no column, none of the compiler's tables.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from tests.unit.ingest.reference import PRINTABLE, _address, _NoMatch, _plain, _request, _user

Roles = dict[str, str]
Way = tuple[Roles, str]  # what was read, and the rest of the line
Part = Callable[[str], Iterator[Way]]
NOTHING = {"", "-"}
NO_STATUS = {"", "-", "0", "000", "-1"}
DIGITS = set("0123456789")


def read(name: str, line: str) -> dict[str, Any] | None:
    """The columns that hold something; None when the line has not this format."""
    if name in _LAYOUTS:
        line = line.removesuffix("\r")
        return next((row for text in _without_nuls(line) if (row := _read_text(name, text)) is not None), None)
    return _JSON[name](line)


# --- text -----------------------------------------------------------------------------------------------------------


def _without_nuls(line: str) -> Iterator[str]:
    """NULs at the head are no part of the line, unless it only fits with one of them."""
    count = len(line) - len(line.lstrip("\x00"))
    yield from (line[number:] for number in range(count, -1, -1))


def _read_text(name: str, line: str) -> dict[str, Any] | None:
    layout, unescape, time, unit_ms = _LAYOUTS[name]
    found = next(_ways(layout, line), None)
    if found is None:
        return None
    roles, _ = found
    marked = {"user", "request", "method", "target", "referrer", "user_agent", "host"}
    return _row({r: unescape(v) if r in marked else v for r, v in roles.items()}, time, unit_ms)


def _ways(parts: Sequence[Part], text: str) -> Iterator[Way]:
    """All ways to take `text` apart, the preferred first."""
    if not parts:
        yield {}, text
        return
    for roles, rest in parts[0](text):
        for more, end in _ways(parts[1:], rest):
            yield roles | more, end


def _exactly(literal: str) -> Part:
    def part(text: str) -> Iterator[Way]:
        if text.startswith(literal):
            yield {}, text[len(literal) :]

    return part


def _up_to(stop: str, role: str = "", allowed: Callable[[str], bool] = bool) -> Part:
    """What stands before the next `stop`, which stays."""

    def part(text: str) -> Iterator[Way]:
        value = text.split(stop, 1)[0]
        if stop in text and allowed(value):
            yield ({role: value} if role else {}), text[len(value) :]

    return part


def _shortest(stop: str, role: str = "") -> Part:
    """Before any `stop`, the nearest first: values that are not escaped."""

    def part(text: str) -> Iterator[Way]:
        at = text.find(stop)
        while at >= 0:
            yield ({role: text[:at]} if role else {}), text[at:]
            at = text.find(stop, at + 1)

    return part


def _quoted(role: str = "") -> Part:
    r"""Between quotes; `\x` hides a quote."""

    def part(text: str) -> Iterator[Way]:
        at = 1
        while text.startswith('"') and at < len(text):
            if text[at] == '"':
                yield ({role: text[1:at]} if role else {}), text[at + 1 :]
                return
            at += 2 if text[at] == "\\" else 1

    return part


def _of(function: Callable[[str], tuple[str, str]], role: str) -> Part:
    """A reader of the combined format's reference."""

    def part(text: str) -> Iterator[Way]:
        try:
            value, rest = function(text)
        except (_NoMatch, IndexError, StopIteration):
            return
        yield {role: value}, rest

    return part


def _maybe_captured(text: str) -> Iterator[Way]:
    """HAProxy's `{a|b} `, which may be absent."""
    if text.startswith("{"):
        inside, brace, rest = text[1:].partition("}")
        if brace and "{" not in inside and rest.startswith(" "):
            yield {}, rest[1:]
    yield {}, text


def _host_and_port(text: str) -> Iterator[Way]:
    """HAProxy's client: the last colon parts the port; nothing is in brackets."""
    word = text.split(" ", 1)[0]
    for at in range(len(word) - 1, 0, -1):
        port = word[at + 1 :]
        if word[at] == ":" and set(word[:at]) <= PRINTABLE and (port == "-" or (port and set(port) <= DIGITS)):
            yield {"address": word[:at]}, text[len(word) :]


def _end(text: str) -> Iterator[Way]:
    if not text:
        yield {}, ""


def _anything(text: str) -> Iterator[Way]:
    """Fields that were added later."""
    if not text or (text.startswith(" ") and "\r" not in text):
        yield {}, ""


def _printable(value: str) -> bool:
    return bool(value) and set(value) <= PRINTABLE


def _is_status(value: str) -> bool:
    return bool(value) and all(ch == "-" or (ch.isascii() and ch.isalnum()) for ch in value)


def _is_size(value: str) -> bool:
    return value == "-" or (bool(value) and set(value) <= DIGITS)


def _signed(value: str) -> bool:
    return value == "-" or (bool(value) and set(value.removeprefix("-")) <= DIGITS and value != "-")


def _plus_size(value: str) -> bool:
    return value == "-" or (bool(value.removeprefix("+")) and set(value.removeprefix("+")) <= DIGITS)


def _words(*roles: str) -> list[Part]:
    return [part for role in roles for part in (_up_to(" ", role), _exactly(" "))]


def _ascii(*roles: str) -> list[Part]:
    return [part for role in roles for part in (_up_to(" ", role, _printable), _exactly(" "))]


B = _exactly(" ")
_STATUS, _SIZE = _up_to(" ", "status", _is_status), _up_to(" ", "bytes", _is_size)
_ADDRESS = _of(_address, "address")
_CLIENT = [
    _ADDRESS,
    _up_to(" ", "", _printable),
    B,
    _of(_user, "user"),
    _exactly("["),
    _up_to("]", "time"),
    _exactly("] "),
]
_COMMON = [*_CLIENT, _quoted("request"), B, _STATUS, B]
_COMBINED = [*_COMMON, _SIZE, B, _quoted("referrer"), B, _quoted("user_agent")]
_AWS_TIMES = [*_ascii("duration", "duration_2", "duration_3"), _STATUS, B, *_ascii("", ""), _SIZE, B]
_AWS_CLIENT = [_up_to(" ", "address", _printable), B, *_ascii("")]


def _level(text: str) -> Iterator[Way]:
    """uvicorn's `INFO:     `, without colours."""
    level, colon, rest = text.partition(":")
    if colon and level.isascii() and level.isalpha() and level.isupper() and rest.startswith(" "):
        yield {}, rest.lstrip(" ")


def _last_size(text: str) -> Iterator[Way]:
    if _is_size(text):
        yield {"bytes": text}, ""


def _of_hash(text: str) -> str:
    out, at = b"", 0
    while at < len(text):
        code = text[at + 1 : at + 3]
        if text[at] == "#" and len(code) == 2 and all(ch in "0123456789abcdefABCDEF" for ch in code):
            out, at = out + bytes([int(code, 16)]), at + 3
        else:
            out, at = out + text[at].encode(), at + 1
    return out.decode(errors="replace")


def _as_is(text: str) -> str:
    return text


def _status_word(text: str) -> Iterator[Way]:
    """The longest that can be a status, then shorter ones."""
    end = next((at for at, ch in enumerate(text) if not (ch == "-" or (ch.isascii() and ch.isalnum()))), len(text))
    yield from (({"status": text[:at]}, text[at:]) for at in range(end, 0, -1))


_Layout = tuple[Sequence[Part], Callable[[str], str], str, float]
_LAYOUTS: Mapping[str, _Layout] = {
    "common": ([*_COMMON, _last_size], _plain, "clf", 1000),
    "combined": ([*_COMBINED, _anything], _plain, "clf", 1000),
    "gunicorn": ([*_COMBINED, _end], _plain, "clf", 1000),
    "vhost_combined": ([_up_to(" ", "host", _printable), B, *_COMBINED, _anything], _plain, "clf", 1000),
    "traefik_clf": (
        [*_COMBINED, B, *_words(""), _quoted(), B, _quoted(), B, _up_to("m", "duration"), _exactly("ms"), _end],
        _plain, "clf", 1,
    ),
    "haproxy_http": (
        [
            _host_and_port, _exactly(" ["), _up_to("]", "time"), _exactly("] "), *_words(""),
            _up_to("/", "", lambda _: True), _exactly("/"), *_words(""),
            *([_up_to("/", "", lambda _: True), _exactly("/")] * 4), *_words("duration"),
            _up_to(" ", "status", _signed), B, _up_to(" ", "bytes", _plus_size), B, *_words("", "", ""),
            *([_up_to("/", "", lambda _: True), _exactly("/")] * 4), *_words(""),
            _up_to("/", "", lambda _: True), _exactly("/"), *_words(""),
            _maybe_captured, _maybe_captured, _exactly('"'), _up_to('"', "request", lambda _: True), _exactly('"'), _end,
        ],
        _of_hash, "%d/%b/%Y:%H:%M:%S.%f", 1,
    ),
    "aws_alb": (
        [
            *_ascii("", "time", ""), *_AWS_CLIENT, *_AWS_TIMES, _quoted("request"), B, _quoted("user_agent"), B,
            *_ascii("", "", ""), _quoted(), B, _quoted("host"), _anything,
        ],
        _plain, "any", 1000,
    ),
    "aws_elb": (
        [*_ascii("time", ""), *_AWS_CLIENT, *_AWS_TIMES, _quoted("request"), B, _quoted("user_agent"), _anything],
        _plain, "any", 1000,
    ),
    "s3_access": (
        [
            *_ascii("", ""), _exactly("["), _up_to("]", "time"), _exactly("] "), _up_to(" ", "address", _printable), B,
            _up_to(" ", "user", _printable), B, *_ascii("", "", ""), _quoted("request"), B, _STATUS, B, *_ascii(""),
            _SIZE, B, *_ascii("", "duration", ""), _quoted("referrer"), B, _quoted("user_agent"), _anything,
        ],
        _plain, "clf", 1,
    ),
    "uvicorn": ([_level, _ADDRESS, _exactly("- "), _quoted("request"), B, _status_word, _anything], _plain, "any", 1000),
    "envoy": (
        [
            _exactly("["), _up_to("]", "time"), _exactly('] "'), _shortest(" ", "method"), B, _shortest(" ", "target"), B,
            _shortest('"', "protocol"), _exactly('" '), _STATUS, B, *_words("", ""), _SIZE, B, *_words("duration", ""),
            _exactly('"'), _shortest('"', "address"), _exactly('" "'), _shortest('"', "user_agent"), _exactly('" "'),
            _shortest('"'), _exactly('" "'), _shortest('"', "host"), _exactly('" "'), _shortest('"'), _exactly('"'), _end,
        ],
        _as_is, "any", 1,
    ),
}  # fmt: skip


# --- what it means --------------------------------------------------------------------------------------------------


def _row(roles: Mapping[str, str | None], time: str, unit_ms: float) -> dict[str, Any]:
    given = {name: value for name, value in roles.items() if value not in NOTHING and value is not None}
    line = _request(roles.get("request") or "") if roles.get("request") is not None else (None, None, None)
    path = given.get("path")
    query = (given.get("query") or "").removeprefix("?")
    if path and query and "?" not in path:
        path = f"{path}?{query}"
    method = given.get("method")
    version = given.get("version")
    status = roles.get("status")
    row = {
        **{
            n: given.get(n)
            for n in ("address", "forwarded", "user", "referrer", "user_agent", "host", "route", "event")
        },
        "time": _time(roles.get("time"), time),
        "method": method.upper() if method else line[0],
        "target": given.get("target") or line[1] or path,
        "protocol": given.get("protocol") or (f"HTTP/{version}" if version else None) or line[2],
        "status": None if status in NO_STATUS else status,
        "response_bytes": _size(roles.get("bytes")),
        "duration_ms": _duration([roles[n] for n in ("duration", "duration_2", "duration_3") if n in roles], unit_ms),
        **{name: _flag(roles.get(name)) for name in ("gpc", "dnt")},
    }
    return {name: value for name, value in row.items() if value is not None}


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    if text == "-":
        return 0
    digits = text[1:] if text[:1] in {"+", "-"} else text
    if not digits or not set(digits) <= DIGITS:
        return None
    return int(text) if -(2**63) <= int(text) < 2**63 else None


def _number(text: str | None) -> Decimal | None:
    if not text or not set(text) <= DIGITS | set(".eE+-"):
        return None
    try:
        return Decimal(text)
    except ArithmeticError:
        return None


def _duration(parts: Sequence[str | None], unit_ms: float) -> int | None:
    numbers = [_number(part) for part in parts]
    if not numbers or any(number is None or number < 0 for number in numbers):
        return None
    total = float(sum(number for number in numbers if number is not None))
    unit = unit_ms or (1000.0 if "." in (parts[0] or "") else 1.0)
    ms = total * unit
    return round(ms) if ms < 1e15 else None


def _flag(text: str | None) -> bool | None:
    return None if text is None else text in {"1", "true"}


def _time(text: str | None, written: str) -> datetime | None:
    if text is None:
        return None
    if written == "any":
        return _epoch(text) or _iso(text) or _strptime(text, "%d/%b/%Y:%H:%M:%S %z")
    return _strptime(text, "%d/%b/%Y:%H:%M:%S %z" if written == "clf" else written)


def _strptime(text: str, format_: str) -> datetime | None:
    try:
        return _utc(datetime.strptime(text, format_))
    except (ValueError, OverflowError):
        return None


def _iso(text: str) -> datetime | None:
    if len(text) < 19 or text[10] not in {"T", " "}:
        return None
    head, fraction = text[:19], text[19:]
    zone = ""
    for mark in ("Z", "z", "+", "-"):
        if mark in fraction:
            fraction, zone = fraction[: fraction.index(mark)], fraction[fraction.index(mark) :]
            break
    try:
        return _utc(
            datetime.fromisoformat(
                head.replace(" ", "T") + (fraction + "000000")[: 7 if fraction else 0] + zone.replace("z", "Z")
            )
        )
    except ValueError:
        return None


def _epoch(text: str) -> datetime | None:
    whole, point, fraction = text.partition(".")
    if (
        not 0 < len(whole) <= 19
        or not set(whole) <= DIGITS
        or (point and not (0 < len(fraction) <= 9 and set(fraction) <= DIGITS))
    ):
        return None
    number = float(text)
    ms = (
        number * 1000 if number < 1e11 else number if number < 1e14 else number / 1e3 if number < 1e17 else number / 1e6
    )
    return datetime(1970, 1, 1) + timedelta(milliseconds=round(ms))


def _utc(value: datetime) -> datetime:
    if value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


# --- W3C ------------------------------------------------------------------------------------------------------------

_W3C = {
    "c-ip": "address", "cs-username": "user", "cs-method": "method", "cs-uri-stem": "path", "cs-uri-query": "query",
    "sc-status": "status", "sc-bytes": "bytes", "time-taken": "duration", "cs(Referer)": "referrer",
    "cs(User-Agent)": "user_agent", "x-host-header": "host", "cs-host": "host", "cs-version": "protocol",
    "cs-protocol-version": "protocol", "cs(X-Forwarded-For)": "forwarded", "x-forwarded-for": "forwarded",
}  # fmt: skip


def read_w3c(line: str, fields: str) -> dict[str, Any] | None:
    """A row under a whole `#Fields` line."""
    line = line.removesuffix("\r").rstrip(" \t")
    return next((row for text in _without_nuls(line) if (row := _w3c_row(text, fields.split()[1:])) is not None), None)


def _w3c_row(line: str, names: Sequence[str]) -> dict[str, Any] | None:
    values = line.replace("\t", " ").split(" ")
    if len(values) != len(names) or not all(values) or any("\r" in value for value in values):
        return None
    by_name = dict(zip(names, values, strict=True))
    roles: dict[str, str | None] = {role: by_name[name] for name, role in _W3C.items() if name in by_name}
    roles["time"] = f"{by_name['date']}T{by_name['time']}"
    cloudfront = "x-edge-location" in names
    for role in ("user_agent", "referrer", "forwarded", "address"):
        if (value := roles.get(role)) is not None:
            roles[role] = unquote(unquote(value)) if cloudfront else value.replace("+", " ")
    return _row(roles, "any", 0)


# --- JSON -----------------------------------------------------------------------------------------------------------


class _Misfit(Exception):
    pass


def _at(value: object, path: Sequence[str]) -> str | None:
    """The text at a path. Raises `_Misfit` where an object or a list stands in its way."""
    for number, step in enumerate(path):
        if value is None:
            return None
        if step == "[0]":
            items = value if isinstance(value, list) else [value]
            if any(isinstance(item, dict | list) for item in items):
                raise _Misfit
            value = items[0] if items else None
        elif not isinstance(value, dict):
            raise _Misfit
        else:
            value = value.get(path[number])
    if isinstance(value, dict | list):
        raise _Misfit
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _object(line: str, places: Mapping[str, Sequence[Sequence[str]]], unit_ms: float) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
        if not isinstance(value, dict):
            return None
        texts = {role: [_at(value, path) for path in paths] for role, paths in places.items()}
    except (ValueError, _Misfit):
        return None
    roles = {
        role: next(
            (t for t in found if t not in NOTHING and t is not None), next((t for t in found if t is not None), None)
        )
        for role, found in texts.items()
    }
    return None if roles["time"] is None else _row(roles, "any", unit_ms)


def _caddy(line: str) -> dict[str, Any] | None:
    def header(name: str) -> list[list[str]]:
        return [["request", "headers", name, "[0]"]]

    request = {"method": "method", "target": "uri", "protocol": "proto", "host": "host"}
    places = {
        "time": [["ts"]],
        "address": [["request", name] for name in ("client_ip", "remote_ip", "remote_addr")],
        "forwarded": header("X-Forwarded-For"), "user": [["user_id"]], "status": [["status"]], "bytes": [["size"]],
        **{role: [["request", name]] for role, name in request.items()},
        "duration": [["duration"]], "referrer": header("Referer"), "user_agent": header("User-Agent"),
        "gpc": header("Sec-Gpc"), "dnt": header("Dnt"),
    }  # fmt: skip
    return _object(line, places, 1000)


def _traefik(line: str) -> dict[str, Any] | None:
    names = {
        "time": "StartUTC StartLocal time", "address": "ClientHost ClientAddr", "user": "ClientUsername",
        "method": "RequestMethod", "target": "RequestPath", "protocol": "RequestProtocol", "status": "DownstreamStatus",
        "bytes": "DownstreamContentSize", "duration": "Duration", "referrer": "request_Referer",
        "user_agent": "request_User-Agent", "host": "RequestHost RequestAddr", "forwarded": "request_X-Forwarded-For",
        "gpc": "request_Sec-Gpc", "dnt": "request_Dnt",
    }  # fmt: skip
    return _object(line, {role: [[name] for name in text.split()] for role, text in names.items()}, 1e-6)


def _ecs(line: str) -> dict[str, Any] | None:
    names = {
        "time": "@timestamp", "address": "client.ip client.address source.ip source.address", "user": "user.name user.id",
        "method": "http.request.method", "path": "url.path url.original url.full", "query": "url.query",
        "version": "http.version", "status": "http.response.status_code",
        "bytes": "http.response.body.bytes http.response.bytes", "duration": "event.duration",
        "referrer": "http.request.referrer", "user_agent": "user_agent.original", "host": "url.domain destination.domain",
    }  # fmt: skip
    places = {
        role: [path for name in text.split() for path in (name.split("."), [name])] for role, text in names.items()
    }
    return _object(line, places, 1e-6)


def _nginx(line: str) -> dict[str, Any] | None:
    names = {
        "time": "msec time_iso8601 time_local time timestamp @timestamp", "address": "remote_addr client_ip client",
        "forwarded": "http_x_forwarded_for", "user": "remote_user", "request": "request",
        "method": "request_method method", "target": "request_uri uri", "protocol": "server_protocol",
        "status": "status", "bytes": "body_bytes_sent bytes_sent", "duration": "request_time",
        "referrer": "http_referer http_referrer referer", "user_agent": "http_user_agent user_agent",
        "host": "host http_host server_name", "route": "route", "event": "event",
        "gpc": "http_sec_gpc sec_gpc gpc", "dnt": "http_dnt dnt",
    }  # fmt: skip
    return _object(line, {role: [[name] for name in text.split()] for role, text in names.items()}, 1000)


_JSON: Mapping[str, Callable[[str], dict[str, Any] | None]] = {
    "nginx_json": _nginx,
    "caddy": _caddy,
    "traefik_json": _traefik,
    "ecs_json": _ecs,
}
