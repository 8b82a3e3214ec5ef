"""Content-Encoding -> text, within limits."""

from __future__ import annotations

import gzip
import zlib

import pytest
import zstandard

from services.ingest.receivers.refusals import BodyError
from services.ingest.receivers.unpacking import MEMBERS_MAX, decompressor

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
def test_a_bomb_is_too_large(encoding: str, bomb: bytes) -> None:
    """By size or by ratio; what it costs is in tests/integration/test_ingest_limits.py."""
    with pytest.raises(BodyError) as caught:
        decompressor(encoding)(bomb, LIMIT)
    assert (caught.value.status, caught.value.code in {"ratio", "too_large"}) == (413, True)


@pytest.mark.parametrize(
    ("encoding", "member"),
    [("gzip", gzip.compress(b"")), ("zstd", zstandard.compress(b""))],
    ids=["gzip", "zstd"],  # gzip's header holds the second, and test processes must collect the same names
)
def test_members_without_end_are_too_many(encoding: str, member: bytes) -> None:
    """Nothing comes out of them, and each costs as much as a full one."""
    assert decompressor(encoding)(member * MEMBERS_MAX, LIMIT) == b""
    with pytest.raises(BodyError) as caught:
        decompressor(encoding)(member * (MEMBERS_MAX + 1), LIMIT)
    assert (caught.value.status, caught.value.code) == (413, "too_many_members")


@pytest.mark.parametrize("header", ["br", "gzip, gzip", "gzip, zstd", "identity, gzip"])
def test_other_and_several_encodings_are_415(header: str) -> None:
    """Before the body is read."""
    with pytest.raises(BodyError) as caught:
        decompressor(header)
    assert caught.value.status == 415
