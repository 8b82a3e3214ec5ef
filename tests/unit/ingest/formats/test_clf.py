"""The formats that grew from the common log."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.formats import FORMATS
from tests.unit.ingest.reference import Row, read_combined

COMBINED, COMMON, VHOST_COMBINED = (FORMATS[name] for name in ("combined", "common", "vhost_combined"))
HEAD = "192.0.2.7 - - [01/Nov/2026:09:30:00 +0100]"


def _one(line: str) -> dict[str, object]:
    return COMBINED.parse(pl.Series([line])).to_dicts()[0]


def test_a_combined_line_gives_every_column() -> None:
    """Time in UTC, empty fields null, numbers as numbers."""
    row = _one(f'{HEAD} "GET /a?b=1 HTTP/2.0" 200 512 "https://x.example/" "Mozilla/5.0"')
    assert row["shape"] is None
    assert row["time"] == datetime(2026, 11, 1, 8, 30)
    assert (row["method"], row["target"], row["protocol"]) == ("GET", "/a?b=1", "HTTP/2.0")
    assert (row["status"], row["response_bytes"]) == ("200", 512)
    assert (row["referrer"], row["user_agent"], row["user"]) == ("https://x.example/", "Mozilla/5.0", None)


@pytest.mark.parametrize(
    ("logged", "meant"),
    [
        (r"say \x22hi\x22", 'say "hi"'),
        (r"caf\xC3\xA9", "café"),
        ("café", "café"),
        (r"a \"quoted\" b", 'a "quoted" b'),
        (r"back\\slash and \x5C", "back\\slash and \\"),
        (r"tab\there", "tab\there"),
        (r"\xff", "\ufffd"),
    ],
)
def test_escapes_of_nginx_and_apache_are_undone(logged: str, meant: str) -> None:
    """Also raw UTF-8; bytes that are none become U+FFFD."""
    assert _one(f'{HEAD} "GET / HTTP/1.1" 200 1 "-" "{logged}"')["user_agent"] == meant


@pytest.mark.parametrize("request_line", ["", "-", r"\x16\x03\x01\x02\x00", "GET", "\\n"])
def test_what_is_no_request_line_gives_no_method_and_target(request_line: str) -> None:
    """The empty request of a 400 and a TLS greeting on a plain port are lines like others."""
    row = _one(f'{HEAD} "{request_line}" 400 0 "-" "-"')
    assert row["shape"] is None
    assert (row["method"], row["target"], row["protocol"]) == (None, None, None)


@pytest.mark.parametrize(
    ("request_line", "parts"),
    [
        ("GET /a b c HTTP/1.1", ("GET", "/a b c", "HTTP/1.1")),
        ("GET /", ("GET", "/", None)),
        ("get / HTTP/1.0", ("GET", "/", "HTTP/1.0")),
        ("GET http://u:p@x.example/a HTTP/1.1", ("GET", "http://u:p@x.example/a", "HTTP/1.1")),
        ("OPTIONS * HTTP/1.1", ("OPTIONS", "*", "HTTP/1.1")),
    ],
)
def test_unusual_request_lines(request_line: str, parts: tuple[str, str, str | None]) -> None:
    """Blanks in the target, HTTP/0.9, a method in lower case, an absolute URL."""
    row = _one(f'{HEAD} "{request_line}" 200 1 "-" "-"')
    assert (row["method"], row["target"], row["protocol"]) == parts


def test_what_stands_around_a_line() -> None:
    """A carriage return, NULs of a crash, a forwarded-for list, a user with blanks, fields after the agent."""
    line = '\x00\x00192.0.2.1, 198.51.100.2 - bob b [01/Nov/2026:09:30:00 +0000] "GET / HTTP/1.1" 200 - "-" "-" "x"\r'
    row = _one(line)
    assert (row["shape"], row["address"], row["user"]) == (None, "192.0.2.1, 198.51.100.2", "bob b")
    assert row["response_bytes"] == 0


def test_a_bad_time_is_no_other_shape() -> None:
    """The text stays, so that validation can say what is wrong."""
    row = _one(HEAD.replace("01/Nov", "99/Nov") + ' "GET / HTTP/1.1" 200 1 "-" "-"')
    assert (row["shape"], row["time"], row["time_text"]) == (None, None, "99/Nov/2026:09:30:00 +0100")


@pytest.mark.parametrize(("line", "reason"), [("", "empty_line"), (" \r", "empty_line"), ("hello", "unknown_shape")])
def test_a_line_of_another_shape_says_why(line: str, reason: str) -> None:
    """And nothing else is read from it."""
    row = _one(line)
    assert row["shape"] == reason
    assert row["address"] is None


def test_rejects_do_not_move_their_neighbours() -> None:
    """A row a line, in order."""
    good = f'{HEAD} "GET /{{}} HTTP/1.1" 200 1 "-" "-"'
    frame = COMBINED.parse(pl.Series([good.format(1), "x", good.format(2), "", good.format(3)]))
    assert frame["target"].to_list() == ["/1", None, "/2", None, "/3"]
    assert frame["shape"].to_list() == [None, "unknown_shape", None, "empty_line", None]


def test_common_has_no_agent_and_refuses_more() -> None:
    """Reading combined as common would lose the agent without a word."""
    line = f'{HEAD} "GET / HTTP/1.1" 404 9'
    frame = COMMON.parse(pl.Series([line, f'{line} "-" "-"']))
    assert frame["shape"].to_list() == [None, "unknown_shape"]
    assert frame["user_agent"].to_list() == [None, None]


def test_vhost_combined_begins_with_the_host() -> None:
    """Apache's %v:%p; the port is cut later."""
    frame = VHOST_COMBINED.parse(pl.Series([f'www.x.example:443 {HEAD} "GET / HTTP/1.1" 200 1 "-" "-"']))
    assert frame["host"].to_list() == ["www.x.example:443"]
    assert frame["address"].to_list() == ["192.0.2.7"]


def _columns(line: str) -> Row | None:
    row = _one(line)
    names = Row.__dataclass_fields__
    return None if row["shape"] else Row(**{name: row[name] for name in names})  # type: ignore[arg-type]


_TEXT = st.text(
    st.sampled_from('ab \\"x1é-[],\t\x00') | st.characters(codec="utf-8", exclude_characters="\n"), max_size=8
)
_PIECES = st.sampled_from([" ", "- ", "-", '"', "[", "]", "\\x22", "\\", "HTTP/1.1", "GET ", "/a", "200", "\r", ", "])
_FIELD = st.lists(_TEXT | _PIECES, max_size=4).map("".join)


@given(st.lists(_FIELD, min_size=9, max_size=9), st.integers(0, 400))
@settings(max_examples=400, deadline=None)
def test_columns_and_reference_agree_on_lines_nearly_right(fields: list[str], keep: int) -> None:
    """Each field of a good line is replaced by something odd, one at a time and all at once."""
    good = ["192.0.2.7", "-", "bob", "01/Nov/2026:09:30:00 +0100", "GET /a HTTP/1.1", "200", "5", "-", "Mozilla"]
    parts = [
        field if keep % 10 in (number, 9) else usual
        for number, (field, usual) in enumerate(zip(fields, good, strict=True))
    ]
    a, i, u, t, r, s, b, f, g = parts
    line = f'{a} {i} {u} [{t}] "{r}" {s} {b} "{f}" "{g}"'
    assert _columns(line) == read_combined(line)


@given(_FIELD)
@settings(max_examples=200, deadline=None)
def test_columns_and_reference_agree_on_anything(line: str) -> None:
    """No text makes the parser fail."""
    assert _columns(line) == read_combined(line)
