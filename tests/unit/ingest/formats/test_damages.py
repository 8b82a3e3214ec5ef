"""Every format, built in or compiled, against every way a good line goes bad: the reason, and the column at fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from services.ingest.detection import Failure, try_format
from services.ingest.formats import Format, format_named
from tests.fixtures.formats import reading
from tests.parts.fuzzing import STRINGS, targets

FORMATS = [name for name in targets() if not name.startswith(STRINGS)]

# What each calls its time, its client's address and its status, so that a user finds them in the server's own words.
_NGINX_TIMES = "msec, time_iso8601, time_local, time, timestamp, @timestamp"
_CADDY = ("ts", "request.client_ip, request.remote_ip, request.remote_addr", "status")
_ECS = ("@timestamp", "client.ip, client.address, source.ip, source.address", "http.response.status_code")
_OTEL_ADDRESSES = "client.address, http.client_ip, network.peer.address, net.sock.peer.addr, net.peer.ip"
_OTEL = ("timeUnixNano, observedTimeUnixNano", _OTEL_ADDRESSES, "http.response.status_code, http.status_code")
_TRAEFIK = ("StartUTC, StartLocal, time", "ClientHost, ClientAddr", "DownstreamStatus")
COLUMNS: Mapping[str, tuple[str, str, str]] = {
    **dict.fromkeys(("common", "combined", "vhost_combined", "traefik_clf"), ("%t", "%h", "%>s")),
    **dict.fromkeys(("gunicorn", "custom-hypercorn"), ("%(t)", "%(h)", "%(s)")),
    **dict.fromkeys(("iis_w3c", "cloudfront"), ("date, time", "c-ip", "sc-status")),
    **dict.fromkeys(("aws_alb", "aws_elb"), ("time", "client:port", "elb_status_code")),
    **{"caddy": _CADDY, "ecs_json": _ECS, "otlp_json": _OTEL, "traefik_json": _TRAEFIK},
    "nginx_json": (_NGINX_TIMES, "remote_addr, client_ip, client", "status"),
    "json": ("timestamp", "client_address", "status"),
    "haproxy_http": ("%tr", "%ci", "%ST"),
    "s3_access": ("clf_time", "remote_ip", "http_status"),
    "envoy": ("%START_TIME%", "%REQ(X-FORWARDED-FOR)%", "%RESPONSE_CODE%"),
    "uvicorn": ("", "%(client_addr)", "%(status_code)"),
    "custom-nginx": ("$msec", "$remote_addr", "$status"),
    "custom-nginx-json": ("t", "who.ip", "code"),
    "custom-apache": ("%{%Y-%m-%dT%H:%M:%S}t.%{usec_frac}t%{%z}t", "%a", "%s"),
    "custom-haproxy": ("%trg", "%ci", "%ST"),
    "custom-envoy-json": ("at", "from", "code"),
    "custom-granian": ("%(time)", "%(addr)", "%(status)"),
}


@dataclass(frozen=True, slots=True)
class Good:
    """A line that is accepted, what it holds, and the directive above it."""

    format: Format
    head: str
    line: str
    row: Mapping[str, Any]

    def fails(self, line: str) -> tuple[str, str] | None:
        """(reason, column) of `line` in the good one's place; None when it is accepted."""
        text = f"{self.head}{line}\n{self.line}\n".encode()
        found = try_format(text, self.format, reading.NOW).failure
        assert found is None or found.line == 1 + bool(self.head)
        return (found.reason, found.column) if isinstance(found, Failure) else None


def _good(name: str) -> Good:
    """The first line of its fixtures that was answered with 200."""
    for fixture in (f for f in reading.NAMES if f == name or f.partition("-")[0] == name):
        format_, head = format_named(reading.format_of(fixture)), ""
        for line in reading.lines_of(fixture).decode(errors="replace").splitlines():
            if line.startswith("#"):
                head = f"{line}\n" if line.startswith("#Fields") else head
                continue
            rows = format_.after(head.encode()).parse(format_.lines(line.encode()).text)
            if rows.height != 1:  # OTLP's export requests hold many records
                continue
            row = rows.row(0, named=True)
            good = Good(format_, head, line, row)
            if row["status"] == "200" and row["address"] and row["target"] and good.fails(line) is None:
                return good
    raise AssertionError(f"{name} has no good line")


def _date(good: Good) -> str:
    """The part of a line's time that stands together in it."""
    text = str(good.row["time_text"])
    return text.partition("T")[0] if good.head else text


def _address(good: Good) -> str:
    """The one that counts: the last of a list."""
    return str(good.row["address"]).rpartition(", ")[2].partition(":")[0]


