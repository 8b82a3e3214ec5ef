"""OTLP/HTTP over a real server: the OpenTelemetry SDK's own exporter, and the answers in both encodings."""

from __future__ import annotations

import gzip
import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

from services.ingest.receivers.otlp import JSON, PROTOBUF
from tests.parts.edge import absorbed, combined, published
from tests.parts.ingest_site import Site, running
from tests.parts.otel import ACCESS, access, as_json, packed

SECRET = "bob@x.example"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running(tmp_path) as found:
        yield found


def _send(site: Site, body: bytes, media: str = PROTOBUF, **headers: str) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return site.client.post("/v1/logs", content=body, headers={"content-type": media} | names)


def _status(answer: httpx.Response) -> Status:
    if answer.headers["content-type"] == PROTOBUF:
        return Status.FromString(answer.content)
    return Status(**json.loads(answer.content))


@pytest.mark.parametrize(("media", "pack"), [(PROTOBUF, packed), (JSON, as_json)])
def test_everything_accepted_is_an_empty_answer(site: Site, media: str, pack: object) -> None:
    """In the encoding that was sent; the source is the key's."""
    body = gzip.compress(pack([access(n) for n in range(3)]))  # type: ignore[operator]
    answer = _send(site, body, media, content_encoding="gzip")
    assert (answer.status_code, answer.headers["content-type"]) == (200, media)
    assert answer.content == (b"" if media == PROTOBUF else b"{}")
    rows = published(site.ingest.log)
    assert rows["path"].to_list() == ["/pages/0", "/pages/1", "/pages/2"]
    assert set(rows["source"].to_list()) == {"web"}


def test_partial_success_says_how_many_and_why(site: Site) -> None:
    """Never with a word of the record."""
    entries = [access(1), ({}, SECRET), ({**ACCESS, "http.response.status_code": 9}, None)]
    packed_answer = ExportLogsServiceResponse.FromString(_send(site, packed(entries)).content).partial_success
    json_answer = _send(site, as_json(entries), JSON)
    says = "2 of 3 records rejected: bad_status 1, unknown_shape 1"
    assert (packed_answer.rejected_log_records, packed_answer.error_message) == (2, says)
    assert json_answer.json() == {"partialSuccess": {"rejectedLogRecords": "2", "errorMessage": says}}
    assert SECRET not in json_answer.text


@pytest.mark.parametrize("media", [PROTOBUF, JSON])
def test_errors_are_a_status_in_the_same_encoding(site: Site, media: str) -> None:
    """With google.rpc's codes, and Retry-After on what passes."""
    bad = _send(site, b"\xff" + SECRET.encode(), media)
    assert (bad.status_code, bad.headers["content-type"], _status(bad).code) == (400, media, 3)
    assert SECRET.encode() not in bad.content
    refused = _send(site, b"", media, authorization="Bearer vsk_wrong")
    assert (refused.status_code, _status(refused).code) == (401, 16)
    unpackable = _send(site, b"", media, content_encoding="br")
    assert (unpackable.status_code, _status(unpackable).code) == (415, 3)
    site.log.away = True
    away = _send(site, packed([access(1)]) if media == PROTOBUF else as_json([access(1)]), media)
    assert (away.status_code, away.headers["retry-after"], _status(away).code) == (503, "7", 14)


def test_other_media_types_are_told_in_json(site: Site) -> None:
    """Who sends something else most likely reads that."""
    answer = _send(site, b"x", "text/plain")
    assert (answer.status_code, answer.headers["content-type"]) == (415, JSON)
    assert answer.json()["message"].startswith("media_type: ")


def test_a_request_sent_again_is_counted_once(site: Site) -> None:
    """After a lost answer: its records carry their own time."""
    for _ in range(2):
        assert _send(site, packed([access(1)])).status_code == 200
    assert published(site.ingest.log).height == 1


def _exporter(site: Site) -> OTLPLogExporter:
    return OTLPLogExporter(
        endpoint=f"{site.client.base_url}/v1/logs",
        headers={"Authorization": site.client.headers["authorization"]},
        compression=Compression.Gzip,
        timeout=30,
    )


def _log(site: Site, count: int, during: threading.Thread | None = None) -> None:
    """`count` accesses by Python's logging and OpenTelemetry's SDK, as an application would."""
    provider = LoggerProvider()
    provider.add_log_record_processor(BatchLogRecordProcessor(_exporter(site), schedule_delay_millis=100))
    logger = logging.Logger("access")
    logger.addHandler(LoggingHandler(logger_provider=provider))
    if during is not None:
        during.start()
    for n in range(count):
        logger.info("access", extra={**ACCESS, "url.path": f"/pages/{n}"})
    logger.info(combined(0, target="/line"))
    provider.shutdown()
    if during is not None:
        during.join()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK's logging handler moved to another package
def test_the_sdks_exporter(site: Site) -> None:
    """Attributes, and one line that was logged as it is."""
    _log(site, 20)
    paths = published(site.ingest.log)["path"].to_list()
    assert sorted(paths) == sorted([*(f"/pages/{n}" for n in range(20)), "/line"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_sdks_exporter_through_a_fault(site: Site) -> None:
    """It retries a 503 by itself: nothing is lost and nothing is counted twice."""

    def come_back() -> None:
        time.sleep(1.5)
        site.log.away = False

    site.log.away = True
    _log(site, 20, threading.Thread(target=come_back))
    assert absorbed(site.ingest.log).height == 21
