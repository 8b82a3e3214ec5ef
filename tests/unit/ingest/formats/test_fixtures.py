"""Every format against lines of real servers and of vendors' documents."""

from __future__ import annotations

import pytest

from services.ingest.accounting import RejectReason
from services.ingest.formats import FORMATS
from tests.fixtures.formats import reading
from tests.fixtures.formats.capture import REQUESTS


@pytest.mark.parametrize("name", reading.NAMES)
def test_a_fixture_gives_its_fields_and_reasons(name: str) -> None:
    """Well-formed lines whole, malformed ones rejected for the right reason."""
    assert reading.outcomes(name) == reading.expected(name)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_has_a_fixture(name: str) -> None:
    """By its name."""
    assert any(fixture.partition("-")[0] == name for fixture in reading.NAMES)


def test_every_reason_of_a_shape_is_seen() -> None:
    """A reason that no fixture gives is one that nobody checked; the others are of limits and clocks."""
    seen = {row["reject"] for name in reading.NAMES for row in reading.expected(name) if "reject" in row}
    assert seen == set(RejectReason) - {
        RejectReason.TOO_LONG,
        RejectReason.TOO_MANY_FIELDS,
        RejectReason.FUTURE_TIMESTAMP,
    }


# What was asked, in the order of `REQUESTS`: independent of what the parser makes of it.
_ASKED = [
    ("GET", "/agenda?month=11&token=s3cret"),
    ("GET", "/caf\u00e9/%C3%A9t%C3%A9"),
    ("GET", "/quoted"),
    ("HEAD", "/missing"),
    ("GET", "/absolute?x=1"),
    ("GET", "/forwarded"),
    ("GET", "/login"),
    ("OPTIONS", "*"),
    ("GET", "/old"),
    None,
    None,
    ("GET", "/" + "a" * 1500),
]
_QUIET = {  # servers that log nothing for what they refuse before it is a request
    "caddy-caddy": {7, 9, 10},
    "gunicorn-gunicorn": {1, 9, 10},
    "uvicorn-uvicorn": {1, 9, 10},
}


@pytest.mark.parametrize(
    "name", ["combined-nginx", "combined-apache", "common-apache", "vhost_combined-nginx", "vhost_combined-apache",
             "nginx_json-nginx", "caddy-caddy", "gunicorn-gunicorn", "uvicorn-uvicorn"],
)  # fmt: skip
def test_what_was_asked_is_what_is_read(name: str) -> None:
    """The requests the servers got, compared with what comes out of their logs."""
    assert len(REQUESTS) == len(_ASKED)
    asked = [one for number, one in enumerate(_ASKED) if number not in _QUIET.get(name, ())]
    rows = reading.outcomes(name)
    assert len(rows) == len(asked)
    for one, row in zip(asked, rows, strict=True):
        if one is None:
            assert row["status"] == "400"
        else:
            assert (row["method"], _relative(row["target"])) == one


def _relative(target: str) -> str:
    for origin in (
        "http://www.riverside.example:80",
        "http://www.riverside.example",
        "http%3A//www.riverside.example%3A80",
    ):
        target = target.removeprefix(origin)
    return "*" if target == "%2A" else target


@pytest.mark.parametrize("name", reading.NAMES)
def test_a_line_feed_more_or_less_changes_nothing(name: str) -> None:
    """A carriage return before it (Windows), and none at the end."""
    import polars as pl

    from services.ingest.formats import format_named

    format_ = format_named(reading.format_of(name))
    lines = pl.Series(reading.lines_of(name).decode(errors="replace").splitlines())
    assert format_.parse(lines + "\r").equals(format_.parse(lines))
