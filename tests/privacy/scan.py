"""Searches every kind of sink for planted identifiers, in clear and in the disguises that are as good as clear.

Stores are searched logically (SELECT, consume, decompress): text inside compressed parts is invisible to grep.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import fastavro
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.parquet
import sqlalchemy as sa
import zstandard

__all__ = ["Hit", "Needles", "scan_bytes", "scan_chdb", "scan_files", "scan_log", "scan_sql", "scan_text"]

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_AVRO_MAGIC = b"Obj\x01"
_ZIP_MAGIC = b"PK\x03\x04"
_ARROW_MAGIC = b"ARROW1"
_EXPANDED_BYTES_MAX = 64 * 1024 * 1024
_GRAM_BYTES = 4
_TABLE_BITS = 16
_PIECE_BYTES = 1024 * 1024
_8, _16, _24 = np.uint32(8), np.uint32(16), np.uint32(24)
_MIXING = np.uint32(2_654_435_761)  # Knuth's multiplicative hashing


class Hit(NamedTuple):
    """Which canary was found where: a table and column, a topic, a file, a page."""

    place: str
    canary: str


@dataclass(frozen=True)
class Needles:
    """Every form in which a canary is as good as in clear. One look at the data finds where one of thousands of forms could
    begin, by its first four bytes: a search for each alone would take minutes."""

    by_gram: dict[int, list[tuple[bytes, str]]]
    table: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, canaries: Iterable[str]) -> Needles:
        by_gram: dict[int, list[tuple[bytes, str]]] = defaultdict(list)
        for canary in canaries:
            for form in sorted(_forms(canary)):
                by_gram[int.from_bytes(form[:_GRAM_BYTES], "little")].append((form, canary))
        table = np.zeros(1 << _TABLE_BITS, np.bool_)
        table[_slots(np.array(list(by_gram), dtype=np.uint32))] = True
        return cls(dict(by_gram), table)

    def find(self, place: str, data: bytes) -> Iterator[Hit]:
        seen = set()
        for text in (data, data.lower()):
            for gram in self._grams(text):
                for form, canary in self.by_gram.get(gram, ()):
                    if canary not in seen and form in text:
                        seen.add(canary)
                        yield Hit(place, canary)

    def _grams(self, text: bytes) -> list[int]:
        """Those of the text that a form may begin with."""
        found: set[int] = set()
        for start in range(0, len(text), _PIECE_BYTES):
            piece = np.frombuffer(text[start : start + _PIECE_BYTES + _GRAM_BYTES - 1], np.uint8).astype(np.uint32)
            if len(piece) >= _GRAM_BYTES:
                grams = piece[:-3] | piece[1:-2] << _8 | piece[2:-1] << _16 | piece[3:] << _24
                found.update(np.unique(grams[self.table[_slots(grams)]]).tolist())
        return sorted(found)


def _slots(grams: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    return (grams * _MIXING) >> np.uint32(32 - _TABLE_BITS)


def _forms(canary: str) -> set[bytes]:
    raw = canary.encode()
    encoded = base64.b64encode(raw).rstrip(b"=")
    clear = {raw, canary.lower().encode(), quote(canary, safe="").encode(), quote(canary, safe="").lower().encode()}
    digests = {h(raw).hexdigest().encode() for h in (hashlib.md5, hashlib.sha1, hashlib.sha256)}
    # the last base64 character depends on what follows, so it is left out
    return (
        clear | digests | {encoded[:-1], raw.hex().encode(), json.dumps(canary)[1:-1].encode(), str(raw)[2:-1].encode()}
    )


def scan_text(needles: Needles, place: str, text: str | bytes) -> list[Hit]:
    return list(needles.find(place, text.encode() if isinstance(text, str) else text))


def _expanded(value: bytes) -> Iterator[bytes]:
    """The bytes, and what is inside them when they are compressed or an Avro container."""
    yield value
    if value[:4] == _ZSTD_MAGIC:
        with_room = zstandard.ZstdDecompressor().decompress(value, max_output_size=_EXPANDED_BYTES_MAX)
        yield from _expanded(with_room)
    if value[:4] == _AVRO_MAGIC:
        with contextlib.suppress(Exception):  # a damaged one, which is searched as it is
            yield repr(list(fastavro.reader(io.BytesIO(value)))).encode()
    if value[:4] == b"PAR1":
        yield repr(pyarrow.parquet.read_table(io.BytesIO(value)).to_pylist()).encode()
    if value[: len(_ARROW_MAGIC)] == _ARROW_MAGIC:
        yield repr(pl.read_ipc(io.BytesIO(value)).to_dicts()).encode()
    if value[:4] == _ZIP_MAGIC:
        with zipfile.ZipFile(io.BytesIO(value)) as archive:
            for name in archive.namelist():
                yield from _expanded(archive.read(name))


def scan_bytes(needles: Needles, place: str, value: bytes) -> list[Hit]:
    return sorted({hit for part in _expanded(value) for hit in needles.find(place, part)})


def scan_files(needles: Needles, folder: Path, leave_out: Sequence[str] = ()) -> list[Hit]:
    """Every file below `folder`, names too; `leave_out` are path prefixes searched logically elsewhere."""
    found: list[Hit] = []
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = str(file.relative_to(folder))
        if not name.startswith(tuple(leave_out)):
            found += scan_bytes(needles, f"file {name}", file.read_bytes()) + scan_text(needles, "file name", name)
    return found


def scan_sql(needles: Needles, engine: sa.Engine, label: str, leave_out: Sequence[str] = ()) -> list[Hit]:
    """Every column of every table of a database, but for the tables `leave_out`."""
    found: set[Hit] = set()
    for table in sorted(set(sa.inspect(engine).get_table_names()) - set(leave_out)):
        with engine.connect() as connection:
            for row in connection.execute(sa.text(f'SELECT * FROM "{table}"')).mappings():
                for column, value in row.items():
                    found |= set(_scan_value(needles, f"{label} {table}.{column}", value))
    return sorted(found)


def _scan_value(needles: Needles, place: str, value: object) -> list[Hit]:
    if value is None or isinstance(value, int | float):
        return []
    return scan_bytes(needles, place, value if isinstance(value, bytes) else str(value).encode())


_CHDB_DUMP = """
import json, sys
from services.runtime.clickhouse import open_analytics
store = open_analytics("chdb://" + sys.argv[1])
tables = store.client.query("SELECT database, name FROM system.tables WHERE database NOT IN ('INFORMATION_SCHEMA', 'information_schema', 'system')"
    " OR (database = 'system' AND (name LIKE '%_log' OR name IN ('mutations', 'query_cache')))").result_rows
