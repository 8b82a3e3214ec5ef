"""nginx's escape=json and Voile's own event."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.formats import FORMATS
from services.ingest.formats.json_lines import _mended_lines, json_columns, mended
from services.ingest.formats.native import NATIVE
from services.ingest.lines import LINE_BYTES_MAX
from tests.fixtures.formats import reading

NGINX_JSON = FORMATS["nginx_json"]
NGINX = {
    "time_iso8601": "2026-11-01T09:30:00+01:00",
    "remote_addr": "192.0.2.7",
    "request": "GET /a?b=1 HTTP/1.1",
    "status": 200,
    "body_bytes_sent": 512,
    "request_time": 0.0125,
    "http_referer": "",
    "http_user_agent": 'Mozilla "5"',
    "remote_user": "",
    "host": "www.x.example",
}


def _nginx(**changes: object) -> dict[str, Any]:
    return NGINX_JSON.parse(pl.Series([json.dumps(NGINX | changes)])).to_dicts()[0]


def _native(*events: object) -> list[dict[str, Any]]:
    return NATIVE.parse(pl.Series([json.dumps(event) for event in events])).to_dicts()


def test_quoted_and_unquoted_numbers_are_one() -> None:
    """People write "$status" and $status."""
    quoted = _nginx(status="200", body_bytes_sent="512", request_time="0.0125")
    assert quoted == _nginx()
    assert (quoted["status"], quoted["response_bytes"], quoted["duration_ms"]) == ("200", 512, 12)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time_iso8601", "2026-11-01T09:30:00+01:00"),
        ("time_local", "01/Nov/2026:09:30:00 +0100"),
        ("msec", 1793521800.000),
        ("msec", "1793521800.000"),
        ("time", "2026-11-01T08:30:00Z"),
    ],
)
def test_every_way_nginx_writes_a_time(field: str, value: object) -> None:
    """All the same instant."""
    event = {k: v for k, v in NGINX.items() if k != "time_iso8601"} | {field: value}
    frame = NGINX_JSON.parse(pl.Series([json.dumps(event)]))
    assert frame["time"].to_list() == [datetime(2026, 11, 1, 8, 30)]


def test_request_uri_is_better_than_request() -> None:
    """Method and protocol from their own variables, or from the request line."""
    row = _nginx(request_uri="/b?c", request_method="post", server_protocol="HTTP/2.0")
    assert (row["method"], row["target"], row["protocol"]) == ("POST", "/b?c", "HTTP/2.0")
    row = _nginx()
    assert (row["method"], row["target"], row["protocol"]) == ("GET", "/a?b=1", "HTTP/1.1")


def test_nothing_is_null_whatever_way_it_is_written() -> None:
    """An empty text, a dash, a JSON null, no key."""
    for nothing in ("", "-", None):
        assert _nginx(remote_user=nothing, http_referer=nothing)["user"] is None
    assert _nginx()["event"] is None


def test_a_duration_that_is_none_costs_only_itself() -> None:
    """nginx writes "0.1, 0.2" for several upstreams."""
    row = _nginx(request_time="0.1, 0.2")
    assert (row["shape"], row["duration_ms"]) == (None, None)


def test_privacy_signals() -> None:
    """Sent, not sent, and not logged are three things."""
    assert [_nginx(http_sec_gpc=value)["gpc"] for value in ("1", 1, "", "-", "0")] == [True, True, False, False, False]
    assert _nginx()["gpc"] is None


def test_bad_lines_say_why_and_do_not_move_their_neighbours() -> None:
    """One bad line in a batch leaves all others as they are."""
    good = [json.dumps(NGINX | {"request": f"GET /{n} HTTP/1.1"}) for n in range(200)]
    bad = {7: '{"x":', 50: "[1]", 51: "", 120: json.dumps(NGINX | {"status": {"a": 1}}), 199: '{"status":200}'}
    lines = [bad.get(n, line) for n, line in enumerate(good)]
    frame = NGINX_JSON.parse(pl.Series(lines))
    wanted = {7: "bad_json", 50: "bad_json", 51: "empty_line", 120: "bad_field", 199: "missing_field"}
    assert {n: reason for n, reason in enumerate(frame["shape"].to_list()) if reason} == wanted
    targets = [target for n, target in enumerate(frame["target"].to_list()) if n not in bad]
    assert targets == [f"/{n}" for n in range(200) if n not in bad]


_SCALAR = st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.text(st.characters(codec="utf-8"), max_size=10)
_NESTED = st.lists(st.integers(), max_size=2) | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)


def _text_of(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


@given(st.lists(st.dictionaries(st.sampled_from("abcz"), _SCALAR | _NESTED, max_size=4) | st.integers(), max_size=40))
@settings(max_examples=200, deadline=None)
def test_columns_and_reference_agree(values: list[Any]) -> None:
    """Line by line with Python's own JSON: the same texts, and the same lines refused."""
    lines = pl.Series([json.dumps(value, ensure_ascii=False) for value in values], dtype=pl.String)
    frame, readable = json_columns(lines, ["a", "b", "c"])
    for value, row, ok in zip(values, frame.to_dicts(), readable.to_list(), strict=True):
        nested = isinstance(value, dict) and any(isinstance(value.get(k), dict | list) for k in "abc")
        assert ok == (isinstance(value, dict) and not nested)
        if ok:
            assert row == {k: _text_of(value.get(k)) for k in "abc"}


