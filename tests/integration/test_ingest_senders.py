"""What senders do with the answers: no line is lost and none counted twice, whatever fails in between."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import msgpack
import pytest
import zstandard

from tests.parts.edge import absorbed, combined, published, text_of
from tests.parts.ingest_site import Site, running
from tests.parts.otel import access, packed
from tests.parts.shippers import COLLECTORS, FLUENT_BIT_RETRIES, Collector, Fate, fluent_bit

BATCHES, LINES = 6, 5


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running(tmp_path) as found:
        yield found


def _fluent_bit(batch: int) -> bytes:
    """Its default: MessagePack, a pair of time and map a record; `log` is a line it did not parse."""
    lines = [combined(batch * LINES + n) for n in range(LINES)]
    return b"".join(msgpack.packb([msgpack.ExtType(0, bytes(8)), {"log": line}]) for line in lines)


def _vector(batch: int) -> bytes:
    lines = [{"message": combined(batch * LINES + n), "host": "web-1", "source_type": "file"} for n in range(LINES)]
    return "\n".join(map(json.dumps, lines)).encode()


def _otlp(batch: int) -> bytes:
    return packed([access(batch * LINES + n) for n in range(LINES)])


SHAPES: dict[str, tuple[str, str, Callable[[int], bytes]]] = {
    "Fluent Bit": ("/api/v1/ingest/web", "application/msgpack", _fluent_bit),
    "Vector": ("/api/v1/ingest/web", "application/x-ndjson", _vector),
    "OTLP": ("/v1/logs", "application/x-protobuf", _otlp),
}


class _Faults:
    """Sends, and lets something fail with each batch: its answer is lost, the log is away, the answer is another
    status than ours (`instead`, the test's switch)."""

    def __init__(self, site: Site, path: str, media: str, instead: int | None = None) -> None:
        self._site, self._path, self._media, self._instead = site, path, media, instead
        self._tried: dict[bytes, int] = {}

    def send(self, body: bytes) -> int | None:
        tries = self._tried[body] = self._tried.get(body, 0) + 1
        self._site.log.away = tries == 1 and len(self._tried) % 2 == 0
        answer = self._site.client.post(self._path, content=body, headers={"content-type": self._media})
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) > 0
            return self._instead or 503
        return None if tries == 1 and len(self._tried) % 3 == 0 else answer.status_code


def _ship(site: Site, name: str, instead: int | None = None) -> Collector:
    path, media, batch = SHAPES[name]
    faults = _Faults(site, path, media, instead)
    collector = Collector(COLLECTORS[name], faults.send, lambda: site.ingest.clock.sleep(7))
    collector.ship(batch(n) for n in range(BATCHES))
    return collector


@pytest.mark.parametrize("name", list(COLLECTORS))
def test_nothing_is_lost_or_doubled_through_faults(site: Site, name: str) -> None:
    """The log goes away, answers are lost; each collector repeats as it does, and each line is there once."""
    collector = _ship(site, name)
    assert collector.dropped == 0
    assert {503, None, 200} <= set(collector.statuses)
    rows = absorbed(site.ingest.log)
    assert sorted(rows["path"].to_list()) == sorted(f"/pages/{n}" for n in range(BATCHES * LINES))


@pytest.mark.parametrize(("name", "instead"), [("Fluent Bit", 400), ("Vector", 501), ("OTLP", 500)])
def test_any_other_status_would_lose_lines(site: Site, name: str, instead: int) -> None:
    """The switch: with a 4xx, 501 or 500 for a passing fault the same run loses batches."""
    collector = _ship(site, name, instead)
    assert collector.dropped > 0
    assert absorbed(site.ingest.log).height < BATCHES * LINES


