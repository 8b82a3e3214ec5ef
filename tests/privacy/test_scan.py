"""The canary test's positive control: a canary in any kind of sink, plain or in disguise, is found by its scanners."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from urllib.parse import quote

import polars as pl
import pytest
import sqlalchemy as sa
import zstandard

from services.enricher import records as identity
from services.enricher.access import records as access_records
from services.ingest import records as ingest
from services.runtime import avro
from services.runtime.clickhouse import open_analytics
from services.runtime.keys import FileKeyService
from services.runtime.log import open_log
from services.runtime.log.interface import Message
from services.runtime.settings import Kafka
from services.runtime.topics import TOPICS
from services.stats import records as statistics
from services.stats.access import records as stats_access
from tests.privacy.canaries import CANARIES, Canary, first
from tests.privacy.scan import Hit, Needles, scan_bytes, scan_chdb, scan_files, scan_log, scan_sql, scan_text

CANARY = first("e-mail").text
NEEDLES = Needles.of([CANARY])
METADATA = {"ingest": ingest.metadata, "identity": identity.metadata, "statistics": statistics.metadata}
assert access_records.api_keys.metadata is identity.metadata
assert stats_access.api_keys.metadata is statistics.metadata


def _zip(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("figures.csv", data)
    return buffer.getvalue()


def _parquet(data: bytes) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame({"value": [data.decode()] * 100}).write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _arrow(data: bytes) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame({"value": [data.decode()] * 100}).write_ipc(buffer, compression="zstd")
    return buffer.getvalue()


WRAPPINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: b"before " + data + b" after",
    "zip": _zip,
    "parquet": _parquet,
    "arrow": _arrow,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data * 50),
    "avro": lambda data: avro.encode_record({"reason": data.decode()}, "dead_letter"),
    "zip in zstd": lambda data: zstandard.ZstdCompressor().compress(_zip(data)),
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_in_a_file_or_value(wrapping: str) -> None:
    """Release files, values of messages: also when text inside is invisible to grep."""
    assert scan_bytes(NEEDLES, "here", WRAPPINGS[wrapping](CANARY.encode())) == [Hit("here", CANARY)]
    assert scan_bytes(NEEDLES, "here", WRAPPINGS[wrapping](b"nobody@example.org")) == []


@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: f"{canary.kind} {canary.text[:12]}")
def test_in_disguise(canary: Canary) -> None:
    """Every canary as it is, in small letters, percent-encoded, in base64, hexadecimal or JSON, or as a plain digest."""
    needles, raw = Needles.of([canary.text]), canary.text.encode()
    digests = [h(raw).hexdigest() for h in (hashlib.md5, hashlib.sha1, hashlib.sha256)]
    disguises = [canary.text, canary.text.lower(), quote(canary.text), quote(canary.text, safe=""), raw.hex(), *digests]
    escaped = [json.dumps(canary.text)[1:-1], str(raw)[2:-1]]  # the second is how Apache and Python write bytes
    for text in [*disguises, *escaped, base64.b64encode(raw).decode()]:
        assert scan_text(needles, "here", f'{{"event": "x {text} y"}}'), text


@pytest.mark.parametrize("name", ["identity.log", "metrics.txt", "error.json", "page.html", "keys/identity/x.key"])
def test_in_a_log_metric_error_page_or_key(tmp_path: Path, name: str) -> None:
    """Text of any kind in any folder, and the name of a file."""
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'voile_x_total{{route="{CANARY}"}} 1\\n')
    assert scan_files(NEEDLES, tmp_path) == [Hit(f"file {name}", CANARY)]
    file.rename(file.with_name(f"{CANARY}.txt")).write_text("nothing")
    assert [hit.place for hit in scan_files(NEEDLES, tmp_path)] == ["file name"]


def test_in_the_name_of_a_key(tmp_path: Path) -> None:
    """Key names become file names, percent-encoded."""
    FileKeyService(tmp_path / "keys").get_or_create(f"day/{CANARY}")
    assert Hit("file name", CANARY) in scan_files(NEEDLES, tmp_path)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """An empty database of either kind, without checks of foreign keys."""
    if request.param == "sqlite":
        made = sa.create_engine(f"sqlite:///{tmp_path / 'records.db'}")
    else:
        url = request.getfixturevalue("postgres_url").replace("postgresql:", "postgresql+psycopg:", 1)
        made = sa.create_engine(url, connect_args={"options": "-c session_replication_role=replica"})
    yield made
    made.dispose()


@pytest.mark.parametrize("plane", METADATA)
def test_in_every_column_of_every_records_table(engine: sa.Engine, plane: str) -> None:
    """Each column of each table that can hold text or bytes."""
    METADATA[plane].create_all(engine)
    expected = set()
    with engine.begin() as connection:
        for table in METADATA[plane].tables.values():
            connection.execute(sa.insert(table).values({c.name: _value(c) for c in table.columns}))
            expected |= {f"{plane} {table.name}.{c.name}" for c in table.columns if _holds_text(c)}
    assert {hit.place for hit in scan_sql(NEEDLES, engine, plane)} == expected
    assert len(expected) > 5


def _holds_text(column: sa.Column[object]) -> bool:
    return isinstance(column.type, sa.String | sa.LargeBinary | sa.JSON)


def _value(column: sa.Column[object]) -> object:
    if isinstance(column.type, sa.JSON):
        return [CANARY]
    if _holds_text(column):
        return CANARY.encode() if isinstance(column.type, sa.LargeBinary) else CANARY
    return {sa.Date: date(2026, 11, 1), sa.Boolean: True}.get(type(column.type), 1)


def test_in_a_column_of_the_statistics_store(tmp_path: Path) -> None:
    """A real table on disk, read by another process: a plain column, a dictionary, a text within a nested value."""
    store = open_analytics(f"chdb://{tmp_path}")
    try:
        store.client.command(
            "CREATE TABLE sink (a String, b LowCardinality(String), c Array(Tuple(x String))) ENGINE = MergeTree ORDER BY a"
        )
        store.client.command(f"INSERT INTO sink VALUES ('{CANARY}', '{CANARY}', [('{CANARY}')])")
    finally:
        store.close()
    found = {hit.place for hit in scan_chdb(NEEDLES, tmp_path)}
    assert found == {f"clickhouse default.sink.{column}" for column in "abc"}


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def log_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "embedded":
        return f"sqlite:///{tmp_path / 'events.db'}"
    return str(request.getfixturevalue("kafka_broker").url)


def test_in_a_message(log_url: str) -> None:
    """Key, value, header and a header's name, of a message that went through a real log."""
    topic, text = TOPICS["dead-letter"], CANARY.encode()
    with closing(open_log(log_url, Kafka())) as log:
        log.ensure_topics([topic])
        letter = avro.encode_record({"reason": CANARY * 20}, "dead_letter")
        log.send([Message(topic.name, text, letter, {"trace": text, CANARY: b""})])
        with closing(log.follower([topic.name])) as follower:
            records = [(r.partition.topic, r.key, r.value, dict(r.headers)) for r in follower.poll()]
    places = {hit.place for hit in scan_log(NEEDLES, records)}
    assert places == {f"topic {topic.name} {part}" for part in ("key", "value", "header trace", "header name")}
