"""The contract with senders, over a real server on a real socket."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.ingest.receivers import http
from services.ingest.receivers.answers import ERRORS_SHOWN
from services.ingest.receivers.bodies import MEDIA_TYPES
from services.ingest.sources import Source
from tests.parts.edge import absorbed, combined, published, register, text_of
from tests.parts.ingest_site import Site, running

LINES = [combined(n) for n in range(5)]
SECRET = "bob@x.example"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running(tmp_path) as found:
        yield found


def _is_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"]
    assert problem["detail"]


def test_lines_are_durable_when_the_answer_is_200(site: Site) -> None:
    """Counts, a request id and no errors."""
    answer = site.send(text_of(LINES))
    assert answer.status_code == 200
    body = answer.json()
    assert body.pop("request_id")
    assert body == {"accepted": 5, "rejected": 0, "duplicates": 0, "errors": []}
    assert published(site.ingest.log)["path"].to_list() == [f"/pages/{n}" for n in range(5)]


def test_part_of_it_accepted_is_still_200(site: Site) -> None:
    """The first errors by index and code, never with a word of the line."""
    answer = site.send(text_of([LINES[0], *[SECRET] * 30, LINES[1]]))
    body = answer.json()
    assert (answer.status_code, body["accepted"], body["rejected"]) == (200, 2, 30)
    assert body["errors"] == [{"index": n + 1, "code": "unknown_shape"} for n in range(ERRORS_SHOWN)]
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    "value", [{"client_address": "192.0.2.1", "path": "/a"}, [{"client_address": "192.0.2.1", "path": "/a"}]]
)
def test_json_events(site: Site, value: object) -> None:
    """An object or an array."""
    assert site.send_json(value).json()["accepted"] == 1
    assert published(site.ingest.log)["path"].to_list() == ["/a"]


def test_ndjson_with_gzip(site: Site) -> None:
    """One bad line is an error of its own."""
    lines = ['{"client_address":"192.0.2.1","url":"https://h.example/a?b"}', '{"client_address":', '{"path":"/"}']
    body = gzip.compress("\n".join(lines).encode())
    answer = site.send(body, content_type="application/x-ndjson", content_encoding="gzip").json()
    assert [error["code"] for error in answer["errors"]] == ["bad_json", "missing_field"]
    assert published(site.ingest.log).select("host", "path").row(0) == ("h.example", "/a")


def test_an_empty_body_is_nothing(site: Site) -> None:
    """Not an error: a collector flushes an empty buffer."""
    assert site.send(b"").json()["accepted"] == 0


def test_the_same_body_after_a_lost_answer_is_a_duplicate(site: Site) -> None:
    """Its lines carry their own time, so it is known by its content."""
    site.send(text_of(LINES))
    answer = site.send(text_of(LINES)).json()
    assert (answer["accepted"], answer["duplicates"]) == (0, 5)
    assert published(site.ingest.log).height == 5


def test_an_idempotency_key_makes_any_repeat_a_duplicate(site: Site) -> None:
    """Also of events without a time; without a key these are always new."""
    event = json.dumps({"client_address": "192.0.2.1", "path": "/a"}).encode()
    keyed = {"content_type": "application/json", "idempotency_key": "k-1"}
    assert [site.send(event, **keyed).json()["accepted"] for _ in range(2)] == [1, 0]
    assert [site.send_json(json.loads(event)).json()["accepted"] for _ in range(2)] == [1, 1]


def test_a_key_with_another_body_is_refused(site: Site) -> None:
    """It could not be told which of the two was meant."""
    site.send(text_of(LINES[:1]), idempotency_key="k-1")
    _is_problem(site.send(text_of(LINES[1:]), idempotency_key="k-1"), 400, "idempotency_key_reused")
    _is_problem(site.send(text_of(LINES), idempotency_key="k" * 300), 400, "bad_idempotency_key")


def test_two_keys_for_one_body_are_refused(site: Site) -> None:
    """It could not be told which of them a repeat would have; the same twice is one."""
    body, media = text_of(LINES), ("content-type", "text/plain")

    def send(*keys: str) -> httpx.Response:
        headers = [media, *(("idempotency-key", key) for key in keys)]
        return site.client.post("/api/v1/ingest/web", content=body, headers=headers)

    _is_problem(send("k-1", "k-2"), 400, "bad_idempotency_key")
    assert [send("k-1", "k-1").status_code, send("k-1").json()["duplicates"]] == [200, 5]


def test_an_undecodable_body_is_400(site: Site) -> None:
    """No JSON, no gzip; and nothing of it comes back."""
    for answer in (site.send(f'["{SECRET}"'.encode(), content_type="application/json"), site.send_json(SECRET)):
        _is_problem(answer, 400, "bad_json")
        assert SECRET not in answer.text
    _is_problem(site.send(SECRET.encode(), content_encoding="gzip"), 400, "bad_encoding")


def test_half_a_character_in_one_event_does_not_cost_the_others(site: Site) -> None:
    """A program cut a visitor's text in the middle of an emoji; whole ones and escaped backslashes stay."""
    paths = [b"/a", b"/cut\\ud83d", b"/whole\\ud83d\\ude00", b"/back\\\\ud83d", b"/\\udc00\\ud83d"]
    body = b"[" + b",".join(b'{"client_address":"192.0.2.1","path":"%b"}' % path for path in paths) + b"]"
    answer = site.send(body, content_type="application/json").json()
    assert (answer["accepted"], answer["rejected"]) == (5, 0)
    assert published(site.ingest.log)["path"].to_list() == [
        "/a", "/cut\ufffd", "/whole\U0001f600", "/back\\ud83d", "/\ufffd\ufffd",
    ]  # fmt: skip


