"""MessagePack as Fluent Bit sends it."""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.preparing import Prepared, prepare
from services.ingest.receivers.bodies import body_lines
from services.ingest.receivers.refusals import BodyError
from services.ingest.sources import Source
from tests.parts.edge import NOW, POLICY, SOURCE, combined

EVENT = {"client_address": "192.0.2.1", "path": "/a", "status": 200}
AT = datetime(2026, 11, 23, 9, 30, 0, 250_000)


def _time(seconds: int = 1_795_426_200, nanoseconds: int = 250_000_000) -> msgpack.ExtType:
    return msgpack.ExtType(0, struct.pack(">II", seconds, nanoseconds))


def _packed(*values: Any) -> bytes:
    return b"".join(msgpack.packb(value) for value in values)


def _prepared(body: bytes, source: Source = SOURCE) -> Prepared:
    lines, format_ = body_lines(body, "application/msgpack", source)
    return prepare(lines, format_, source, POLICY, NOW)


@pytest.mark.parametrize(
    "body",
    [
        _packed([_time(), EVENT], [_time(), EVENT]),
        _packed([[_time(), {"meta": 1}], EVENT], [[_time(), {}], EVENT]),
        _packed([1_795_426_200.25, EVENT], [1_795_426_200.25, EVENT]),
    ],
)
def test_pairs_of_time_and_map(body: bytes) -> None:
    """Fluent Bit's time, with metadata and without, or a number; the event has the pair's time."""
    found = _prepared(body)
    assert found.accepted["path"].to_list() == ["/a", "/a"]
    assert found.accepted["timestamp"].to_list() == [AT, AT]
    assert found.timed


@pytest.mark.parametrize("count", [0, 1, 2, 3, 20, 70_000])
def test_maps_one_after_the_other_or_in_an_array(count: int) -> None:
    """Any number of them, also the two that look like a pair."""
    events = [{**EVENT, "path": f"/{n}"} for n in range(count)]
    paths = [event["path"] for event in events]
    assert _prepared(_packed(*events)).accepted["path"].to_list() == paths
    assert _prepared(_packed(events)).accepted["path"].to_list() == paths


def test_an_array_of_pairs() -> None:
    """More than two."""
    assert _prepared(_packed([[_time(), EVENT]] * 3)).accepted.height == 3


def test_an_events_own_time_wins() -> None:
    """The pair's is when the collector read it."""
    found = _prepared(_packed([_time(), {**EVENT, "timestamp": "2026-11-22T00:00:00Z"}]))
    assert found.accepted["timestamp"].to_list() == [datetime(2026, 11, 22)]


def test_a_wrapped_line_is_read_in_the_sources_format() -> None:
    """`log` as Fluent Bit's tail writes it, when it does not parse; `message` as others do."""
    body = _packed([_time(), {"log": combined(1) + "\n"}], {"message": combined(2)}, [_time(), {"log": "x"}], EVENT)
    found = _prepared(body)
    assert found.accepted["path"].to_list() == ["/pages/1", "/pages/2", "/a"]
    assert found.rejects.rows() == [(2, "unknown_shape")]


def test_events_of_a_source_with_a_json_format() -> None:
    """By its names; a field called `log` is none of them."""
    nginx = {"remote_addr": "192.0.2.1", "request_uri": "/n", "status": "200", "log": "x"}
    found = _prepared(_packed([_time(), nginx]), replace(SOURCE, format="nginx_json"))
    assert (found.accepted["path"].to_list(), found.accepted["timestamp"].to_list()) == (["/n"], [AT])


def test_bad_events_are_rejects_and_the_others_are_taken() -> None:
    """No map, too many fields, too long, bytes as a name."""
    many, long = {str(n): n for n in range(300)}, {**EVENT, "x": "y" * 70_000}
    found = _prepared(_packed(5, [_time(), "x"], many, long, {b"\xff": 1}, EVENT))
    assert found.accepted.height == 1
    assert [reason for _, reason in found.rejects.rows()] == [
        *("bad_field", "bad_field", "too_many_fields", "too_long", "bad_field"),
    ]


@pytest.mark.parametrize("body", [b"\xc1", b"\x92\x01", _packed(EVENT)[:-3], b"\x91" * 5000, b"\xdd\xff\xff\xff\xff"])
def test_what_is_no_messagepack_is_400(body: bytes) -> None:
    """Cut off, too deep, or something else."""
    with pytest.raises(BodyError) as caught:
        _prepared(body)
    assert (caught.value.status, caught.value.code) == (400, "bad_msgpack")


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Never anything else than an answer of the contract."""
    try:
        found = _prepared(body)
    except BodyError:
        return
    assert found.lines == found.accepted.height + found.rejects.height
