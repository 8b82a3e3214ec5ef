"""Servers' own configuration strings as formats."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import polars as pl
import pytest

from services.ingest.formats import SERVERS, custom, doubts, format_named
from services.runtime.errors import Fatal

UTC_TIME = datetime(2026, 11, 2, 9, 0)
CLF = "02/Nov/2026:10:00:00 +0100"


def _row(server: str, string: str, line: str) -> dict[str, Any]:
    return format_named(custom(string, server)).parse(pl.Series([line])).to_dicts()[0]


@pytest.mark.parametrize(
    ("server", "string", "line"),
    [
        ("nginx", '$remote_addr [$time_local] "$request" $status', f'192.0.2.7 [{CLF}] "GET /a HTTP/1.1" 200'),
        ("nginx", "$time_iso8601|$remote_addr|$request_method|$uri|$status", "2026-11-02T10:00:00+01:00|192.0.2.7|GET|/a|200"),
        ("nginx", "log_format x escape=none '$remote_addr ' '\"$request\" ${status} $msec';", '192.0.2.7 "GET /a HTTP/1.1" 200 1793610000.000'),
        ("nginx", 'escape=json {"a":"$remote_addr","t":$msec,"r":"$request","s":$status}', '{"a":"192.0.2.7","t":1793610000.000,"r":"GET /a HTTP/1.1","s":200}'),
        ("apache", '%h %t "%r" %>s', f'192.0.2.7 [{CLF}] "GET /a HTTP/1.1" 200'),
        ("apache", r'LogFormat "%a %{%Y-%m-%d %H:%M:%S %z}t %m %U %!200{X}i %s" own', "192.0.2.7 2026-11-02 10:00:00 +0100 GET /a - 200"),
        ("apache", r'{"ip":"%a","at":"%t","m":"%m","p":"%U","s":"%s"}', json.dumps({"ip": "192.0.2.7", "at": f"[{CLF}]", "m": "GET", "p": "/a", "s": "200"})),
        ("apache", r'%{%d/%b/%Y}t %{%H:%M:%S}t,%{msec_frac}t %{%z}t %a %m %U %s', "02/Nov/2026 10:00:00,000 +0100 192.0.2.7 GET /a 200"),
        ("apache", r'[%{begin:%F %T}t %{end:%F %T}t] %a %m %U %s', "[2026-11-02 09:00:00 2026-11-02 09:00:09] 192.0.2.7 GET /a 200"),
        ("envoy", "%START_TIME(%Y-%m-%dT%H:%M:%S,%3f%z)% %DOWNSTREAM_REMOTE_ADDRESS% %REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE%", "2026-11-02T09:00:00,000+0000 192.0.2.7:4711 GET /a 200"),
        ("w3c", "#Fields: date time c-ip cs-method cs-uri-stem sc-status", "2026-11-02 09:00:00 192.0.2.7 GET /a 200"),
        ("w3c", "date time c-ip cs-method cs-uri-stem sc-status", "2026-11-02\t09:00:00\t192.0.2.7\tGET\t/a\t200"),
        ("haproxy", "%ci:%cp [%trg] %{+Q}r %ST", '192.0.2.7:51000 [02/Nov/2026:09:00:00 +0000] "GET /a HTTP/1.1" 200'),
        ("haproxy", "log-format %[src]\\ %Ts\\ %HM\\ %HP\\ %ST", "192.0.2.7 1793610000 GET /a 200"),
        ("haproxy", '{"ip":"%ci","at":"%trg","req":%{+Q}r,"st":%ST}', '{"ip":"192.0.2.7","at":"02/Nov/2026:09:00:00 +0000","req":"GET /a HTTP/1.1","st":200}'),
        ("envoy", "[%START_TIME%] %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE%\\n", "[2026-11-02T09:00:00.000Z] 192.0.2.7 GET /a 200"),
        ("envoy", "%START_TIME(%s.%3f)% %DOWNSTREAM_REMOTE_ADDRESS% %REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE%", "1793610000.000 192.0.2.7:4711 GET /a 200"),
        ("envoy", "%START_TIME(%Y/%m/%dT%H:%M:%S%z)% %DOWNSTREAM_REMOTE_ADDRESS% %REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE%", "2026/11/02T10:00:00+0100 192.0.2.7:4711 GET /a 200"),
        ("python", '%(h)s %(t)s "%(r)s" %(s)s', f'192.0.2.7 [{CLF}] "GET /a HTTP/1.1" 200'),
        ("python", '[%(asctime)s] %(client_addr)s - "%(request_line)s" %(status_code)s', '[2026-11-02 10:00:00 +0100] 192.0.2.7:4711 - "GET /a HTTP/1.1" 200 OK'),
        ("python", '%(asctime)s %(client_addr)s "%(request_line)s" %(status_code)s', '2026-11-02 09:00:00,000 192.0.2.7:4711 "GET /a HTTP/1.1" 200 OK'),
        ("python", '[%(time)s] %(addr)s - "%(method)s %(path)s %(protocol)s" %(status)d', '[2026-11-02 10:00:00 +0100] 192.0.2.7 - "GET /a HTTP/1.1" 200'),
    ],
)  # fmt: skip
def test_one_access_in_every_servers_words(server: str, string: str, line: str) -> None:
    """The same access each time."""
    row = _row(server, string, line)
    assert (row["shape"], row["time"], row["method"], row["target"], row["status"]) == (
        None,
        UTC_TIME,
        "GET",
        "/a",
        "200",
    )
    assert row["address"].partition(":")[0] == "192.0.2.7"


@pytest.mark.parametrize(
    ("server", "string", "written", "duration_ms"),
    [
        ("nginx", "$remote_addr $uri $request_time", "0.125", 125),
        ("apache", "%a %U %D", "125000", 125),
        ("apache", "%a %U %T", "2", 2000),
        ("apache", "%a %U %{ms}T", "125", 125),
        ("apache", "%a %U %{us}T", "125000", 125),
        ("haproxy", "%ci %HP %Ta", "125", 125),
        ("haproxy", "%ci %HP %Ta", "-1", None),
        ("envoy", "%DOWNSTREAM_REMOTE_ADDRESS% %REQ(:PATH)% %DURATION%", "125", 125),
        ("w3c", "c-ip cs-uri-stem time-taken", "125", 125),
        ("w3c", "c-ip cs-uri-stem time-taken", "0.125", 125),
        ("python", "%(h)s %(U)s %(D)s", "125000", 125),
        ("python", "%(h)s %(U)s %(M)s", "125", 125),
        ("python", "%(h)s %(U)s %(L)s", "0.125", 125),
    ],
)
def test_durations_in_every_unit(server: str, string: str, written: str, duration_ms: int | None) -> None:
    """Seconds, milliseconds, microseconds, as each server means them; never answered is none."""
    assert _row(server, string, f"192.0.2.7 /a {written}")["duration_ms"] == duration_ms


@pytest.mark.parametrize(
    ("string", "said"),
    [
        ("$request $status", "no client address.*remote_addr"),
        ("$remote_addr $status", "no request or path.*request"),
        ("$remote_addr$http_cookie $request", "tells where one ends"),
        ("hello", "no client address"),
        ("$a " * 101, "more than 100 fields"),
        ("$remote_addr " + "x" * 9000, "at most"),
        ("log_format main $remote_addr", "paste it from"),
    ],
)
def test_a_string_that_cannot_be_a_format_says_why(string: str, said: str) -> None:
    """Before a source is made with it."""
    with pytest.raises(Fatal, match=said):
        custom(string, "nginx")


@pytest.mark.parametrize(
    ("server", "string"),
    [
        ("apache", "%{%Y-%m-%:%M:%S}t %a %U"),  # found by fuzzing: it failed at the first line
        ("apache", "%{%d/%b %H:%M}t %a %U"),
        ("apache", "%{%F}t %a %U"),
        ("apache", "%{%FT%T.%f}t %a %U"),
        ("envoy", "%START_TIME(%H:%M:%S)% %DOWNSTREAM_REMOTE_ADDRESS% %REQ(:PATH)%"),
    ],
)
def test_a_time_that_no_line_could_have_is_refused(server: str, string: str) -> None:
    """Before a source is made with it; each line would be rejected, or the reading itself fail."""
    with pytest.raises(Fatal, match="cannot be read as a time: write the year, month, day, hour and minute"):
        custom(string, server)


@pytest.mark.parametrize(
    ("name", "said"),
    [("nothing", "the formats are"), ("lighttpd:%h", "one of nginx"), ("w3c:c-ip time cs-uri", "without a date")],
)
def test_an_unknown_name_says_what_there_is(name: str, said: str) -> None:
    """Names and servers."""
    with pytest.raises(Fatal, match=said):
        format_named(name)


def test_a_custom_format_is_known_by_what_the_source_keeps() -> None:
    """The same text gives the same format again."""
    name = custom("$remote_addr $request_uri\n", "nginx")
    assert name == "nginx:$remote_addr $request_uri"
    assert format_named(name).name == name
    assert set(SERVERS) == {"nginx", "apache", "w3c", "haproxy", "envoy", "python"}


def test_upstream_times_and_forwarded_lists_may_hold_blanks() -> None:
    """Unquoted, between blanks: several upstreams, with a comma or a colon between."""
    string = '$remote_addr $upstream_response_time $upstream_addr $http_x_forwarded_for "$request" $status'
    for times in ("-", "0.1", "0.1, 0.2", "0.1 : 0.2", "0.1, 0.2 : -"):
        line = f'192.0.2.7 {times} 10.0.0.1:80, 10.0.0.2:80 203.0.113.7, 10.0.0.9 "GET /a HTTP/1.1" 200'
        row = _row("nginx", string, line)
        assert (row["shape"], row["forwarded"], row["target"]) == (None, "203.0.113.7, 10.0.0.9", "/a")


def test_without_an_address_of_its_own_the_forwarded_list_is_it() -> None:
    """A server that only knows its proxy."""
    row = _row("nginx", '"$http_x_forwarded_for" $request_uri', '"203.0.113.7, 198.51.100.2" /a')
    assert (row["address"], row["forwarded"]) == ("203.0.113.7, 198.51.100.2", None)


def test_of_several_variables_for_one_thing_the_best_is_read() -> None:
    """As sent before rewritten; with fractions of a second before without."""
    row = _row(
        "nginx",
        "$remote_addr $time_iso8601 $uri $request_uri $msec",
        "192.0.2.7 2026-11-02T09:00:00+00:00 /index.php /a 1793610000.250",
    )
    assert (row["target"], row["time"]) == ("/a", datetime(2026, 11, 2, 9, 0, 0, 250_000))
    row = _row("apache", "%h %a %v %U", "proxy.example 192.0.2.7 www.x.example /a")
    assert (row["address"], row["host"]) == ("192.0.2.7", "www.x.example")


def test_an_ipv6_client_with_its_port() -> None:
    """HAProxy writes no brackets: what follows the last colon is the port."""
    row = _row("haproxy", "%ci:%cp %HP", "2001:db8::7:51000 /a")
    assert row["address"] == "2001:db8::7"


@pytest.mark.parametrize(
    ("escape", "logged"), [("default", r"say \x22h\xC3\xA9\x22"), ("json", r"say \"hé\""), ("none", 'say "hé"')]
)
def test_nginx_has_three_ways_to_escape(escape: str, logged: str) -> None:
    """All the same agent."""
    string = f"log_format x escape={escape} '$remote_addr $request_uri \"$http_user_agent\"';"
    assert _row("nginx", string, f'192.0.2.7 /a "{logged}"')["user_agent"] == 'say "hé"'


def test_json_without_escape_json_is_mended() -> None:
    r"""`\x22` is no JSON; nothing and several values are none either, unquoted."""
    string = '{"a":"$remote_addr","r":"$request","u":"$http_user_agent","x":$upstream_response_time,"s":$status}'
    line = r'{"a":"192.0.2.7","r":"GET /caf\xC3\xA9 HTTP/1.1","u":"say \x22hi\x22","x":0.1, 0.2,"s":-}'
    row = _row("nginx", string, line)
    assert (row["target"], row["user_agent"], row["status"]) == ("/café", 'say "hi"', None)


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("", "$remote_addr"),
        ("192.0.2.7 now", "$time_local"),
        (f"192.0.2.7 [{CLF}", "$time_local"),
        (f'192.0.2.7 [{CLF}] "GET / HTTP/1.1', "$request"),
        (f'192.0.2.7 [{CLF}] "GET / HTTP/1.1"', "$status"),
        (f'192.0.2.7 [{CLF}] "GET / HTTP/1.1" ?', "$status"),
        (f'192.0.2.7 [{CLF}] "GET / HTTP/1.1" 200 more', "the end of the line"),
    ],
)
def test_the_pointer_names_the_first_column_that_does_not_fit(line: str, column: str) -> None:
    """For people; what stands there is not told."""
    format_ = format_named(custom('$remote_addr [$time_local] "$request" $status', "nginx"))
    assert format_.parse(pl.Series([line]))["shape"][0] is not None
    assert format_.pointer(line) == column


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("$body_bytes_snt", ["$body_bytes_snt is not read; did you mean $body_bytes_sent?"]),
        ("${http_refferer}", ["$http_refferer is not read; did you mean $http_referer?"]),
        ("$request_id $request_length $remote_port $http_x_request_id $geoip_city $upstream_status", []),
        ("$body_bytes_sent $time_local $status", []),
    ],
)
def test_a_slip_in_a_name_is_asked_about(written: str, meant: list[str]) -> None:
    """In a string of nginx, whose own variables and those of a configuration are read over without a word."""
    assert doubts(f'nginx:$remote_addr [$time_iso8601] "$request" {written}') == meant
    assert doubts("combined") == []
