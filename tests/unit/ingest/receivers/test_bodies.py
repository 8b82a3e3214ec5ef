"""Bodies -> lines, within limits."""

from __future__ import annotations

import gzip
from dataclasses import replace

import pytest
import zstandard

from services.ingest.receivers.bodies import body_lines, media_type
from services.ingest.receivers.refusals import BodyError
from tests.parts.edge import SOURCE


@pytest.mark.parametrize("header", ["", "application/x-www-form-urlencoded", "text/html", "application/xml"])
def test_other_media_types_are_415(header: str) -> None:
    """And the answer says what to send."""
    with pytest.raises(BodyError) as caught:
        media_type(header)
    assert (caught.value.status, "text/plain" in caught.value.detail) == (415, True)
    assert media_type("Text/Plain; charset=utf-8") == "text/plain"


@pytest.mark.parametrize(
    ("body", "media"), [(b"\n" * 250_001, "text/plain"), (b"[" + b"1," * 250_000 + b"1]", "application/json")]
)
def test_too_many_lines_are_413(body: bytes, media: str) -> None:
    """Tiny lines cost as much as long ones."""
    with pytest.raises(BodyError) as caught:
        body_lines(body, media, SOURCE)
    assert (caught.value.status, caught.value.code) == (413, "too_many_lines")


def test_positions_are_indexes() -> None:
    """Of lines and of array elements."""
    lines, format_ = body_lines(b"a\nb\n", "text/plain", SOURCE)
    assert (lines.text.to_list(), lines.positions.to_list(), format_.name) == (["a", "b"], [0, 1], "combined")
    lines, format_ = body_lines(b'[{"a": 1}, 2]', "application/json", SOURCE)
    assert (lines.text.to_list(), lines.positions.to_list(), format_.name) == (['{"a": 1}', "2"], [0, 1], "json")
    lines, _ = body_lines(b'{"a":\n"\\n"}', "application/json", SOURCE)
    assert lines.text.to_list() == ['{"a": "\\n"}']


def test_json_of_a_source_with_a_json_format_is_read_by_it() -> None:
    """A collector that forwards nginx's own JSON."""
    nginx = replace(SOURCE, format="nginx_json")
    assert body_lines(b"{}", "application/x-ndjson", nginx)[1].name == "nginx_json"
    assert body_lines(b"{}", "application/x-ndjson", SOURCE)[1].name == "json"


@pytest.mark.parametrize("body", [b"", b"{", b"5", b'"x"', b"[" * 100_000])
def test_a_body_that_is_no_json_is_400(body: bytes) -> None:
    """As a whole: nothing of it can be counted."""
    with pytest.raises(BodyError) as caught:
        body_lines(body, "application/json", SOURCE)
    assert caught.value.status == 400


@pytest.mark.parametrize("media", ["text/plain", "application/x-ndjson", "application/json"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (gzip.compress(b"x"), "say so in Content-Encoding"),
        (zstandard.compress(b"x"), "say so in Content-Encoding"),
        ("a line".encode("utf-16"), "UTF-16; send UTF-8"),
        ("a line".encode("utf-16-le"), "UTF-16LE; send UTF-8"),
    ],
    ids=["gzip", "zstd", "utf-16", "utf-16-le"],
)
def test_a_body_that_is_no_text_says_why(media: str, text: bytes, said: str) -> None:
    """Not a 200 with every line rejected."""
    with pytest.raises(BodyError) as refused:
        body_lines(text, media, SOURCE)
    assert (refused.value.status, refused.value.code) == (400, "bad_encoding")
    assert said in refused.value.detail


@pytest.mark.parametrize("media", ["application/x-ndjson", "application/json"])
def test_a_byte_order_mark_before_json_is_no_part_of_it(media: str) -> None:
    """RFC 8259 lets a reader ignore it."""
    lines, _ = body_lines(b'\xef\xbb\xbf{"path":"/a"}', media, replace(SOURCE, format="json"))
    assert lines.text.to_list() == ['{"path":"/a"}']