for database, table in tables:
    columns = [r[0] for r in store.client.query(f"DESCRIBE TABLE `{database}`.`{table}`").result_rows]
    for column in columns:
        for (value,) in store.client.query(f"SELECT DISTINCT toString(`{column}`) FROM `{database}`.`{table}`").result_rows:
            print(json.dumps([f"{database}.{table}.{column}", value]))
"""


def scan_chdb(needles: Needles, folder: Path) -> list[Hit]:
    """Every distinct value of every column of every table; in a process of its own, since chDB has one a path."""
    dump = subprocess.run(
        [sys.executable, "-c", _CHDB_DUMP, str(folder)], capture_output=True, text=True, check=True, timeout=300
    )
    found: set[Hit] = set()
    for line in dump.stdout.splitlines():
        place, value = json.loads(line)
        found |= set(needles.find(f"clickhouse {place}", value.encode()))
    return sorted(found)


def scan_log(needles: Needles, records: Iterable[tuple[str, bytes, bytes | None, dict[str, bytes]]]) -> list[Hit]:
    """Topic, key, value and headers of every record of an event log."""
    found: set[Hit] = set()
    for topic, key, value, headers in records:
        for name, part in (("key", key), ("value", value or b""), *((f"header {h}", v) for h, v in headers.items())):
            found |= set(scan_bytes(needles, f"topic {topic} {name}", part))
        found |= set(scan_text(needles, f"topic {topic} header name", " ".join(headers)))
    return sorted(found)
