"""Lines -> accepted rows and rejects."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from services.ingest.accounting import NOTHING, Outcome
from services.ingest.formats import FORMATS
from services.ingest.formats.columns import LINE_BYTES_MAX
from services.ingest.lines import Lines
from services.ingest.preparing import LETTERS_MAX, Prepared, prepare
from services.ingest.sources import Source
from services.runtime import avro
from tests.parts.edge import NOW, POLICY, SOURCE, combined, lines_of


def _prepare(lines: Lines, source: Source = SOURCE) -> Prepared:
    return prepare(lines, FORMATS[source.format], source, POLICY, NOW)


def test_an_accepted_line_is_a_row_of_access_log() -> None:
    """Exactly the schema's columns and types."""
    prepared = _prepare(lines_of(combined(1), combined(2)))
    assert dict(prepared.accepted.schema) == dict(avro.columns("access_log"))
    row = prepared.accepted.row(1, named=True)
    assert (row["tenant"], row["source"], row["site"]) == ("acme", "web", "web")
    assert (row["client_address"], row["path"], row["status"]) == ("192.0.2.2", "/pages/2", 200)
    assert row["position"] == len(combined(1)) + 1
    assert row["received_at"] == NOW.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("22/Nov/2026", "22/Nuv/2026", "bad_timestamp"),
        ("22/Nov/2026", "22/Nov/1970", "bad_timestamp"),
        ("22/Nov/2026", "25/Nov/2026", "future_timestamp"),
        ("192.0.2.1", "host.example", "bad_address"),
        ("200 512", "999 512", "bad_status"),
        ("200 512", "abc 512", "bad_status"),
        ("GET /pages/1 HTTP/1.1", "", "bad_request"),
        ("GET /pages/1 HTTP/1.1", r"\x16\x03", "bad_request"),
        ('"Mozilla', "Mozilla", "unknown_shape"),
        ("Mozilla", "M" * LINE_BYTES_MAX, "too_long"),
    ],
)
def test_a_reject_has_its_reason(old: str, new: str, reason: str) -> None:
    """One a line, and its neighbours are accepted."""
    prepared = _prepare(lines_of(combined(0), combined(1).replace(old, new), combined(2)))
    assert prepared.rejected == {reason: 1}
    assert prepared.accepted["path"].to_list() == ["/pages/0", "/pages/2"]
    assert prepared.lines == 3


def test_a_refused_request_without_a_path_is_an_access() -> None:
    """A server's 400 for a TLS greeting is counted; it asked for nothing."""
    prepared = _prepare(lines_of(combined(1, status=400).replace("GET /pages/1 HTTP/1.1", "")))
    assert prepared.accepted["path"].to_list() == [""]
    assert prepared.accepted["method"].to_list() == [None]


def test_a_status_may_be_missing() -> None:
    """A dash is no error."""
    prepared = _prepare(lines_of(combined(1).replace('" 200 ', '" - ')))
    assert prepared.accepted["status"].to_list() == [None]


def test_a_user_is_only_kept_from_a_source_that_checks_logins() -> None:
    """nginx logs whatever name a client sends."""
    line = combined(1).replace(" - - [", " - bob [")
    assert _prepare(lines_of(line)).accepted["account"].to_list() == [None]
    authenticated = replace(SOURCE, authenticated=True)
    assert _prepare(lines_of(line), authenticated).accepted["account"].to_list() == ["bob"]


def test_the_site_is_the_declared_one_else_the_host_else_the_source() -> None:
    """Statistics are by site."""
    vhost = replace(SOURCE, format="vhost_combined")
    line = "WWW.X.example:443 " + combined(1)
    assert _prepare(lines_of(line), vhost).accepted["site"].to_list() == ["www.x.example"]
    assert _prepare(lines_of(line), replace(vhost, site="main.example")).accepted["site"].to_list() == ["main.example"]
    assert _prepare(lines_of(combined(1))).accepted["site"].to_list() == ["web"]


def test_runs_end_at_each_reject() -> None:
    """A span must not cover a position that a corrected format may fill later."""
    prepared = _prepare(lines_of(combined(0), combined(1), "x", combined(2), "y", "z", combined(3)))
    assert prepared.runs.to_list() == [0, 0, 1, 3]


def test_dead_letters_carry_no_text() -> None:
    """Where, how long, why, and a keyed digest; a bounded number of them."""
    prepared = _prepare(lines_of(combined(0), "bob@x.example", *["bad"] * (2 * LETTERS_MAX)))
    letter = prepared.letters[0]
    assert (letter.position, letter.length, letter.reason) == (len(combined(0)) + 1, 13, "unknown_shape")
    assert "bob" not in repr(letter)
    assert len(prepared.letters) == LETTERS_MAX
    assert prepared.rejects.height == 2 * LETTERS_MAX + 1


def test_bank_data_is_cut_and_counted() -> None:
    """In path, referrer and user agent."""
    line = combined(1, target="/pay/4111111111111111").replace('"-"', '"https://x.example/FR1420041010050500013M02606"')
    prepared = _prepare(lines_of(line.replace("X11", "4111 1111 1111 1111")))
    assert (prepared.cards, prepared.ibans) == (2, 1)
    assert "4111" not in str(prepared.accepted.to_dicts())
    assert "FR14" not in str(prepared.accepted.to_dicts())


def test_events_without_a_time_get_that_of_receipt() -> None:
    """And are marked as such: an equal body may be a new one."""
    native = replace(SOURCE, format="json")
    prepared = _prepare(lines_of('{"client_address":"192.0.2.1","path":"/a"}'), native)
    assert prepared.accepted["timestamp"].to_list() == [NOW.replace(tzinfo=None)]
    assert not prepared.timed
    assert _prepare(lines_of(combined(1))).timed


def test_an_event_needs_address_and_path() -> None:
    """A 200 without a path is no access anybody can count."""
    native = replace(SOURCE, format="json")
    prepared = _prepare(lines_of('{"path":"/a"}', '{"client_address":"192.0.2.1"}'), native)
    assert prepared.rejected == {"missing_field": 1, "bad_request": 1}


def test_up_to_a_day_ahead_is_accepted() -> None:
    """Clocks and zones go wrong by hours."""
    near = f"{NOW + timedelta(hours=23):%d/%b/%Y:%H:%M:%S +0000}"
    line = combined(1).replace(f"{datetime(2026, 11, 22, 8, 0, 1):%d/%b/%Y:%H:%M:%S} +0000", near)
    assert _prepare(lines_of(line)).rejected == {}


def test_no_lines_are_no_rows() -> None:
    """An empty body is not an error."""
    prepared = _prepare(lines_of())
    assert (prepared.lines, prepared.accepted.height) == (0, 0)


def test_an_outcome_that_does_not_add_up_is_refused() -> None:
    """The identity is checked wherever a count is made."""
    assert (NOTHING + Outcome(3, 1, 1, {"bad_json": 1})).as_dict()["rejected"] == {"bad_json": 1}
    with pytest.raises(ValueError, match="add up"):
        Outcome(3, 1, 1, {})
