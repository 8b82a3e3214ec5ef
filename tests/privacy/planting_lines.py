"""Canaries in lines and events: files, HTTP, OpenTelemetry, syslog, topics."""

from __future__ import annotations

import gzip
import json
import socket
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from itertools import product
from typing import Any
from urllib.parse import quote

import msgpack
import zstandard
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from services.runtime.lag import lag
from services.runtime.log import open_log
from services.runtime.log.interface import Message
from services.runtime.topics import TOPICS
from tests.parts.otel import Entry, as_json, packed
from tests.privacy.canaries import CANARIES, TURNS, Canary, by_turns, first
from tests.privacy.inputs import Access, accesses, bad_lines, lines
from tests.privacy.planting import (
    CANARY_TEXT,
    FILE_FORMATS,
    JSON,
    NDJSON,
    TEXT,
    Planted,
    as_header,
    settings_of,
    source_of,
)

__all__ = [
    "DAMAGED", "bodies", "files", "open_telemetry", "packed_bodies", "raw_topic", "refused_bodies", "syslog",
    "undecodable_records",
]  # fmt: skip

VISITORS = 40  # a leaking route would pass the threshold
DAMAGED = "trace"  # the header of the records that are written past ingest
READ_S_MAX = 60
ACCEPTED_MIN = 8 * len(CANARIES) // TURNS  # each canary stands in more fields than these, in its turn
MSGPACK, PROTOBUF = "application/msgpack", "application/x-protobuf"
PERSON = CANARIES[-1]


def files(planted: Planted) -> None:
    """Each format by `voile import`; the most usual one by as many visitors as a cell needs."""
    for format_ in FILE_FORMATS:
        of = accesses(planted.past, VISITORS if format_ == "combined" else 1)
        text = lines(format_, of) + bad_lines(planted.past)
        file = planted.made.folder / f"{format_}.log"
        file.write_bytes(text)
        planted.made.json("import", str(file), "--source", source_of(format_))


def bodies(planted: Planted) -> None:
    """HTTP ingest of the open day: text, NDJSON, a JSON array and a single object."""
    text = lines("combined", accesses(planted.now, 1)) + bad_lines(planted.now)
    planted.ingest("combined", text, TEXT)
    ndjson = lines("json", accesses(planted.now, 1)) + bad_lines(planted.now)
    planted.ingest("common", ndjson, NDJSON)
    objects = [json.loads(line) for line in ndjson.splitlines() if line.startswith(b'{"timestamp')]
    planted.ingest("vhost_combined", json.dumps([*objects, CANARY_TEXT, {CANARY_TEXT: [CANARY_TEXT]}]).encode(), JSON)
    planted.ingest("nginx_json", lines("nginx_json", accesses(planted.now, 1)), NDJSON)
    for canary in CANARIES:
        planted.ingest("common", lines("json", [Access(planted.now, user=canary.phrase)]), JSON)


def packed_bodies(planted: Planted) -> None:
    """MessagePack as Fluent Bit sends it; text in zstd, in deflate with and without zlib's wrapping, and in gzip."""
    at = planted.now - timedelta(minutes=1)  # the same text again would be a duplicate
    events = [json.loads(line) for line in lines("json", accesses(at, 1)).splitlines()]
    wrong = [CANARY_TEXT, {CANARY_TEXT: [CANARY_TEXT]}, dict.fromkeys((f"{CANARY_TEXT}{n}" for n in range(300)), "x")]
    wrapped = [{"log": line} for line in bad_lines(at).decode().splitlines()]
    stream = [msgpack.packb([at.timestamp(), event]) for event in [*events, *wrong, *wrapped]]
    _take(planted, "common", b"".join(stream), MSGPACK, "")
    for minutes, (encoding, pack) in enumerate(_PACKERS, 2):
        at = planted.now - timedelta(minutes=minutes)
        _take(planted, "combined", pack(lines("combined", accesses(at, 1)) + bad_lines(at)), TEXT, encoding)


def _take(planted: Planted, format_: str, body: bytes, media: str, encoding: str) -> None:
    headers = {"Content-Encoding": encoding} if encoding else {}
    answer = planted.ingest(format_, body, media, True, **headers)
    assert answer["accepted"] > ACCEPTED_MIN, f"{media} in {encoding}: {answer['accepted']}"
    assert answer["rejected"] > len(CANARIES), f"{media} in {encoding}: {answer['rejected']}"


def open_telemetry(planted: Planted) -> None:
    """Accesses as records, lines as their bodies, attributes with canaries for names; protobuf and JSON, and what is
    neither. The answers tell of the rejected ones."""
    good = [(_attributes(one), None) for one in accesses(planted.now, 1)]
    wrong: list[Entry] = [({}, line) for line in bad_lines(planted.now).decode().splitlines()]
    for canary in CANARIES[::TURNS]:
        named = {f"{canary.text}{number}": canary.phrase for number in range(300)}  # more than a record may have
        wrong += [({canary.text: canary.phrase}, {canary.text: [canary.phrase]}), (named, canary.phrase)]
    for format_, media, body in (
        ("common", PROTOBUF, packed([*good, *wrong], _ns(planted.now))),
        ("vhost_combined", JSON, as_json([*good, *wrong], _ns(planted.now))),
    ):
        status, answer = _export(planted, format_, media, body)
        rejected = _rejected(media, answer)
        assert (status, len(CANARIES) < rejected <= len(wrong)) == (200, True), f"{media}: {status}, {rejected}"
    for media in (PROTOBUF, JSON):
        assert _export(planted, "common", media, b'{"resourceLogs": "' + CANARY_TEXT.encode())[0] == 400
        assert _export(planted, "common", media, b"", as_header(first("e-mail")))[0] == 401


