"""Who may send."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from services.ingest.receivers.gate import Gate
from services.ingest.receivers.refusals import Refused
from services.ingest.service import Ingest
from services.ingest.sources import Source
from tests.parts.edge import NOW, opened, register


def _gate(ingest: Ingest) -> Gate:
    return Gate(ingest.sources, ingest.tenants, ingest.clock)


def _basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_three_ways_to_send_a_key(tmp_path: Path) -> None:
    """Bearer, Basic with the key as password, X-API-Key."""
    with opened(tmp_path) as ingest:
        key = ingest.add_source(Source("api", "acme", "json")).key
        gate = _gate(ingest)
        for headers in ({"authorization": f"Bearer {key}"}, _basic("api", key), {"x-api-key": key}):
            assert gate.admit(headers, "api").name == "api"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer "},
        {"authorization": "Basic !!"},
        {"authorization": "Digest x"},
        {"x-api-key": "vsk_x"},
    ],
)
def test_no_good_key_is_401(tmp_path: Path, headers: dict[str, str]) -> None:
    """Missing, malformed, unknown."""
    with opened(tmp_path) as ingest, pytest.raises(Refused) as caught:
        _gate(ingest).admit(headers, "web")
    assert caught.value.status == 401


def test_a_key_opens_its_own_source_only(tmp_path: Path) -> None:
    """403 for every other one, also one that does not exist."""
    with opened(tmp_path) as ingest:
        headers = {"x-api-key": ingest.add_source(Source("api", "acme", "json")).key}
        for name in ("web", "nobody"):
            with pytest.raises(Refused) as caught:
                _gate(ingest).admit(headers, name)
            assert caught.value.status == 403


def test_revoking_and_suspending_work_within_a_second(tmp_path: Path) -> None:
    """Without a restart."""
    with opened(tmp_path) as ingest:
        fresh = ingest.add_source(Source("api", "acme", "json"))
        gate, headers = _gate(ingest), {"x-api-key": fresh.key}
        gate.admit(headers, "api")
        register(ingest.log, "acme", "suspended")
        ingest.clock.sleep(1)
        with pytest.raises(Refused, match="tenant_inactive"):
            gate.admit(headers, "api")
        ingest.sources.revoke("api", None, NOW)
        ingest.clock.sleep(1)
        with pytest.raises(Refused, match="revoked_key"):
            gate.admit(headers, "api")


def test_use_is_written_down_once_a_minute(tmp_path: Path) -> None:
    """So that a key nobody uses can be told and revoked."""
    with opened(tmp_path) as ingest:
        key = ingest.add_source(Source("api", "acme", "json")).key
        gate = _gate(ingest)
        gate.check({"x-api-key": key})
        gate.note_use()
        assert [k.last_used_at for k in ingest.sources.all_keys() if k.source == "api"] == [None]
        ingest.clock.sleep(60)
        gate.note_use()
        assert [k.last_used_at for k in ingest.sources.all_keys() if k.source == "api"] == [
            ingest.clock.now().isoformat()
        ]


def test_basics_user_is_the_source(tmp_path: Path) -> None:
    """Or empty: the key alone says which it is, as it does where nothing else names one (OTLP)."""
    with opened(tmp_path) as ingest:
        key = ingest.add_source(Source("api", "acme", "json")).key
        gate = _gate(ingest)
        assert gate.admit(_basic("", key)).name == gate.admit(_basic("api", key)).name == "api"
        with pytest.raises(Refused, match="wrong_source") as caught:
            gate.admit(_basic("web", key))
        assert caught.value.status == 403


def test_who_is_turned_away_is_counted_by_source_where_it_is_known(tmp_path: Path) -> None:
    """By a declared name in the request, or by the key that was once the source's; never by a name made up."""
    with opened(tmp_path) as ingest:
        fresh = ingest.add_source(Source("api", "acme", "json"))
        ingest.sources.revoke("api", fresh.id, NOW)
        gate = _gate(ingest)
        wrong = {"x-api-key": "vsk_wrong"}
        for headers, source in (({}, "web"), (wrong, "web"), (wrong, "bob@x.example"), ({"x-api-key": fresh.key}, "")):
            with pytest.raises(Refused):
                gate.admit(headers, source)
        assert gate.note_use() == {}
        ingest.clock.sleep(60)
        assert gate.note_use() == {
            ("web", "missing_key"): 1,
            ("web", "bad_key"): 1,
            ("", "bad_key"): 1,
            ("api", "revoked_key"): 1,
        }
