"""What is not needed does not get past the edge, wherever it stands and however it is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import quote

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest import canonical, preparing
from services.ingest.formats import FORMATS
from services.ingest.preparing import prepare
from tests.parts.edge import NOW, POLICY, SOURCE, combined, lines_of

CARDS = ("4111111111111111", "5500005555555559", "378282246310005", "6011000990139424")
IBANS = ("FR1420041010050500013M02606", "DE89370400440532013000", "GB29NWBK60161331926819")
SECRET = "s3cr3tOfAda"
_AROUND = st.text(st.sampled_from("abc/.-_ xy:+"), max_size=6)

# Where each kind of secret may stand in a line's target or referrer. The query is kept for the parameter `q` alone.
SECRETS = {
    "userinfo": "http://ada:{}@x.example/a",
    "userinfo in a path": "/go/https://{}@x.example/",
    "userinfo in a path with one slash": "/go/https:/ada:{}@x.example/",
    "userinfo in a path with three": "/go/https:///{}@x.example/",
    "two userinfos": "/go/https://{}@ada@x.example/",
    "fragment": "/a#{}",
    "encoded fragment": "/a%23{}",
    "matrix parameter": "/a;jsessionid={}/b",
    "encoded matrix parameter": "/a%3Bv={}",
    "query parameter": "/a?token={}&q=1",
    "query parameter after a fragment": "/a#x?token={}",
    "encoded query parameter": "/a%3Ftoken={}",
    "encoded twice": "/a%253Ftoken={}",
    "encoded three times": "/a%25253Ftoken={}",
}


def _texts(event: Mapping[str, object], format_: str = "json") -> str:
    """Every text that one accepted event would carry on."""
    policy = replace(POLICY, query_parameters=("q",))
    prepared = prepare(lines_of(json.dumps(event)), FORMATS[format_], replace(SOURCE, authenticated=True), policy, NOW)
    assert prepared.lines == prepared.accepted.height == 1
    return "\n".join(map(str, prepared.accepted.select(pl.col(pl.String)).row(0)))


def _event(**fields: object) -> dict[str, object]:
    return {"timestamp": "2026-11-22T08:00:00Z", "client_address": "192.0.2.7", "path": "/a", "status": 200} | fields


@pytest.mark.parametrize("where", SECRETS)
@pytest.mark.parametrize("field", ["path", "url", "referrer"])
def test_what_may_not_pass_is_cut(where: str, field: str) -> None:
    """In the path, in a whole URL and in a referrer."""
    target = SECRETS[where].format(SECRET)
    if field != "path" and target.startswith("/"):
        target = "https://x.example" + target
    event = _event(**{field: target})
    if field == "url":
        del event["path"]
    assert SECRET not in _texts(event)


@pytest.mark.parametrize("name", ["cookie", "http_cookie", "set_cookie", "authorization", "http_authorization", "body"])
@pytest.mark.parametrize("format_", ["json", "nginx_json"])
def test_cookies_and_authorization_are_not_read(name: str, format_: str) -> None:
    """Whatever a log format adds: only the columns of `AccessLog` are read."""
    event = _event(**{name: f"session={SECRET}", "remote_addr": "192.0.2.7", "request": "GET /a HTTP/1.1"})
    assert SECRET not in _texts(event, format_)


@given(
    st.sampled_from([*CARDS, *IBANS]),
    st.sampled_from(["path", "referrer", "user_agent", "host", "route", "event", "account", "query"]),
    st.sampled_from(["", " ", "-", ".", "+", "_"]),
    _AROUND,
    _AROUND,
    st.integers(0, 3),
)
@settings(max_examples=300)
def test_bank_data_passes_nowhere(secret: str, field: str, between: str, before: str, after: str, encoded: int) -> None:
    """In every text column, in groups or not, with anything around it, percent-encoded up to three times."""
    groups = between.join(secret[at : at + 4] for at in range(0, len(secret), 4))
    text = f"{before}{groups}{after}"
    if field in {"path", "referrer", "query"}:
        for _ in range(encoded):
            text = quote(text, safe="")
    prefix = {"path": "/", "referrer": "https://x.example/", "query": "q="}.get(field, "")
    kept = _texts(_event(**{field: f"{prefix}{text}"}))
    assert _plain(secret) not in _plain(kept)


def _plain(text: str) -> str:
    """Without what people and forms put between groups, which is no disguise."""
    return "".join(ch for ch in text if ch.isalnum()).lower()


@pytest.mark.parametrize("card", CARDS)
def test_a_card_number_in_a_host_name_is_cut(card: str) -> None:
    """As a label, also in the authority of a referrer; and it is counted."""
    event = _event(host=f"{card}.x.example:443", referrer=f"https://{card}.y.example/")
    prepared = prepare(lines_of(json.dumps(event)), FORMATS["json"], SOURCE, POLICY, NOW)
    assert prepared.accepted["host"].to_list() == ["[card].x.example"]
    assert prepared.accepted["site"].to_list() == ["[card].x.example"]
    assert prepared.accepted["referrer"].to_list() == ["https://[card].y.example/"]
    assert prepared.cards == 2


def test_ordinary_logs_are_left_as_they_are() -> None:
    """Times, versions, addresses, hashed file names and order numbers of fewer digits."""
    agent = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Chrome/142.0.0.0"
    for path in ("/2026/11/01/agenda", "/main-9f86d081884c7d65.js", "/orders/123456789012", "/v1.2.3/10.0.0.1"):
        row = prepare(lines_of(combined(1, target=path)), FORMATS["combined"], SOURCE, POLICY, NOW).accepted
        assert row["path"].to_list() == [path]
    assert canonical.user_agents(pl.Series([agent])).to_list() == [agent]


def _leaves_all(*_: object) -> Callable[[object], object]:
    return lambda text: text


@pytest.mark.parametrize(
    ("step", "instead", "event", "secret"),
    [
        ("cut_bank_data", lambda text: text, _event(path=f"/{CARDS[0]}"), CARDS[0]),
        ("cut_bank_data", lambda text: text, _event(host=f"{CARDS[0]}.example"), CARDS[0]),
        ("canonical_path", lambda text: text, _event(path=f"/a;v={SECRET}"), SECRET),
        ("canonical_referrer", lambda text: text, _event(referrer=f"https://{SECRET}@x.example/"), SECRET),
        ("_before", lambda values, _: values, _event(referrer=f"https://x.example/?t={SECRET}"), SECRET),
        ("_query", _leaves_all, _event(path=f"/a?token={SECRET}"), SECRET),
    ],
)
def test_each_step_is_needed(
    monkeypatch: pytest.MonkeyPatch, step: str, instead: object, event: dict[str, object], secret: str
) -> None:
    """The switch: with the step taken out, what it cuts comes through; with it, it does not."""
    assert secret not in _texts(event)
    monkeypatch.setattr(canonical, step, instead)
    if step == "_before":
        monkeypatch.setattr(canonical, "canonical_path", lambda text: text)
    assert secret in _texts(event)


def test_a_name_of_a_source_that_does_not_check_logins_is_dropped() -> None:
    """The switch of the step that drops it: a source that is declared authenticated keeps it."""
    event = _event(account=SECRET)
    assert SECRET in _texts(event)
    prepared = preparing.prepare(lines_of(json.dumps(event)), FORMATS["json"], SOURCE, POLICY, NOW)
    assert SECRET not in str(prepared.accepted.to_dicts())


@pytest.mark.parametrize(("sent", "kept"), [("1", True), ("0", False), ("", False), (None, None)])
def test_privacy_signals_are_carried(sent: str | None, kept: bool | None) -> None:
    """Sec-GPC and DNT, of both JSON formats; null when the server does not log the header."""
    names = {"json": ("gpc", "dnt"), "nginx_json": ("http_sec_gpc", "http_dnt")}
    for format_, (gpc, dnt) in names.items():
        event = _event(remote_addr="192.0.2.7", request="GET /a HTTP/1.1")
        event |= {} if sent is None else {gpc: sent, dnt: sent}
        row = prepare(lines_of(json.dumps(event)), FORMATS[format_], SOURCE, POLICY, NOW).accepted
        assert (row["gpc"].item(), row["dnt"].item()) == (kept, kept)