def _attributes(one: Access) -> dict[str, Any]:
    known = {"client.address": one.address, "http.request.method": one.method, "url.path": one.target}
    more = {"http.response.status_code": 200, "user_agent.original": one.agent, "server.address": one.host}
    own = {"enduser.id": one.user, "http.route": one.label, "event.name": one.label, one.user: one.user}
    return {**known, **more, **own, "http.request.header.referer": [one.referrer]}


def _export(planted: Planted, format_: str, media: str, body: bytes, key: str = "") -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {key or planted.keys[format_]}", "Content-Type": media}
    status, _, answer = planted.ask("ingest", "POST", "/v1/logs", body, headers)
    return status, answer


def _rejected(media: str, answer: bytes) -> int:
    if media == PROTOBUF:
        return int(ExportLogsServiceResponse.FromString(answer).partial_success.rejected_log_records)
    return int(json.loads(answer)["partialSuccess"]["rejectedLogRecords"])


def _ns(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000_000


def _deflated(text: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(text) + packer.flush()


_PACKERS: Sequence[tuple[str, Callable[[bytes], bytes]]] = (
    ("zstd", zstandard.ZstdCompressor().compress),
    ("deflate", zlib.compress),
    ("deflate", _deflated),
    ("gzip", gzip.compress),
)


def syslog(planted: Planted) -> None:
    """Good and bad lines, with canaries in the header too, by TCP and UDP."""
    text = lines("combined", accesses(planted.now, 1)) + bad_lines(planted.now)
    with (
        socket.create_connection(("127.0.0.1", planted.syslog_port)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        for number, line in enumerate(text.splitlines()):
            tag = quote(CANARIES[number % len(CANARIES)].text, safe="")
            tcp.sendall(f"<13>Nov 22 21:46:21 {tag} {tag}: ".encode() + line + b"\n")
        for canary in CANARIES:
            udp.sendto(canary.phrase.encode(), ("127.0.0.1", planted.syslog_port))


def raw_topic(planted: Planted) -> None:
    """Lines, keys, sources and media types. Nobody reads that topic of the embedded log: only Voile could write it."""
    settings = settings_of(planted.made)
    topic = TOPICS["access-log-raw"].name
    text = lines("combined", accesses(planted.now, 1)) + bad_lines(planted.now)
    records = [Message(topic, b"web.combined", line) for line in text.splitlines()]
    for canary in CANARIES:
        one = canary.text.encode()
        records += [
            Message(topic, one, one),
            Message(topic, b"", one, {"source": one}),
            Message(topic, b"web.combined", one, {"content-type": one}),
            Message(topic, b"web.combined", json.dumps({"message": canary.phrase}).encode(), {canary.text: one}),
        ]
    with closing(open_log(settings.url(settings.events), settings.kafka)) as log:
        log.send(records)
        deadline = time.monotonic() + READ_S_MAX
        while settings.events.startswith("kafka:") and lag(log, "ingest", topic):
            assert time.monotonic() < deadline, "ingest does not read the raw topic"
            time.sleep(0.2)


def refused_bodies(planted: Planted) -> None:
    """Bodies, keys, headers and source names that are wrong."""
    body = CANARY_TEXT.encode()
    for media, encoding in product((JSON, NDJSON, TEXT, MSGPACK), ("gzip", "zstd", "deflate")):
        planted.ingest("combined", b"{" + body, media, False, **{"Content-Encoding": encoding})
    planted.ingest("combined", b"\xc1" + body, MSGPACK, False)
    planted.ingest("combined", b'{"x": "' + body, JSON, False)
    planted.ingest("combined", json.dumps(CANARY_TEXT).encode(), JSON, False)
    for canary, send in by_turns(_REFUSED):
        send(planted, canary, body)


def _key_of_another_body(planted: Planted, canary: Canary, body: bytes) -> None:
    key = {"Idempotency-Key": as_header(canary)}
    planted.ingest("combined", body, TEXT, True, **key)
    planted.ingest("combined", body + b"\n" + body, TEXT, False, **key)


def _key_that_is_none(planted: Planted, canary: Canary, _body: bytes) -> None:
    planted.ask("ingest", "GET", "/api/v1/ingest/check", headers={"Authorization": f"Bearer {as_header(canary)}"})


def _source_that_is_none(planted: Planted, canary: Canary, body: bytes) -> None:
    key = {"Authorization": f"Bearer {planted.keys['combined']}", "Content-Type": TEXT}
    planted.ask("ingest", "POST", f"/api/v1/ingest/{canary.segment}", body, key)


def _header(name: str) -> Callable[[Planted, Canary, bytes], object]:
    return lambda planted, canary, body: planted.ingest("combined", body, TEXT, False, **{name: as_header(canary)})


_REFUSED = (
    *map(_header, ("Content-Type", "Content-Encoding", "Authorization")),
    *(_key_of_another_body, _key_that_is_none, _source_that_is_none),
)


def undecodable_records(planted: Planted) -> None:
    """Damaged records in the topics that carry clear data, as a defect of a sender would write them."""
    settings = settings_of(planted.made)
    log = open_log(settings.url(settings.events), settings.kafka)
    damaged = b"Obj\x01" + CANARY_TEXT.encode()
    header = {DAMAGED: CANARY_TEXT.encode()}
    try:
        for key in (
            b"web.combined",
            PERSON.text.encode(),
            first("address").text.encode(),
            first("e-mail").text.encode(),
        ):
            log.send([Message(TOPICS["access-log"].name, key, damaged, header)])
            log.send([Message(TOPICS["account"].name, b"riverside/" + key, damaged, header)])
    finally:
        log.close()
