"""OTLP requests -> accesses, the same from both encodings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.preparing import Prepared, prepare
from services.ingest.receivers import otlp
from services.ingest.receivers.otlp import JSON, PROTOBUF, log_records, otlp_media_type
from services.ingest.receivers.refusals import BodyError
from services.ingest.sources import Source
from tests.parts.edge import NOW, POLICY, SOURCE, combined
from tests.parts.otel import ACCESS, NOW_NS, SECOND_NS, Entry, access, as_json, packed

ENCODINGS = [(PROTOBUF, packed), (JSON, as_json)]
OLD_NAMES = {"http.method": "post", "http.target": "/a?b=c", "http.status_code": "404", "net.peer.ip": "2001:db8::1"}


def _prepared(body: bytes, media: str, source: Source = SOURCE) -> Prepared:
    lines, format_ = log_records(body, media, source)
    return prepare(lines, format_, source, POLICY, NOW)


def _both(entries: Sequence[Entry], source: Source = SOURCE, time_ns: int = NOW_NS) -> Prepared:
    """What both encodings come to, which is the same."""
    one, other = (_prepared(pack(entries, time_ns), media, source) for media, pack in ENCODINGS)
    assert one.accepted.equals(other.accepted)
    assert one.rejects.equals(other.rejects)
    return one


def test_attributes_of_http_are_an_access() -> None:
    """The stable names; the record's time."""
    row = _both([(ACCESS, None)]).accepted.row(0, named=True)
    assert (row["client_address"], row["method"], row["path"], row["status"]) == ("192.0.2.7", "GET", "/agenda", 200)
    assert (row["user_agent"], row["timestamp"]) == ("Mozilla/5.0 (X11)", datetime(2026, 11, 23, 12))


def test_the_names_before_1_20_are_read_too() -> None:
    """Both are still sent."""
    row = _both([(OLD_NAMES, None)]).accepted.row(0, named=True)
    assert (row["client_address"], row["method"], row["path"], row["status"]) == ("2001:db8::1", "POST", "/a", 404)


def test_a_body_that_is_a_line_is_read_in_the_sources_format() -> None:
    """A collector that tails a file without parsing it; beside records of fields, in one request."""
    found = _both([({"log.file.name": "access.log"}, combined(7) + "\n"), access(8), ({}, "no access")])
    assert found.accepted["path"].to_list() == ["/pages/7", "/pages/8"]
    assert found.accepted["position"].to_list() == [0, 1]
    assert found.rejects.rows() == [(2, "unknown_shape")]


def test_a_body_of_fields_is_read_as_fields() -> None:
    """With OpenTelemetry's names, or in the source's own JSON format."""
    assert _both([({}, ACCESS)]).accepted["path"].to_list() == ["/agenda"]
    nginx = {"remote_addr": "192.0.2.1", "request_uri": "/n", "status": 200, "time_iso8601": "2026-11-23T10:00:00Z"}
    found = _both([({}, nginx)], replace(SOURCE, format="nginx_json"))
    assert found.accepted["path"].to_list() == ["/n"]


def test_a_record_without_a_time_of_its_own() -> None:
    """The time of receipt counts, and the body can never be a duplicate."""
    found = _both([access(1)], time_ns=0)
    assert found.accepted["timestamp"].to_list() == [datetime(2026, 11, 23, 12)]
    assert not found.timed
    assert _both([access(1)], time_ns=NOW_NS - SECOND_NS).timed


def test_bad_records_are_rejects_and_the_others_are_taken() -> None:
    """Too long, too many fields, nothing of an access: each by its index."""
    many = {f"field.{n}": "x" for n in range(300)} | ACCESS
    long = {**ACCESS, "note": "x" * 70_000}
    found = _both([(many, None), access(1), (long, None), ({"a": 1}, None)])
    assert found.accepted["path"].to_list() == ["/pages/1"]
    assert found.rejects.rows() == [(0, "too_many_fields"), (2, "too_long"), (3, "missing_field")]


def test_a_record_of_wrong_types_does_not_take_its_neighbours_down() -> None:
    """JSON alone can have one."""
    body = as_json([access(1), access(2)]).replace(b'"intValue": "200"', b'"intValue": []', 1)
    found = _prepared(body, JSON)
    assert (found.accepted.height, found.rejects.rows()) == (1, [(0, "bad_field")])


@pytest.mark.parametrize("media", [PROTOBUF, JSON])
@pytest.mark.parametrize("body", [b"{", b"\x0a\x05ab", b"[1]", b"\x0b\x01", b'{"resourceLogs": 5}', b"\xff" * 20])
def test_a_body_that_is_no_request_is_400(body: bytes, media: str) -> None:
    """As a whole: nothing in it can be counted."""
    with pytest.raises(BodyError) as caught:
        log_records(body, media, SOURCE)
    assert caught.value.status == 400


def test_an_empty_request_is_nothing() -> None:
    """Exporters send one now and then."""
    assert _prepared(b"", PROTOBUF).lines == _prepared(b"{}", JSON).lines == 0


@pytest.mark.parametrize(("media", "pack"), ENCODINGS)
def test_too_many_records_are_413(media: str, pack: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted before any is decoded."""
    monkeypatch.setattr(otlp, "LINES_MAX", 3)
    body = pack([access(n) for n in range(4)])  # type: ignore[operator]
    with pytest.raises(BodyError) as caught:
        log_records(body, media, SOURCE)
    assert (caught.value.status, caught.value.code) == (413, "too_many_records")


def test_media_types() -> None:
    """Two, with parameters or without."""
    assert otlp_media_type("application/json; charset=utf-8") == JSON
    with pytest.raises(BodyError) as caught:
        otlp_media_type("text/plain")
    assert caught.value.status == 415


_SCALARS = (
    st.text() | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)
)
_KEYS = st.sampled_from([*ACCESS, *OLD_NAMES, "http.request.header.referer", "enduser.id", "x"])
_ENTRIES = st.tuples(st.dictionaries(_KEYS, _SCALARS | st.lists(_SCALARS, max_size=2)), st.none() | st.text())


@given(st.lists(_ENTRIES, max_size=4))
def test_both_encodings_come_to_the_same(entries: list[Entry]) -> None:
    """Whatever the values are; every record is accepted or has a reason."""
    found = _both(entries)
    assert found.lines == len(entries) == found.accepted.height + found.rejects.height


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Never anything else than an answer of the contract."""
    for media in (PROTOBUF, JSON):
        try:
            found = _prepared(body, media)
        except BodyError:
            continue
        assert found.lines == found.accepted.height + found.rejects.height
