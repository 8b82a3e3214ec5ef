"""OpenTelemetry's attributes as columns."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl
import pytest

from services.ingest.formats.otel import ATTRIBUTES, attribute_text, from_attributes

NOW = {
    "timeUnixNano": "1793521800250000000",
    "client.address": "192.0.2.7",
    "http.request.method": "GET",
    "url.path": "/a",
    "url.query": "b=1",
    "http.response.status_code": "200",
    "http.response.body.size": "512",
    "network.protocol.version": "2",
    "user_agent.original": "Mozilla/5.0",
    "server.address": "www.x.example",
    "http.route": "/{page}",
    "enduser.id": "m-1",
}
BEFORE = {
    "observedTimeUnixNano": "1793521800250000000",
    "http.client_ip": "192.0.2.7",
    "http.method": "GET",
    "http.target": "/a?b=1",
    "http.status_code": "200",
    "http.response_content_length": "512",
    "http.flavor": "2",
    "http.user_agent": "Mozilla/5.0",
    "http.host": "www.x.example",
    "http.route": "/{page}",
    "enduser.id": "m-1",
}


def _row(attributes: dict[str, str]) -> dict[str, Any]:
    return from_attributes(pl.DataFrame([attributes], schema=dict.fromkeys(ATTRIBUTES, pl.String))).to_dicts()[0]


def test_names_of_today_and_of_before_give_the_same_row() -> None:
    """Both are still sent."""
    row = _row(NOW)
    assert row["time"] == datetime(2026, 11, 1, 8, 30, 0, 250_000)
    assert (row["method"], row["target"], row["protocol"], row["status"]) == ("GET", "/a?b=1", "HTTP/2", "200")
    assert (row["address"], row["host"], row["user"]) == ("192.0.2.7", "www.x.example", "m-1")
    assert (row["response_bytes"], row["user_agent"], row["route"]) == (512, "Mozilla/5.0", "/{page}")
    assert _row(BEFORE) == row | {"time_text": BEFORE["observedTimeUnixNano"]}


def test_an_unknown_time_is_none() -> None:
    """Zero is how OTLP writes that it is unknown; then the time of receipt counts."""
    row = _row(NOW | {"timeUnixNano": "0", "observedTimeUnixNano": "0"})
    assert (row["time_text"], row["time"], row["shape"]) == (None, None, None)


def test_a_record_of_something_else_is_no_access() -> None:
    """An application's own log lines come over the same way."""
    assert _row({"timeUnixNano": "1"})["shape"] == "missing_field"


def test_a_whole_url_and_an_unknown_method() -> None:
    """The host comes from the URL; the method as it was sent."""
    row = _row(
        {"url.full": "https://u:p@h.example/a", "http.request.method": "_OTHER", "http.request.method_original": "brew"}
    )
    assert (row["host"], row["target"], row["method"]) == ("h.example", "https://u:p@h.example/a", "BREW")


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (True, "true"), (7, "7"), (0.5, "0.5"), (["a", "b"], "a, b"), (None, None), (b"x", None), ({}, None)],
)
def test_values_as_text(value: object, text: str | None) -> None:
    """Headers are lists."""
    assert attribute_text(value) == text


def test_privacy_signals_and_durations() -> None:
    """A header that was not captured says nothing."""
    row = _row(NOW | {"http.request.header.sec-gpc": "1", "http.server.request.duration": "0.0125"})
    assert (row["gpc"], row["dnt"], row["duration_ms"]) == (True, None, 12)