@pytest.mark.parametrize(("retries_max", "dropped"), [(None, 0), (FLUENT_BIT_RETRIES, 1)])
def test_fluent_bits_own_limit_loses_what_its_page_keeps(site: Site, retries_max: int | None, dropped: int) -> None:
    """The log is away for three tries: `no_limits`, as on the page, goes on; left alone it drops the chunk."""
    answers: list[int] = []

    def send(body: bytes) -> int:
        site.log.away = len(answers) < 3
        answers.append(site.send(body, content_type="application/msgpack").status_code)
        return answers[-1]

    collector = Collector(fluent_bit, send, lambda: site.ingest.clock.sleep(7), retries_max=retries_max)
    collector.ship(iter([_fluent_bit(0)]))
    assert (collector.dropped, absorbed(site.ingest.log).height) == (dropped, LINES * (1 - dropped))


def test_partial_success_is_not_repeated(site: Site) -> None:
    """200 is done for all of them; the 207 that other products answer is sent again for ever by one."""
    body = text_of([combined(1), "rubbish", combined(2)])
    answer = site.send(body)
    assert (answer.status_code, answer.json()["rejected"]) == (200, 1)
    assert {rule(answer.status_code) for rule in COLLECTORS.values()} == {Fate.DONE}
    assert COLLECTORS["Fluent Bit"](207) is Fate.AGAIN


def test_a_quota_is_429_and_loses_nothing(site: Site) -> None:
    """The sender waits as long as it is told, and goes on; who has no quota is not held up."""
    site.ingest.sources.set_quota("web", 60)
    site.ingest.clock.sleep(1)
    waits: list[int] = []

    def send(body: bytes) -> int:
        answer = site.send(body)
        waits.append(int(answer.headers.get("retry-after", 0)))
        return answer.status_code

    collector = Collector(COLLECTORS["Vector"], send, lambda: site.ingest.clock.sleep(waits[-1]))
    collector.ship(text_of([combined(50 * batch + n) for n in range(50)]) for batch in range(4))
    assert (collector.dropped, collector.statuses.count(200)) == (0, 4)
    assert 429 in collector.statuses
    assert published(site.ingest.log).height == 200
    assert 'voile_ingest_refused_total{code="quota",source="web"}' in site.client.get("/metrics").text


def test_refused_senders_are_counted_by_source(site: Site) -> None:
    """Never by a name that came with a request."""
    for path, key in (("/api/v1/ingest/web", "no"), ("/api/v1/ingest/bob@x.example", "no"), ("/v1/logs", "no")):
        answer = httpx.post(f"{site.client.base_url}{path}", headers={"x-api-key": key})
        assert answer.status_code == 401
    metrics = site.client.get("/metrics").text
    assert 'voile_ingest_refused_total{code="bad_key",source="web"} 1.0' in metrics
    assert 'voile_ingest_refused_total{code="bad_key",source=""} 2.0' in metrics
    assert "bob@" not in metrics


@pytest.mark.parametrize("encoding", ["", "gzip", "zstd"])
def test_curl(site: Site, encoding: str) -> None:
    """As the documentation says it."""
    body = text_of([combined(n) for n in range(LINES)])
    body = {"": body, "gzip": gzip.compress(body), "zstd": zstandard.compress(body)}[encoding]
    command = [
        *("curl", "-sS", "--fail-with-body", "-X", "POST", f"{site.client.base_url}/api/v1/ingest/web"),
        *("-H", f"Authorization: {site.client.headers['authorization']}", "-H", "Content-Type: text/plain"),
        *(("-H", f"Content-Encoding: {encoding}") if encoding else ()),
        *("--data-binary", "@-"),
    ]
    done = subprocess.run(command, input=body, capture_output=True, check=True)
    assert json.loads(done.stdout)["accepted"] == LINES


def test_curl_with_a_large_body_and_a_bad_key(site: Site, tmp_path: Path) -> None:
    """The refusal comes through although nobody reads the body."""
    log = tmp_path / "access.log"
    log.write_bytes(b"x" * 5_000_000)
    command = [
        *(
            "curl",
            "-sS",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-u",
            "web:vsk_wrong",
            "-H",
            "Content-Type: text/plain",
        ),
        *("--data-binary", f"@{log}", f"{site.client.base_url}/api/v1/ingest/web"),
    ]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout == b"401"