def test_many_escapes_in_what_is_no_json_cost_nothing(site: Site) -> None:
    """They are not looked at one by one."""
    body = b'["' + b"\\\\" * 4_000_000 + b'\\ud83d"]'
    before = time.process_time()
    _is_problem(site.send(body, content_type="application/json"), 400, "bad_json")
    assert time.process_time() - before < 1


@pytest.mark.parametrize("path", ["/api/v1/ingest/web/", "/api/v1/web", "/", "/v1/logs/", "/_bulk"])
def test_a_wrong_address_is_a_refusal_that_says_the_right_one(site: Site, path: str) -> None:
    """No redirect: `curl --fail` takes one for success, and the lines are gone."""
    answer = site.client.post(path, content=text_of(LINES), headers={"content-type": "text/plain"})
    _is_problem(answer, 404, "no_such_address")
    assert "/api/v1/ingest/SOURCE" in answer.json()["detail"]


def test_who_may_not_send(site: Site) -> None:
    """401 without a good key, with the way to send one; 403 for another source or a suspended tenant."""
    none = httpx.post(f"{site.client.base_url}/api/v1/ingest/web", content=b"")
    _is_problem(none, 401, "missing_key")
    assert none.headers["www-authenticate"].startswith("Bearer")
    _is_problem(site.send(text_of(LINES), authorization="Bearer vsk_wrong"), 401, "bad_key")
    site.ingest.add_source(Source("other", "acme", "combined"))
    _is_problem(site.client.post("/api/v1/ingest/other", content=b""), 403, "wrong_source")
    register(site.ingest.log, "acme", "suspended")
    site.ingest.clock.sleep(2)
    _is_problem(site.send(text_of(LINES)), 403, "tenant_inactive")
    assert published(site.ingest.log).height == 0


def test_a_key_can_be_tried(site: Site) -> None:
    """204 or 401, without sending anything."""
    assert site.client.get("/api/v1/ingest/check").status_code == 204
    answer = site.client.get("/api/v1/ingest/check", headers={"authorization": "Bearer vsk_no"})
    _is_problem(answer, 401, "bad_key")


def test_too_large_and_other_kinds(tmp_path: Path) -> None:
    """By what comes out of it, not by what was sent."""
    with running(tmp_path, body_bytes_max=10_000) as site:
        _is_problem(site.send(b"x" * 10_001), 413, "too_large")
        _is_problem(site.send(gzip.compress(b"x" * 10_001), content_encoding="gzip"), 413, "too_large")
        _is_problem(site.send(b"x", content_type="application/xml"), 415, "media_type")
        _is_problem(site.send(b"x", content_encoding="br"), 415, "content_encoding")
        assert site.send(text_of(LINES)).status_code == 200


def test_when_nothing_durable_is_writable_it_is_503_with_retry_after(site: Site) -> None:
    """Never a 4xx, which shippers take for the end; and the repeat is taken once."""
    site.log.away = True
    answer = site.send(text_of(LINES))
    _is_problem(answer, 503, "not_durable")
    assert answer.headers["retry-after"] == "7"
    site.log.away = False
    assert site.send(text_of(LINES)).json()["accepted"] == 5
    assert absorbed(site.ingest.log).height == 5


def test_too_much_at_once_is_503(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by how many bodies are under way."""
    monkeypatch.setattr(http, "UNDER_WAY_MAX", 0)
    answer = site.send(text_of(LINES))
    _is_problem(answer, 503, "busy")
    assert answer.headers["retry-after"] == "1"


def _connected(site: Site) -> socket.socket:
    return socket.create_connection((site.client.base_url.host, site.client.base_url.port or 0))


def test_a_slow_sender_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not come in time; others are served meanwhile."""
    monkeypatch.setattr(http, "BODY_S_MAX", 0.3)
    with running(tmp_path) as site, _connected(site) as slow:
        auth = site.client.headers["authorization"]
        head = f"POST /api/v1/ingest/web HTTP/1.1\r\nHost: x\r\nAuthorization: {auth}\r\nContent-Type: text/plain\r\n"
        slow.sendall(f"{head}Content-Length: 1000\r\n\r\n".encode())
        assert site.send(text_of(LINES)).json()["accepted"] == 5
        answer = slow.recv(1000)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in answer


def test_many_senders_at_once_count_exactly(site: Site) -> None:
    """Each line once, and fewer batches than bodies."""
    counts: list[int] = []

    def send(part: int) -> None:
        for n in range(10):
            counts.append(site.send(text_of([combined(1000 * part + n)])).json()["accepted"])

    threads = [threading.Thread(target=send, args=(part,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(counts), sum(counts)) == (80, 80)
    assert absorbed(site.ingest.log).height == 80
    assert site.log.sent < 80


def test_health_metrics_and_description(site: Site) -> None:
    """What an operator's tools ask; no line, address or key in any of it."""
    site.send(text_of([*LINES, SECRET]))
    assert site.client.get("/healthz").status_code == 200
    assert site.client.get("/readyz").json() == {"ready": True, "missing": []}
    metrics = site.client.get("/metrics").text
    assert 'voile_ingest_lines_total{outcome="accepted"} 5.0' in metrics
    assert 'voile_ingest_lines_total{outcome="unknown_shape"} 1.0' in metrics
    assert 'route="/api/v1/ingest/{source}",status="200"' in metrics
    assert SECRET not in metrics
    assert "192.0.2" not in metrics
    described = site.client.get("/openapi.json").json()["paths"]["/api/v1/ingest/{source}"]["post"]
    assert {"200", "400", "401", "403", "413", "415", "429", "503"} <= set(described["responses"])
    assert set(described["requestBody"]["content"]) == set(MEDIA_TYPES)
