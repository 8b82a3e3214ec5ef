"""Bodies -> lines, within limits."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from dataclasses import replace

import pytest
import zstandard

from services.ingest.receivers.bodies import BodyError, body_lines, decompressor, media_type
from tests.parts.edge import SOURCE

LIMIT = 16 * 1024 * 1024
TEXT = b"".join(b"line %d of an access log\n" % n for n in range(5000))


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKED = [
    ("", TEXT),
    ("identity", TEXT),
    ("gzip", gzip.compress(TEXT)),
    ("GZIP", gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:])),
    ("deflate", zlib.compress(TEXT)),
    ("deflate", _raw_deflate(TEXT)),
    ("zstd", zstandard.compress(TEXT)),
    ("zstd", zstandard.compress(TEXT[:100]) + zstandard.compress(TEXT[100:])),
]


@pytest.mark.parametrize(("encoding", "packed"), PACKED)
def test_every_encoding_gives_the_text(encoding: str, packed: bytes) -> None:
    """gzip in several members, deflate with and without its wrapping."""
    assert decompressor(encoding)(packed, LIMIT) == TEXT


@pytest.mark.parametrize(("encoding", "packed"), [*PACKED, ("gzip", b""), ("zstd", b"")])
def test_the_limit_is_on_what_comes_out(encoding: str, packed: bytes) -> None:
    """Exactly: one byte more is too large; an empty body is none."""
    unpack = decompressor(encoding)
    assert unpack(packed, len(TEXT)) in {TEXT, b""}
    if packed:
        with pytest.raises(BodyError) as caught:
            unpack(packed, len(TEXT) - 1)
        assert caught.value.status == 413


@pytest.mark.parametrize(("encoding", "packed"), PACKED[2:])
def test_a_damaged_body_is_undecodable(encoding: str, packed: bytes) -> None:
    """Cut off in the middle, or something else altogether; never a part of it taken for the whole."""
    for damaged in (packed[: len(packed) // 2], b"x" + packed[1:] * 2, b"hello"):
        with pytest.raises(BodyError) as caught:
            decompressor(encoding)(damaged, LIMIT)
        assert caught.value.status == 400


@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [
        ("gzip", gzip.compress(bytes(200_000_000), 9)),
        ("deflate", zlib.compress(bytes(200_000_000), 9)),
        ("zstd", zstandard.compress(bytes(200_000_000))),
        ("gzip", gzip.compress(bytes(8_000_000), 9)),
    ],
)
def test_a_bomb_costs_no_more_than_the_limit(encoding: str, bomb: bytes) -> None:
    """By size or by ratio; memory stays near the limit."""
    unpack = decompressor(encoding)
    tracemalloc.start()
    with pytest.raises(BodyError) as caught:
        unpack(bomb, LIMIT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.status == 413
    assert peak < 64 * 1024 * 1024


@pytest.mark.parametrize("header", ["", "application/x-www-form-urlencoded", "text/html", "application/msgpack"])
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


def test_other_encodings_are_415() -> None:
    """Before the body is read."""
    with pytest.raises(BodyError) as caught:
        decompressor("br")
    assert caught.value.status == 415


def test_positions_are_indexes() -> None:
    """Of lines and of array elements."""
    lines, format_ = body_lines(b"a\nb\n", "text/plain", SOURCE)
    assert (lines.text.to_list(), lines.positions.to_list(), format_.name) == (["a", "b"], [0, 1], "combined")
    lines, format_ = body_lines(b'[{"a": 1}, 2]', "application/json", SOURCE)
    assert (lines.text.to_list(), lines.positions.to_list(), format_.name) == (['{"a":1}', "2"], [0, 1], "json")
    lines, _ = body_lines(b'{"a": "\\n"}', "application/json", SOURCE)
    assert lines.text.to_list() == ['{"a":"\\n"}']


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
