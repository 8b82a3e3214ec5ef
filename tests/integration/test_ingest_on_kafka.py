"""The same lines, made durable in a real Kafka."""

from __future__ import annotations

import io
import uuid
from dataclasses import replace
from pathlib import Path

from services.ingest.accounting import Outcome
from services.ingest.service import Ingest
from services.runtime.batches import decode_access_batch
from tests.parts.edge import SOURCE, combined, opened, records, text_of

LINES = [combined(n) for n in range(20_000)]


def _paths(ingest: Ingest, source: str) -> list[str]:
    batches = [
        decode_access_batch(r.value) for r in records(ingest.log, "access-log") if r.key == source.encode() and r.value
    ]
    return [path for batch in batches for path in batch.frame["path"].to_list()]


def test_a_file_is_in_kafka_once(kafka_servers: str, tmp_path: Path) -> None:
    """All batches of a source lie in one partition, in their order; the file again changes nothing."""
    source = f"web-{uuid.uuid4().hex}"  # the broker is shared
    with opened(tmp_path, f"kafka://{kafka_servers}") as ingest:
        ingest.add_source(replace(SOURCE, name=source))
        for wanted in (Outcome(20_000, 20_000), Outcome(20_000, 0, 20_000)):
            assert ingest.import_stream(io.BytesIO(text_of(LINES)), source) == wanted
        assert _paths(ingest, source) == [f"/pages/{n}" for n in range(20_000)]
