"""The Avro contracts: what stands in `schemas/` is what is written, and what others read."""

from __future__ import annotations

import copy
import io
import json
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import fastavro
import polars as pl
import pytest

from services.runtime import avro
from services.runtime.batches import AccessBatch, Span, decode_access_batch, encode_access_batch
from services.runtime.compatibility import SENSITIVITIES, incompatibilities
from services.runtime.errors import Poison
from services.runtime.topics import TOPICS

NAMES = sorted(p.stem for p in Path(str(resources.files("schemas.avro"))).glob("*.avsc"))
EXAMPLES = Path(str(resources.files("schemas"))) / "examples"


def _examples(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))
    return rows


def _access_frame() -> pl.DataFrame:
    times = ("timestamp", "received_at")
    rows = [{k: datetime.fromisoformat(v) if k in times else v for k, v in r.items()} for r in _examples("access_log")]
    return pl.DataFrame(rows, schema=dict(avro.columns("access_log")))


@pytest.fixture
def container() -> bytes:
    frame = _access_frame()
    span = Span("web", "origin", 0, 4096, frame.height)
    return encode_access_batch(AccessBatch(frame, "web", [span]))


@pytest.mark.parametrize("name", NAMES)
def test_every_field_declares_sensitivity_doc_and_nullability(name: str) -> None:
    """The egress scanner and the columnar encoder both rely on these."""
    for field in avro.schema(name)["fields"]:
        assert field["sensitivity"] in SENSITIVITIES, field["name"]
        assert field["doc"].endswith("."), field["name"]
        assert field["type"][0] == "null", field["name"]
        assert field["default"] is None, field["name"]


@pytest.mark.parametrize("name", NAMES)
def test_every_schema_has_an_example_that_round_trips(name: str) -> None:
    """Examples are what a reader of the topics copies from."""
    for row in _examples(name):
        times = {f["name"] for f in avro.schema(name)["fields"] if isinstance(f["type"][1], dict)} - {"hosts", "routes"}
        given = {k: datetime.fromisoformat(v).replace(tzinfo=UTC) if k in times else v for k, v in row.items()}
        back = avro.decode_record(avro.encode_record(given, name), name)
        assert {k: v for k, v in back.items() if v is not None} == given


def test_every_topic_names_a_schema_that_exists() -> None:
    """Except the raw topic, which holds what collectors send."""
    assert {t.schema.removesuffix(".avsc") for t in TOPICS.values() if t.schema} == set(NAMES)
    assert [t.name for t in TOPICS.values() if t.schema is None] == ["access-log.raw.v1"]


def test_the_writer_schema_in_a_batch_is_the_avsc(container: bytes) -> None:
    """Not the one polars would write: fields keep their docs and sensitivity."""
    reader = fastavro.reader(io.BytesIO(container))
    header = json.loads(reader.metadata["avro.schema"])
    assert header == avro.schema("access_log")
    assert reader.metadata["voile.source"] == "web"


def test_fastavro_reads_a_batch_back(container: bytes) -> None:
    """Any Avro library can."""
    rows = list(fastavro.reader(io.BytesIO(container)))
    expected = _access_frame().to_dicts()
    for row in expected:
        row["timestamp"], row["received_at"] = (row[k].replace(tzinfo=UTC) for k in ("timestamp", "received_at"))
    assert rows == expected


def test_clickhouse_reads_a_batch_back(container: bytes, tmp_path: Path) -> None:
    """ClickHouse's Avro format takes the file as it is."""
    import chdb

    file = tmp_path / "batch.avro"
    file.write_bytes(container)
    query = (
        f"SELECT client_address, status, toUnixTimestamp64Milli(timestamp) FROM file('{file}', Avro) ORDER BY position"
    )
    answer = chdb.query(query, "JSONCompact")  # type: ignore[no-untyped-call]  # chDB ships no types
    rows = json.loads(str(answer))["data"]
    expected = _access_frame().select("client_address", "status", pl.col("timestamp").dt.epoch("ms")).rows()
    assert [(a, s, int(t)) for a, s, t in rows] == expected


def test_a_batch_comes_back_as_it_was(container: bytes) -> None:
    """Columns in, columns out."""
    batch = decode_access_batch(container)
    assert batch.frame.equals(_access_frame())
    assert batch.spans == [Span("web", "origin", 0, 4096, batch.frame.height)]


def test_every_cut_of_a_batch_is_poison_and_nothing_else(container: bytes) -> None:
    """A damaged batch hurts only itself; polars' PanicException is no Exception and must not escape."""
    for cut in range(0, len(container), 13):
        with pytest.raises(Poison):
            decode_access_batch(container[:cut])


def test_a_column_of_another_type_is_refused() -> None:
    """A defect of the caller, told by the column's name."""
    with pytest.raises(ValueError, match="status"):
        avro.encode_batch(_access_frame().with_columns(status=pl.lit("200")), "access_log", {})


@pytest.mark.parametrize("name", NAMES)
def test_current_schemas_are_compatible_with_the_released_ones(name: str) -> None:
    """`schemas/released/` is copied from `schemas/avro/` at each release and never edited."""
    released = json.loads(resources.files("schemas").joinpath(f"released/{name}.avsc").read_text("utf-8"))
    assert incompatibilities(released, avro.schema(name)) == []


def _without_status(schema: dict[str, Any]) -> None:
    schema["fields"] = [f for f in schema["fields"] if f["name"] != "status"]


def _status_as_string(schema: dict[str, Any]) -> None:
    next(f for f in schema["fields"] if f["name"] == "status")["type"] = ["null", "string"]


def _address_as_plain(schema: dict[str, Any]) -> None:
    next(f for f in schema["fields"] if f["name"] == "client_address")["sensitivity"] = "plain"


def _new_without_default(schema: dict[str, Any]) -> None:
    schema["fields"].append({"name": "x", "type": "string", "sensitivity": "plain"})


@pytest.mark.parametrize("change", [_without_status, _status_as_string, _address_as_plain, _new_without_default])
def test_an_incompatible_change_is_refused(change: Any) -> None:
    """Removal, another type, lower sensitivity, a new field without default."""
    changed = copy.deepcopy(dict(avro.schema("access_log")))
    change(changed)
    assert len(incompatibilities(avro.schema("access_log"), changed)) == 1


def test_a_new_field_with_a_default_is_allowed() -> None:
    """How schemas grow."""
    grown = copy.deepcopy(dict(avro.schema("access_log")))
    grown["fields"].append({"name": "x", "type": ["null", "string"], "default": None, "sensitivity": "plain"})
    assert incompatibilities(avro.schema("access_log"), grown) == []
