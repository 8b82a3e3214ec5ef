"""The collection page from end to end: real imports and requests, the real log, the real worker's part, the real page."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from services.ingest.accounting import Outcome
from services.ingest.committer import Committer
from services.ingest.plane import missing, open_receiver, open_reporter
from services.ingest.receivers.http import ingest_app
from services.ingest.service import Ingest
from services.ingest.sources import Source
from services.runtime.database import open_plane_records
from services.runtime.log.interface import Message
from services.runtime.topics import TOPICS
from services.runtime.web.server import serving
from services.runtime.web.sessions import EVERY_TENANT
from services.stats.collection.collecting import Collector
from services.stats.collection.reports import LAG, Collection
from services.stats.collection.senders import Sender, senders
from services.stats.records import MIGRATIONS
from services.stats.service import GROUP
from tests.parts.dashboard import Pages, a_dashboard
from tests.parts.edge import combined, opened, register, text_of

BAD = "no line of a log"


@contextmanager
def _client(ingest: Ingest, key: str) -> Iterator[httpx.Client]:
    committer = Committer(ingest.request_claims, ingest.publisher, ingest.clock)
    app = ingest_app(open_receiver(ingest, committer), lambda: missing(ingest))
    with serving(app, "127.0.0.1:0") as (host, port), httpx.Client(base_url=f"http://{host}:{port}") as client:
        client.headers = httpx.Headers({"authorization": f"Bearer {key}", "content-type": "text/plain"})
        yield client
    committer.close()


@contextmanager
def _collector(ingest: Ingest, folder: Path) -> Iterator[tuple[Collector, Collection]]:
    engine = open_plane_records(f"sqlite:///{folder}/statistics.db", MIGRATIONS)
    collection = Collection(engine)
    yield Collector(ingest.log, collection, GROUP, ingest.clock), collection
    engine.dispose()


def _send(client: httpx.Client, *lines: str, source: str = "web", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(f"/api/v1/ingest/{source}", content=text_of(lines), headers=named)


def _summed(told: list[Outcome]) -> tuple[int, int, Mapping[str, int]]:
    rejected: Counter[str] = Counter()
    for outcome in told:
        rejected.update(outcome.rejected)
    return sum(o.accepted for o in told), sum(o.duplicates for o in told), dict(rejected)


def _of(answer: httpx.Response) -> Outcome:
    """What the sender was told."""
    body = answer.json()
    rejected = Counter(error["code"] for error in body["errors"])
    lines = body["accepted"] + body["duplicates"] + body["rejected"]
    return Outcome(lines, body["accepted"], body["duplicates"], dict(rejected))


def _only(collection: Collection, ingest: Ingest, name: str) -> Sender:
    return next(s for s in senders(collection, None, ingest.clock.now()) if s.name == name)


def test_figures_are_what_senders_and_imports_were_told(tmp_path: Path) -> None:
    """Files and requests, new, again and bad, in two blocks and reported in several goes: exactly their sum."""
    lines = [*[combined(n) for n in range(200)], BAD, BAD]
    with opened(tmp_path) as ingest, _collector(ingest, tmp_path) as (collector, collection):
        reporter, key = open_reporter(ingest, lambda: 0), ingest.sources.add_key("web", ingest.clock.now()).key
        told = [ingest.import_stream(io.BytesIO(text_of(lines)), "web")]
        reporter.report()
        collector.step()
        with _client(ingest, key) as client:
            told += [_of(_send(client, combined(300), BAD)) for _ in range(2)]
            ingest.clock.sleep(300)
            told.append(_of(_send(client, combined(301), combined(302))))
        told.append(ingest.import_stream(io.BytesIO(text_of([*lines, combined(303)])), "web"))
        for _ in range(2):
            reporter.report()
            collector.step()
        found = _only(collection, ingest, "web")
        assert (found.accepted, found.duplicates, found.rejected) == _summed(told)
        assert sum(1 for _ in collection.counts(None, ingest.clock.now() - timedelta(hours=1))) == 6
        assert found.alerts == []


def test_each_refusal_is_counted_for_whom_it_concerns(tmp_path: Path) -> None:
    """By path, or by the key; a source that nobody declared gets no row, however often it is asked for."""
    with opened(tmp_path) as ingest, _collector(ingest, tmp_path) as (collector, collection):
        ingest.add_source(Source("other", "acme", "combined"))
        key = ingest.sources.add_key("web", ingest.clock.now()).key
        ingest.clock.sleep(2)
        with _client(ingest, key) as client:
            statuses = [_send(client, combined(1), authorization="Bearer wrong").status_code for _ in range(3)]
            statuses.append(_send(client, combined(1), source="other").status_code)
            statuses.append(_send(client, combined(1), source="made-up", authorization="Bearer wrong").status_code)
            statuses.append(_send(client, combined(1), content_type="text/html").status_code)
            register(ingest.log, "acme", "suspended")
            ingest.clock.sleep(2)
            statuses.append(_send(client, combined(1)).status_code)
        assert statuses == [401, 401, 401, 403, 401, 415, 403]
        reporter = open_reporter(ingest, lambda: 0)
        reporter.step()
        collector.step()
        expected = {"bad_key": 3, "media_type": 1, "tenant_inactive": 1, "wrong_source": 1}
        assert _only(collection, ingest, "web").refused == expected
        assert [alert.code for alert in _only(collection, ingest, "web").alerts] == sorted(expected)
        assert {s.name: dict(s.refused) for s in senders(collection, None, ingest.clock.now()) if s.name != "web"} == {
            "other": {}
        }


def test_a_worker_that_starts_again_comes_to_the_same(tmp_path: Path) -> None:
    """It reads the topic from its beginning; a record that cannot be read is passed over."""
    with opened(tmp_path) as ingest, _collector(ingest, tmp_path) as (collector, collection):
        ingest.import_stream(io.BytesIO(text_of([combined(n) for n in range(9)])), "web")
        reporter = open_reporter(ingest, lambda: 4096)
        reporter.report()
        ingest.log.send([Message(TOPICS["source-report"].name, b"edge", b"no report")])
        collector.step()
        collector.step()
        with _collector(ingest, tmp_path) as (again, _):
            again.step()
        assert _only(collection, ingest, "web").accepted == 9
        assert {name: gauge.value for name, gauge in collection.gauges().items() if name != LAG}.popitem()[1] == 4096
        assert collection.gauges()[LAG].value == 1, "the import's batch is not counted yet"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    with a_dashboard(tmp_path_factory.mktemp("sources")) as running:
        yield running


@contextmanager
def _signed_in(pages: Pages, user: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=pages.url, headers={"accept": "text/html"}, follow_redirects=True) as client:
        assert client.post(pages.login(user)).status_code == 200
        yield client


@pytest.mark.parametrize("path", ["/sources", "/sources/csv", "/api/v1/sources"])
def test_the_sources_of_others_are_not_to_be_had(pages: Pages, path: str) -> None:
    """Nobody signed in: nothing. A viewer: their tenant's alone, and nothing of how the installation fares."""
    assert httpx.get(pages.url + path, headers={"accept": "text/html"}).status_code == 401
    with _signed_in(pages, "ben") as client:
        mine = client.get(path)
        assert mine.status_code == 200
        assert "chess-web" in mine.text
        assert "riverside" not in mine.text
        assert "Spool" not in mine.text
    with _signed_in(pages, "ada") as client:
        found = set(re.findall(r"[a-z]+-[a-z]+", client.get(path).text))
        assert {"chess-web", "riverside-web", "riverside-api", "riverside-old"} <= found