def test_what_only_one_parser_takes_is_a_reject() -> None:
    """A number beyond all bounds; its neighbours are read."""
    frame, readable = json_columns(pl.Series(['{"a":1}', '{"a":1e999}', "{x}", '{"a":2}']), ["a"])
    assert readable.to_list()[::3] == [True, True]
    assert not readable[2]
    assert frame["a"].to_list()[::3] == ["1", "2"]


def test_a_native_event() -> None:
    """The names of AccessLog."""
    (row,) = _native(
        {
            "timestamp": "2026-11-01T08:30:00.250Z", "client_address": "192.0.2.7", "method": "get", "path": "/a",
            "status": 204, "user_agent": "x", "host": "h.example", "referrer": "https://r.example/", "response_bytes": 7,
            "duration_ms": 3.6, "account": "m-1", "event": "checkout", "route": "/a", "gpc": True, "dnt": False,
        }
    )  # fmt: skip
    assert row["time"] == datetime(2026, 11, 1, 8, 30, 0, 250_000)
    assert (row["method"], row["target"], row["status"], row["user"]) == ("GET", "/a", "204", "m-1")
    assert (row["response_bytes"], row["duration_ms"], row["event"]) == (7, 4, "checkout")
    assert (row["gpc"], row["dnt"]) == (True, False)


def test_a_url_gives_host_and_path() -> None:
    """Userinfo is no part of the host."""
    (row,) = _native({"client_address": "192.0.2.7", "url": "https://u:p@h.example:8443/a?b=1"})
    assert (row["host"], row["target"]) == ("h.example:8443", "https://u:p@h.example:8443/a?b=1")


@pytest.mark.parametrize("value", ["1793521800", 1793521800000, 1793521800000000, 1793521800000000000, 1793521800.0])
def test_epochs_of_every_size(value: object) -> None:
    """Seconds, milliseconds, microseconds, nanoseconds."""
    (row,) = _native({"timestamp": value, "client_address": "192.0.2.7", "path": "/"})
    assert row["time"] == datetime(2026, 11, 1, 8, 30)


def test_without_a_timestamp_there_is_none() -> None:
    """Not an error: the time of receipt counts then."""
    (row,) = _native({"client_address": "192.0.2.7", "path": "/"})
    assert (row["shape"], row["time"], row["time_text"]) == (None, None, None)


_KEY = st.text(st.sampled_from('ab\\",:-0. {}'), max_size=5)
_ANY = st.recursive(
    _SCALAR | st.floats(allow_nan=False), lambda v: st.lists(v, max_size=3) | st.dictionaries(_KEY, v, max_size=3)
)


@given(st.dictionaries(_KEY, _KEY | _ANY, max_size=4), st.sampled_from([(",", ":"), (", ", ": ")]))
@settings(max_examples=300, deadline=None)
def test_mending_leaves_json_as_it_is(value: dict[str, Any], separators: tuple[str, str]) -> None:
    """A whole chunk is mended when one line of it needs it."""
    line = json.dumps(value, separators=separators, ensure_ascii=False)
    assert _mended_lines(pl.Series([line])).to_list() == [line]
    assert mended(line) == line or "\\x" in line


def test_a_chunk_with_lines_to_mend_keeps_the_others() -> None:
    """What nginx writes for an upstream that was not asked, or asked twice, unquoted."""
    lines = ['{"a":"1","x":}', '{"a":"2","x":0.1, 0.2,"y":-}', '{"a":"3 \\\\","x":"\\":,"}', "rubbish"]
    frame, readable = json_columns(pl.Series(lines), ["a", "x"])
    assert readable.to_list() == [True, True, True, False]
    assert frame["a"].to_list()[:3] == ["1", "2", "3 \\"]
    assert frame["x"].to_list()[:3] == [None, "0.1, 0.2", '":,']


def test_a_line_of_the_collector_holds_thousands_of_records() -> None:
    """Its batches have 8192 records by default: a line of a megabyte is no line that is too long."""
    import orjson

    whole = orjson.loads(reading.lines_of("otlp_json-documented").splitlines()[2])
    scope = whole["resourceLogs"][0]["scopeLogs"][0]
    scope["logRecords"] *= 2000
    text = orjson.dumps(whole) + b"\n"
    assert len(text) > 1024 * 1024
    lines = FORMATS["otlp_json"].lines(text)
    frame = FORMATS["otlp_json"].parse(lines.text)
    assert (frame.height, frame["shape"].null_count(), lines.positions.n_unique()) == (2000, 2000, 2000)


def test_a_line_of_the_collector_that_is_too_long_is_one_reject() -> None:
    """It ends the reading of no other."""
    text = b'{"resourceLogs":' + b"[" * (5 * 1024 * 1024) + b"\n" + reading.lines_of("otlp_json-documented")
    lines = FORMATS["otlp_json"].lines(text)
    assert len(lines) == 6
    assert int(lines.sizes[0]) > LINE_BYTES_MAX
