"""Searches a whole stopped installation: every store, topic, log, answer, file and file name.

Left out by design (`reliability.md`, C1): the four topics that carry clear data, in the embedded log the table that
holds their messages (searched topic by topic instead), and what the test itself wrote to be taken in.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from services.runtime.copying import open_file
from services.runtime.database import open_records
from services.runtime.log import open_log
from services.runtime.settings import Settings
from services.runtime.topics import TOPICS, Topic
from tests.privacy.canaries import CANARIES
from tests.privacy.scan import Hit, Needles, scan_bytes, scan_chdb, scan_files, scan_log, scan_sql

__all__ = ["KINDS", "NEEDLES", "search", "search_backup", "search_backup_log", "search_topics", "told"]

CLEAR = frozenset(topic.name for topic in TOPICS.values() if topic.clear)
LOG_FILE = "log.ndjson"  # of a backup: a line a record, in base64

NEEDLES = Needles.of(canary.text for canary in CANARIES)
KINDS = {canary.text: canary.kind for canary in CANARIES}


def search(settings: Settings, logs: Path, answers: Iterable[tuple[str, bytes]], release: Path) -> list[Hit]:
    """Every place where a canary is found and must not be. The statistics plane must not run: its store is one
    process's."""
    return [
        *search_records(settings),
        *scan_chdb(NEEDLES, Path(settings.url(settings.statistics.analytics).removeprefix("chdb://"))),
        *search_topics(settings, [topic for topic in TOPICS.values() if not topic.clear]),
        *scan_files(NEEDLES, settings.data, leave_out=["events.db"]),
        *scan_files(NEEDLES, logs),
        *scan_files(NEEDLES, release),
        *(hit for place, text in answers for hit in scan_bytes(NEEDLES, place, text)),
    ]


def search_records(settings: Settings) -> list[Hit]:
    """Every plane's SQL records; of the embedded log all but its messages."""
    stores: list[tuple[str, str, Sequence[str]]] = [
        ("ingest", settings.ingest.records, ()),
        ("identity", settings.identity.records, ()),
        ("statistics", settings.statistics.records, ()),
    ]
    if settings.events.startswith("sqlite:"):
        stores.append(("event log", settings.events, ("messages",)))
    found: list[Hit] = []
    for name, url, leave_out in stores:
        engine = open_records(settings.url(url))
        found += scan_sql(NEEDLES, engine, f"records of {name}:", leave_out)
        engine.dispose()
    return found


def search_topics(settings: Settings, topics: Sequence[Topic], without_header: str = "") -> list[Hit]:
    """Every record of these topics, but for those that have a header of that name."""
    names = [topic.name for topic in topics]
    with (
        closing(open_log(settings.url(settings.events), settings.kafka)) as log,
        closing(log.follower(names)) as records,
    ):
        chosen = [r for r in records.poll() if without_header not in r.headers]
        return scan_log(NEEDLES, [(r.partition.topic, r.key, r.value, dict(r.headers)) for r in chosen])


def search_backup(folder: Path) -> list[Hit]:
    """Every table, file and file name of a backup, and of its part of the log the topics that carry nothing in clear."""
    found = scan_files(NEEDLES, folder, leave_out=[LOG_FILE])
    for file in sorted(folder.glob("*.db")):
        engine = open_file(file)
        found += scan_sql(NEEDLES, engine, f"backup {file.name}")
        engine.dispose()
    return found + search_backup_log(folder, clear=False)


def search_backup_log(folder: Path, *, clear: bool) -> list[Hit]:
    """Of the topics that carry clear data by design, or of the others."""
    records = [json.loads(line) for line in (folder / LOG_FILE).read_text("utf-8").splitlines()]
    return scan_log(
        NEEDLES,
        [
            (r["topic"], b64decode(r["key"]), b64decode(r["value"]), {n: b64decode(v) for n, v in r["headers"].items()})
            for r in records
            if (r["topic"] in CLEAR) is clear
        ],
    )


def told(hits: Iterable[Hit]) -> str:
    """For a failing test: where, what kind, which."""
    return "\n".join(sorted({f"{hit.place}: {KINDS[hit.canary]} {hit.canary}" for hit in hits}))