def _with(good: Good, old: str, new: str) -> str:
    assert old in good.line
    return good.line.replace(old, new)


@pytest.mark.parametrize("name", FORMATS)
def test_good_lines_are_good(name: str) -> None:
    """Else nothing below would mean anything; and every format says what it calls its columns."""
    good = _good(name)
    assert good.fails(good.line) is None
    assert set(COLUMNS) == set(FORMATS)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "uvicorn"])  # whose lines have no time
@pytest.mark.parametrize(("year", "reason"), [("2199", "future_timestamp"), ("1999", "bad_timestamp")])
def test_a_time_out_of_bounds(name: str, year: str, reason: str) -> None:
    """A clock that was never set, and one that is ahead."""
    good = _good(name)
    text = _date(good)
    if text[:5].isdigit():
        digits = text.partition(".")[0]
        epoch = {"2199": 7226582400, "1999": 915148801}[year] * 10 ** (len(digits) - 10)  # in s, ms or ns
        moved = text.replace(digits, f"{epoch:0{len(digits)}}" if len(digits) > 10 else str(epoch))
    else:
        moved = text.replace("2026", year)
    assert good.fails(_with(good, text, moved)) == (reason, COLUMNS[name][0])


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "uvicorn"])
def test_a_time_that_is_none(name: str) -> None:
    """Digits that no calendar has."""
    good = _good(name)
    text = _date(good)
    wrong = text.replace("2026", "20x6") if "2026" in text else "1e99"
    assert good.fails(_with(good, text, wrong)) == ("bad_timestamp", COLUMNS[name][0])


@pytest.mark.parametrize("name", FORMATS)
def test_an_address_that_is_none(name: str) -> None:
    """Wherever it stands in the line."""
    good = _good(name)
    assert good.fails(_with(good, _address(good), "300.1.1.1")) == ("bad_address", COLUMNS[name][1])


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in {"envoy", "traefik_json"}])
def test_an_address_that_is_not_there(name: str) -> None:
    """A dash. (Envoy's is the last of a list, Traefik's two fields: see their fixtures.)"""
    good = _good(name)
    line = good.line.replace(str(good.row["address"]), "-")
    assert good.fails(line) == ("missing_field", COLUMNS[name][1])


@pytest.mark.parametrize("name", FORMATS)
def test_a_status_that_is_none(name: str) -> None:
    """Out of bounds."""
    good = _good(name)
    assert good.fails(_with(good, "200", "999")) == ("bad_status", COLUMNS[name][2])


@pytest.mark.parametrize("name", FORMATS)
def test_lines_of_another_kind(name: str) -> None:
    """Prose, an object without anything in it, a list, another server's line."""
    good = _good(name)
    reasons = {text: (good.fails(text) or ("accepted", ""))[0] for text in ("Server started.", "{}", "[1]", "<html>")}
    if good.format.is_json:
        assert reasons == {
            "Server started.": "bad_json",
            "{}": "missing_field",
            "[1]": "bad_json",
            "<html>": "bad_json",
        }
    else:
        assert set(reasons.values()) == {"unknown_shape"}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda _: "", "empty_line"),
        (lambda _: " \t", "empty_line"),
        (lambda _: "\x00" * 99, "empty_line"),
        (lambda line: line + " " + "x" * 70_000, "too_long"),
    ],
)
def test_lines_without_a_column_at_fault(name: str, spoil: Callable[[str], str], reason: str) -> None:
    """Nothing, and too much."""
    good = _good(name)
    assert good.fails(spoil(good.line)) == (reason, "")


@pytest.mark.parametrize("name", FORMATS)
def test_a_line_that_is_cut(name: str) -> None:
    """Wherever it is cut, but for the end of what is not read: within quotes it is told as cut."""
    good = _good(name)
    failed = {at: good.fails(good.line[:at]) for at in range(12, len(good.line), 7)}
    for at, found in failed.items():
        if found is None:
            assert at > len(good.line) // 2, "half of a line was taken for all of it"
        elif good.format.is_json:
            assert (found[0], found[1].partition(", ")[0]) == ("bad_json", "JSON"), at
        elif name == "uvicorn" and at > len(good.line) - len("00 OK"):
            assert found == ("bad_status", COLUMNS[name][2])
        elif name == "envoy":  # it marks no quotes within a value, so that one may end anywhere
            assert found[0] in {"cut_short", "unknown_shape"}
        else:
            inside = good.line[:at].count('"') % 2 == 1
            assert found[0] == ("cut_short" if inside else "unknown_shape"), at
            assert found[1], at
