"""The embedded log's file: its topics, how a message is packed, and reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

from services.runtime.log.interface import MESSAGE_BYTES_MAX, Committed, Message, NoTopic, Partition, Record
from services.runtime.log.sqlite_file import BUSY_S, SqliteFile, statements

__all__ = ["LogFile", "TopicRow", "pack"]

SCHEMA_VERSION = 1
PACK_BYTES_MIN = 512  # below this zstd saves less than its call costs
PACK_GAIN_MIN = 0.1

_TOMBSTONE, _PLAIN, _ZSTD = 0, 1, 2
_PACKAGE = "services.runtime.log"


class TopicRow(NamedTuple):
    number: int
    uuid: str
    compacted: bool
    first_offset: int
    next_offset: int
    last_append_ms: int


class LogFile(SqliteFile):
    """One connection to the file, made when it is new."""

    def __init__(self, path: Path, *, busy_s: float = BUSY_S) -> None:
        super().__init__(path, statements(_PACKAGE, "embedded"), busy_s=busy_s)
        self.prepare(resources.files(_PACKAGE).joinpath("embedded_schema.sql").read_text("utf-8"), SCHEMA_VERSION)

    def topic(self, name: str) -> TopicRow:
        found = self.row("topic", name=name)
        if found is None:
            raise NoTopic(f"The event log has no topic {name}; start a service once, it makes the topics.")
        return TopicRow(*found)

    def records(self, partition: Partition, first: int, last: int, count: int) -> Iterator[Record]:
        """In order; close the iterator when stopping early."""
        number = self.topic(partition.topic).number
        for row in self.stream("read", topic=number, first=first, last=last, count=count):
            yield _unpack(partition, row)

    def committed(self, group: str, topic: str) -> Committed | None:
        found = self.row("committed", group=group, name=topic)
        return Committed(*found) if found else None


def pack(message: Message) -> dict[str, Any]:
    """The columns of `messages` that depend on the message alone."""
    headers = json.dumps({name: value.decode("latin-1") for name, value in message.headers.items()})
    packing, value = _packed_value(message.value)
    return {"key": message.key, "headers": headers, "packing": packing, "value": value}


def _packed_value(value: bytes | None) -> tuple[int, bytes | None]:
    if value is None:
        return _TOMBSTONE, None
    if len(value) >= PACK_BYTES_MIN:
        packed = zstandard.ZstdCompressor().compress(value)
        if len(packed) <= len(value) * (1 - PACK_GAIN_MIN):
            return _ZSTD, packed
    return _PLAIN, value


def _unpack(partition: Partition, row: Sequence[Any]) -> Record:
    offset, append_ms, packing, key, headers, value = row
    if packing == _ZSTD:
        value = zstandard.ZstdDecompressor().decompress(value, max_output_size=MESSAGE_BYTES_MAX)
    decoded = {name: text.encode("latin-1") for name, text in json.loads(headers).items()}
    return Record(partition, offset, key, value, decoded, append_ms)
