"""Which format a file has, and what a format makes of it."""

from __future__ import annotations

import gzip
import io

import pytest

from services.ingest.accounting import MEANING, RejectReason
from services.ingest.detection import Failure, rank, sample, try_format
from services.ingest.formats import FORMATS
from services.runtime.errors import Fatal
from tests.fixtures.formats import reading

# Those that carry no hint which of two formats wrote them are not asked about: gunicorn's lines are combined ones.
_TELLING = [name for name in reading.NAMES if not name.startswith(("custom", "gunicorn", "iis_w3c"))]


@pytest.mark.parametrize("name", _TELLING)
def test_a_file_is_known_by_its_lines(name: str) -> None:
    """The best of all formats is the one that wrote it."""
    best, second, *_ = rank(reading.lines_of(name), FORMATS.values(), reading.NOW)
    assert best.name == name.partition("-")[0]
    assert (best.share, best.columns, best.usual) > (
        second.share,
        second.columns,
        second.usual,
    ) or second.name == "gunicorn"


# (reader, writer) where one format takes lines of another. All others take none: no format is ambiguous by accident.
_ALIKE = {
    ("gunicorn", "combined"): "the same line",
    ("combined", "gunicorn"): "the same line",
    ("combined", "traefik_clf"): "combined with more behind it, which combined does not read",
    ("iis_w3c", "cloudfront"): "both follow #Fields",
    ("cloudfront", "iis_w3c"): "both follow #Fields",
    ("vhost_combined", "combined"): "a list of two addresses: the first could be a host",
}


def test_no_format_takes_another_ones_lines() -> None:
    """Every built-in format on every other's fixtures; where two are alike, detection still chose right above."""
    taken = {
        (fit.name, fixture.partition("-")[0])
        for fixture in reading.NAMES
        if not fixture.startswith("custom")
        for fit in rank(reading.lines_of(fixture), FORMATS.values(), reading.NOW)
        if fit.accepted
    }
    assert {(reader, writer) for reader, writer in taken if reader != writer} == set(_ALIKE)
    assert {reader for reader, writer in taken if reader == writer} == set(FORMATS)


def test_an_ordinary_iis_log_is_not_taken_for_cloudfront() -> None:
    """Both are W3C; the fields tell."""
    text = b"\n".join(reading.lines_of("iis_w3c-documented").splitlines()[:7])
    assert rank(text, FORMATS.values(), reading.NOW)[0].name == "iis_w3c"


@pytest.mark.parametrize("text", [b"", b"hello\nworld\n", b"\x00\xff" * 500, b"#Fields: a b\nx y\n"])
def test_what_fits_nothing_is_told_so(text: bytes) -> None:
    """No format accepts a line."""
    assert {fit.accepted for fit in rank(text, FORMATS.values(), reading.NOW)} == {0}


def test_a_trial_shows_fields_and_the_first_failure() -> None:
    """Line and column; addresses and names only when asked for."""
    text = reading.lines_of("combined-odd")
    trial = try_format(text, FORMATS["combined"], reading.NOW)
    shown = {field.written: (field.column, field.type, field.example) for field in trial.fields}
    assert shown["%h"] == ("address", "text", "(an address)")
    assert shown["%u"] == ("user", "text", "(a name)")
    assert shown["%r"] == ("method, target, protocol", "text", "GET /list HTTP/1.1")
    assert shown["%b"] == ("response_bytes", "number", "5")
    assert shown["%l"] == ("", "", "")
    assert trial.failure == Failure(12, "bad_status", "%>s", MEANING[RejectReason.BAD_STATUS])
    assert trial.lines == trial.accepted + sum(trial.rejected.values())
    revealed = {f.written: f.example for f in try_format(text, FORMATS["combined"], reading.NOW, reveal=True).fields}
    assert (revealed["%h"], revealed["%u"]) == ("192.0.2.1, 198.51.100.2", "bob smith")


@pytest.mark.parametrize(
    ("name", "line", "reason", "column"),
    [
        ("iis_w3c-documented", 7, "unknown_shape", "cs(User-Agent)"),
        ("traefik_json-documented", 4, "bad_json", "JSON, character 121"),
        ("haproxy_http-plain", 13, "cut_short", "%{+Q}r"),
        ("aws_alb-documented", 4, "bad_timestamp", "time"),
        ("caddy-documented", 4, "missing_field", "request.client_ip, request.remote_ip, request.remote_addr"),
    ],
)
def test_the_first_failure_of_a_file(name: str, line: int, reason: str, column: str) -> None:
    """The line's number counts directives and all."""
    trial = try_format(reading.lines_of(name), FORMATS[reading.format_of(name)], reading.NOW)
    assert trial.failure == Failure(line, reason, column, MEANING[RejectReason(reason)])


def test_a_trial_says_whether_lines_carry_a_time() -> None:
    """uvicorn's do not."""
    assert not try_format(reading.lines_of("uvicorn-uvicorn"), FORMATS["uvicorn"], reading.NOW).timed
    assert try_format(reading.lines_of("combined-nginx"), FORMATS["combined"], reading.NOW).timed


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    """Windows' programs write it before text, also before directives."""
    for name in ("combined-nginx", "caddy-caddy", "iis_w3c-documented"):
        format_ = FORMATS[reading.format_of(name)]
        plain = try_format(reading.lines_of(name), format_, reading.NOW)
        assert try_format(b"\xef\xbb\xbf" + reading.lines_of(name), format_, reading.NOW) == plain


def test_utf_16_is_told_apart() -> None:
    """What PowerShell makes of `>`: every line would be rejected, and nobody would know why."""
    with pytest.raises(Fatal, match="UTF-16; convert it: iconv"):
        sample(io.BytesIO("192.0.2.1 - -".encode("utf-16")))


def test_a_sample_is_the_head_of_a_file_also_packed() -> None:
    """Plain or gzip."""
    text = reading.lines_of("combined-nginx")
    assert sample(io.BytesIO(text)) == sample(io.BytesIO(gzip.compress(text))) == text