def test_programs_get_the_same(pages: Pages) -> None:
    """With a key: its tenants' sources, rounded; every tenant's, exact; without one: 401."""
    ask = f"{pages.url}/api/v1/sources"
    assert httpx.get(ask).status_code == 401
    of_one, of_all = pages.keys.add("one", ["chess-club"]), pages.keys.add("all", [EVERY_TENANT])
    mine = httpx.get(ask, headers={"authorization": f"Bearer {of_one}"}).json()
    assert [(entry["source"], entry["accepted"]) for entry in mine["results"]] == [("chess-web", 40)]
    assert (mine["meta"]["rounding"], mine["meta"]["spool_bytes"], mine["meta"]["lag_records"]) == (5, None, None)
    everything = httpx.get(ask, headers={"authorization": f"Bearer {of_all}"}).json()
    entries = {entry["source"]: entry for entry in everything["results"]}
    assert entries["chess-web"]["accepted"] == 38
    assert len(entries["riverside-web"]["lines"]) == 288
    assert {alert["code"] for alert in entries["riverside-api"]["alerts"]} == {"revoked_key", "unknown_shape"}
    assert (everything["meta"]["rounding"], everything["meta"]["spool_bytes"]) == (1, 0)
    assert "/api/v1/sources" in httpx.get(f"{pages.url}/openapi.json").json()["paths"]


def test_the_file_has_a_line_for_each_outcome(pages: Pages) -> None:
    """Of the person's tenants."""
    with _signed_in(pages, "ben") as client:
        file = client.get("/sources/csv")
    assert file.headers["content-type"] == "text/csv; charset=utf-8"
    rows = ["source,tenant,outcome,count", "chess-web,chess-club,accepted,40", "chess-web,chess-club,duplicates,0"]
    assert file.text.split("\r\n") == [*rows, "chess-web,chess-club,rejected:bad_status,5", ""]
