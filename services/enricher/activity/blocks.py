"""Linked activity: the accesses of one person, as sealed blocks of compressed columns.

A block holds the rows of one person, one batch and one day. Inside it is JSON of columns (one list a
column, written by polars in one pass over the whole batch), compressed by zstd: on small blocks that
is smaller and much faster to make than Arrow IPC, whose header alone is larger than most blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import orjson
import polars as pl
import sqlalchemy as sa
import zstandard

from services.enricher import records
from services.enricher.persons.joining import together
from services.enricher.persons.vault import PersonKey, Vault, bound_to
from services.enricher.retention.records import isolated_activity
from services.runtime import avro
from services.runtime.database import transaction

__all__ = ["LINKED", "ROWS_MAX", "Activity", "Block", "open_block", "pack", "seal", "unpack"]

ROWS_MAX = 10_000  # of one answer: a page and an access request read in steps of this
ZSTD_LEVEL = 1  # level 3 took 2.4 times as long for blocks 1 % larger (columns repeat what zstd finds anyway)

# What support needs of an access; the position, the time of receipt and the account itself are not kept.
_COLUMNS = (
    "timestamp", "site", "source", "client_address", "user_agent", "method", "host", "path", "query", "route",
    "event", "protocol", "status", "response_bytes", "duration_ms", "referrer", "gpc", "dnt",
)  # fmt: skip
LINKED: Mapping[str, pl.DataType] = {name: avro.columns("access_log")[name] for name in _COLUMNS}


_Within = tuple[datetime, datetime]


class Block(NamedTuple):
    """A row of `activity`; `day` and `expires` are ISO dates."""

    block: int
    tenant: str
    subject: str
    day: str
    expires: str
    rows: int
    sealed: bytes


class Activity:
    """Reads blocks; `pipeline.py` writes them, `retention/activity.py` ends them."""

    def __init__(self, engine: sa.Engine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault

    def read(self, subject: str, since: datetime, until: datetime, limit: int = ROWS_MAX) -> pl.DataFrame:
        """At most `limit` rows with `since` <= timestamp < `until` (both with zones), newest first, columns LINKED;
        also of the accounts that have become this one.

        Empty when there is no such person (any more). Raises `Tampered`.
        """
        with transaction(self._engine) as connection:
            keys = self._vault.load(connection, together(connection, subject))
            if not keys:
                return pl.DataFrame(schema=dict(LINKED))
            return self._newest(connection, keys, _naive(since), _naive(until), min(limit, ROWS_MAX))

    def whole(self, subject: str) -> Iterator[pl.DataFrame]:
        """All, a frame a day (columns LINKED, the oldest first), also what was isolated: of a person's own request.
        Raises `Tampered`."""
        tables = (isolated_activity, records.activity)
        with transaction(self._engine) as connection:
            keys = self._vault.load(connection, together(connection, subject))
            days = sa.union(*(sa.select(table.c.day).where(table.c.subject.in_(list(keys))) for table in tables))
            found = sorted(connection.execute(days).scalars())
        for day in found:
            with transaction(self._engine) as connection:
                rows = [row for of in tables for row in connection.execute(_blocks_of(list(keys), day, day, of))]
            if rows:
                yield unpack([_open(keys[row.subject], row) for row in rows]).sort("timestamp", maintain_order=True)

    def read_isolated(self, subject: str, since: datetime, until: datetime, limit: int = ROWS_MAX) -> pl.DataFrame:
        """As `read`, of what was isolated at the end of its term: for who may see it, and never together with that."""
        with transaction(self._engine) as connection:
            keys = self._vault.load(connection, together(connection, subject))
            blocks = _blocks_of(list(keys), since.date(), until.date(), isolated_activity)
            return _rows(keys, connection.execute(blocks), (_naive(since), _naive(until)), min(limit, ROWS_MAX))

    def insert(self, connection: sa.Connection, blocks: Sequence[Block]) -> None:
        records.insert_many(connection, records.activity, Block._fields, blocks)

    def _newest(
        self,
        connection: sa.Connection,
        keys: Mapping[str, PersonKey],
        since: datetime,
        until: datetime,
        limit: int,
    ) -> pl.DataFrame:
        first_day = self._first_day(connection, list(keys), since, until, limit)
        rows = connection.execute(_blocks_of(list(keys), first_day, until.date()))
        return _rows(keys, rows, (since, until), limit)

    def _first_day(
        self, connection: sa.Connection, subjects: Sequence[str], since: datetime, until: datetime, limit: int
    ) -> date:
        """The newest day from which on there are `limit` rows, so that a person of many years costs what is shown.
        The last day counts nothing: `until` may cut it anywhere."""
        table = records.activity
        at = (table.c.subject.in_(subjects), table.c.day.between(since.date(), until.date()))
        query = sa.select(table.c.day, sa.func.sum(table.c.rows).label("rows")).where(*at)
        found = 0
        for row in connection.execute(query.group_by(table.c.day).order_by(table.c.day.desc())):
            found += row.rows if row.day < until.date() else 0
            if found >= limit:
                day: date = row.day
                return day
        return since.date()


def pack(frame: pl.DataFrame) -> pl.DataFrame:
    """(tenant, account, day, expires, rows, text): one row a block, `text` its columns as JSON, days as ISO text.

    `frame` has the columns LINKED and `tenant`, `account`, `expires`. One pass, whatever the number of persons.
    """
    by = ["tenant", "account", "day", "expires"]
    day = pl.col("timestamp").dt.date().alias("day")
    days = pl.col("day", "expires").dt.to_string("iso")
    grouped = (
        frame.with_columns(day, pl.col("timestamp").cast(pl.Int64))
        .group_by(by)
        .agg(pl.len().alias("rows"), pl.col(list(LINKED)))
    )
    text = pl.struct(list(LINKED)).struct.json_encode().alias("text")
    return grouped.select("tenant", "account", days, "rows", text)


def seal(key: PersonKey, tenant: str, block: int, day: str, packed: bytes, *, nonce: bytes | None = None) -> bytes:
    """The compressed text of `pack`, sealed into its place."""
    return key.seal(_place(tenant, key.subject, block, day), packed, nonce)


def _open(key: PersonKey, row: sa.Row[tuple[int, str, str, date, bytes]]) -> bytes:
    return open_block(key, row.tenant, row.block, row.day.isoformat(), row.sealed)


def open_block(key: PersonKey, tenant: str, block: int, day: str, sealed: bytes) -> bytes:
    """The compressed text that `seal` was given. Raises `Tampered`."""
    return key.open(_place(tenant, key.subject, block, day), sealed)


def unpack(packed: Sequence[bytes]) -> pl.DataFrame:
    """The rows of the blocks, in their order, columns LINKED; a column that an older version did not write is null.

    All blocks become one frame at once: a frame costs more than a small block holds.
    """
    decompressor = zstandard.ZstdDecompressor()
    columns: dict[str, list[object]] = {name: [] for name in LINKED}
    for block in packed:
        values = orjson.loads(decompressor.decompress(block))
        height = len(values["timestamp"])
        for name, column in columns.items():
            column.extend(values.get(name) or [None] * height)
    return pl.DataFrame([_series(name, dtype, columns[name]) for name, dtype in LINKED.items()])


def _series(name: str, dtype: pl.DataType, values: Sequence[object]) -> pl.Series:
    stored = pl.Int64() if isinstance(dtype, pl.Datetime) else dtype
    return pl.Series(name, values, dtype=stored).cast(dtype)


def _place(tenant: str, subject: str, block: int, day: str) -> bytes:
    return bound_to("voile.activity.1", tenant, subject, str(block), day)


def _rows(keys: Mapping[str, PersonKey], rows: Iterable[Any], within: _Within, limit: int) -> pl.DataFrame:
    frame = unpack([_open(keys[row.subject], row) for row in rows])
    return (
        frame.filter(pl.col("timestamp").is_between(*within, closed="left"))
        .sort("timestamp", descending=True, maintain_order=True)
        .head(limit)
    )


def _blocks_of(
    subjects: Sequence[str], first: date, last: date, table: sa.Table = records.activity
) -> sa.Select[tuple[int, str, str, date, bytes]]:
    query = sa.select(table.c.block, table.c.tenant, table.c.subject, table.c.day, table.c.sealed)
    at = (table.c.subject.in_(subjects), table.c.day.between(first, last))
    return query.where(*at).order_by(table.c.day.desc(), table.c.block.desc())


def _naive(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None)
