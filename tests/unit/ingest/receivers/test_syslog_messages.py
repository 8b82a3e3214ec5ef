"""Syslog's two headers and two framings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.receivers.syslog_messages import MESSAGE_BYTES_MAX, Frames, log_lines

LINE = '192.0.2.7 - bob [22/Nov/2026:21:46:21 +0000] "GET /a HTTP/1.1" 200 2 "http://r/?e=a: b" "UA"'


@pytest.mark.parametrize(
    "header",
    [
        "<190>Nov 22 21:46:21 vm nginx: ",  # nginx
        "<190>Nov 22 21:46:21 nginx: ",  # nginx with nohostname
        "<134>Nov  2 21:46:21 haproxy[21117]: ",  # HAProxy
        "<134>Nov  2 21:46:21 lb1.example haproxy[21117]: ",
        "<133>2026-11-22T21:46:21.123456+01:00 vm nginx: ",  # rsyslog's RSYSLOG_ForwardFormat
        "<14>app: ",  # logging.handlers.SysLogHandler with a tag in its format
        "<14>app[12]: ",
        "<165>1 2026-11-22T21:46:21.003Z vm nginx 17 ID47 - ",  # RFC 5424
        "<165>1 - - - - - - ",
        '<165>1 2026-11-22T21:46:21Z vm n - - [a@1 k="v \\"q\\" ] x"][b@2 x="y"] \ufeff',
        "<13>",  # logging.handlers.SysLogHandler
        "",
    ],
)
def test_a_header_is_cut(header: str) -> None:
    """As it was seen from real senders; colons and blanks in the line itself stay."""
    lines = log_lines([(header + LINE).encode()], 41)
    assert lines.text.to_list() == [LINE]
    assert (lines.positions.to_list(), lines.sizes.to_list()) == ([41], [len(LINE)])


@pytest.mark.parametrize("line", ["2001:db8::1 - - [x]", "::1 - - [x]", "192.0.2.1:80 [x]", '{"a": "b"}', '["a": 1]'])
@pytest.mark.parametrize("header", ["<13>", "<13>Nov 22 21:46:21 vm ", "<13>Nov 22 21:46:21 vm nginx: "])
def test_the_beginning_of_a_line_is_no_tag(header: str, line: str) -> None:
    """Addresses with colons, JSON."""
    assert log_lines([(header + line).encode()], 0).text.to_list() == [line]


def test_json_stays_whole() -> None:
    """Its braces, colons and brackets are no header."""
    text = '{"time": "a b: c", "x": [1]}'
    assert log_lines([f"<190>Nov 22 21:46:21 vm nginx: {text}".encode()], 0).text.to_list() == [text]


def test_messages_are_numbered_on() -> None:
    """A line feed inside a counted message makes no second line."""
    lines = log_lines([b"<13>a\nb", b"<13>\xff", b"<13>c"], 7)
    assert lines.text.to_list() == ["a b", "�", "c"]
    assert lines.positions.to_list() == [7, 8, 9]


def test_both_framings_on_one_connection() -> None:
    """Each message says by its beginning how it ends."""
    frames = Frames()
    assert frames.feed(b"5 <1>ab<2>cd\r\n192.0.2.1 - -\n7 <3>e\nf\x00<4>g\x00") == [
        b"<1>ab", b"<2>cd", b"192.0.2.1 - -", b"<3>e\nf", b"<4>g",
    ]  # fmt: skip
    assert not frames.unfinished


_MESSAGES = st.lists(
    st.binary(min_size=1, max_size=60).map(lambda b: b.replace(b"\n", b"_").replace(b"\0", b"_").strip(b"\r") + b".")
)


@given(_MESSAGES, st.lists(st.booleans(), min_size=1), st.integers(1, 17))
def test_cut_anywhere_the_messages_are_the_same(messages: list[bytes], counted: list[bool], piece: int) -> None:
    """However the network cuts the stream."""
    sent = [b"<13>" + message for message in messages]
    kinds = [counted[n % len(counted)] for n in range(len(sent))]
    stream = b"".join(b"%d %s" % (len(m), m) if kind else m + b"\n" for m, kind in zip(sent, kinds, strict=True))
    frames = Frames()
    found = [m for at in range(0, len(stream), piece) for m in frames.feed(stream[at : at + piece])]
    assert found + frames.end() == sent


def test_too_long_is_counted_and_skipped() -> None:
    """By either framing; memory holds no more than one message, and the next is found again."""
    frames = Frames()
    for piece in (b"<1>" + b"x" * 40_000, b"x" * 40_000, b"x" * 40_000 + b"\n<2>ok\n"):
        found = frames.feed(piece)
    assert (found, frames.too_long) == ([b"<2>ok"], 1)
    size = MESSAGE_BYTES_MAX + 1
    stream = b"%d <" % size + b"y" * (size - 1) + b"6 <3>abc"
    found = [m for at in range(0, len(stream), 1_000) for m in frames.feed(stream[at : at + 1_000])]
    assert (found, frames.too_long) == ([b"<3>abc"], 2)


def test_the_last_line_needs_no_end() -> None:
    """When the sender closes; but a counted message that was cut is no message."""
    frames = Frames()
    assert frames.feed(b"<1>abc") == []
    assert frames.end() == [b"<1>abc"]
    frames.feed(b"10 <1>abc")
    assert frames.end() == []
