"""Small blocks of one person and day become one, so that a look-up reads few rows.

Once a night whatever was written since the last time is looked at, in the order of block numbers. What is merged is
decided under lock by the rows that are there, and in order with erasures: a row that was deleted does not come back,
and a process that is killed leaves blocks either as they were or merged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import orjson
import polars as pl
import sqlalchemy as sa
import zstandard

from services.enricher import records
from services.enricher.activity import blocks as activity
from services.enricher.persons.vault import PersonKey, Tampered, Vault
from services.enricher.rights.ordering import in_order, require_current
from services.enricher.rights.signals import Signals
from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.stop import Stop

__all__ = ["Merged", "Merging"]

OVERLAP_BLOCKS = 100_000  # numbers looked at once more: given out and not yet written when their turn came
WINDOW_BLOCKS = 1_000_000  # numbers looked at together: some 60 MB as columns
READ_BLOCKS = 50_000  # of one reading transaction
CHUNK_BLOCKS = 1000  # opened and sealed in one transaction: some tens of milliseconds, for which SQLite's writers wait
ROWS_MAX = 4000  # of a merged block: an answer decodes no more than it shows
_PLACE = ("tenant", "subject", "day", "expires")  # what blocks must have in common


@dataclass(frozen=True, slots=True)
class Merged:
    """`blocks` became `into`; `tampered` did not open and stay as they are."""

    blocks: int = 0
    into: int = 0
    tampered: int = 0

    def __add__(self, other: Merged) -> Merged:
        return Merged(self.blocks + other.blocks, self.into + other.into, self.tampered + other.tampered)


class Merging:
    def __init__(self, engine: sa.Engine, vault: Vault, signals: Signals, clock: Clock) -> None:
        self._engine = engine
        self._vault = vault
        self._signals = signals
        self._clock = clock
        self._compressor = zstandard.ZstdCompressor(level=activity.ZSTD_LEVEL)
        self._decompressor = zstandard.ZstdDecompressor()

    def run(self, stop: Stop) -> Merged:
        """Merge what was written since the last run, or until stopped. Raises `Transient`; what is merged by then
        stays so, and the next run goes on."""
        done = Merged()
        first, end = self._range()
        while first < end:
            last = min(first + WINDOW_BLOCKS, end)
            for chunk in _chunks(self._candidates(first, last)):
                if stop.is_set:
                    return done
                done += in_order(self._signals, self._clock, partial(self._merge, chunk))
            self._looked_at(last)
            first = last
        return done

    def _range(self) -> tuple[int, int]:
        """[first, end) of block numbers. Merged blocks get numbers from `end` on: they are looked at the next time,
        with what came later for the same day."""
        table = records.counters
        query = sa.select(table.c.name, table.c.value)
        with transaction(self._engine) as connection:
            values = {row.name: row.value for row in connection.execute(query)}
        return max(values.get(records.BLOCKS_MERGED, 0) - OVERLAP_BLOCKS, 0), values.get(records.BLOCK_NUMBERS, 0)

    def _looked_at(self, number: int) -> None:
        table = records.counters
        at = (table.c.name == records.BLOCKS_MERGED, table.c.value < number)
        with transaction(self._engine) as connection:
            connection.execute(sa.update(table).where(*at).values(value=number))

    def _candidates(self, first: int, end: int) -> list[list[int]]:
        """Block numbers that may be merged into one each, newest first."""
        read = [self._places(at, min(at + READ_BLOCKS, end)) for at in range(first, end, READ_BLOCKS)]
        many = pl.concat(read).sort("block", descending=True).with_columns(
            part=(pl.col("rows").cum_sum().over(_PLACE) - 1) // ROWS_MAX
        )  # fmt: skip
        groups = many.group_by(*_PLACE, "part", maintain_order=True).agg("block").filter(pl.col("block").list.len() > 1)
        return groups["block"].to_list()

    def _places(self, first: int, end: int) -> pl.DataFrame:
        table = records.activity
        columns = [table.c[name] for name in ("block", *_PLACE, "rows")]
        query = sa.select(*columns).where(table.c.block >= first, table.c.block < end, table.c.rows < ROWS_MAX)
        with transaction(self._engine) as connection:
            rows = connection.execute(query).all()
        schema = {
            "block": pl.Int64,
            **dict.fromkeys(_PLACE[:2], pl.String),
            **dict.fromkeys(_PLACE[2:], pl.Date),
            "rows": pl.Int64,
        }
        return pl.DataFrame([tuple(row) for row in rows], schema=schema, orient="row")

    def _merge(self, groups: Sequence[Sequence[int]]) -> Merged:
        """The blocks of each group that are still there become one. Raises `SignalsMoved`."""
        group_of = {block: number for number, group in enumerate(groups) for block in group}
        with transaction(self._engine) as connection:
            require_current(connection, self._signals)
            rows = _locked(connection, list(group_of))
            keys = self._vault.load(connection, sorted({row.subject for row in rows}))
            done, gone, fresh = Merged(), list[int](), list[activity.Block]()
            number = records.reserve(connection, records.BLOCK_NUMBERS, len(groups))
            for _, found in groupby(rows, key=lambda row: group_of[row.block]):
                together = list(found)
                merged, one = self._one(number + len(fresh), together, keys)
                done += one
                if merged is not None:
                    fresh.append(merged)
                    gone += [row.block for row in together]
            _replace(connection, gone, fresh)
        return done

    def _one(
        self, number: int, rows: Sequence[activity.Block], keys: Mapping[str, PersonKey]
    ) -> tuple[activity.Block | None, Merged]:
        place = rows[0]
        key = keys.get(place.subject)
        if key is None or len(rows) < 2:
            return None, Merged()  # erased or expired meanwhile
        try:
            texts = [self._decompressor.decompress(_opened(key, row)) for row in rows]
        except Tampered:
            return None, Merged(tampered=1)
        day = place.day
        text = self._compressor.compress(_joined(texts))
        sealed = activity.seal(key, place.tenant, number, day, text)
        total = sum(row.rows for row in rows)
        block = activity.Block(number, place.tenant, place.subject, day, place.expires, total, sealed)
        return block, Merged(len(rows), 1)


def _opened(key: PersonKey, row: activity.Block) -> bytes:
    return activity.open_block(key, row.tenant, row.block, row.day, row.sealed)


def _chunks(groups: Sequence[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
    chunk: list[Sequence[int]] = []
    blocks = 0
    for group in groups:
        chunk.append(group)
        blocks += len(group)
        if blocks >= CHUNK_BLOCKS:
            yield chunk
            chunk, blocks = [], 0
    if chunk:
        yield chunk


def _joined(texts: Sequence[bytes]) -> bytes:
    """One JSON of columns: the rows of the blocks as they come, newest block first, as `Activity.read` takes them."""
    parts = [orjson.loads(text) for text in texts]
    names = dict.fromkeys(name for part in parts for name in part)
    absent = [[None] * len(part["timestamp"]) for part in parts]
    return orjson.dumps({
        name: [value for part, nulls in zip(parts, absent, strict=True) for value in part.get(name) or nulls]
        for name in names
    })  # fmt: skip


def _locked(connection: sa.Connection, blocks: Sequence[int]) -> list[activity.Block]:
    """Those of `blocks` that are there, in the order asked for."""
    table = records.activity
    found: dict[int, activity.Block] = {}
    for part in records.chunks(blocks):
        for row in connection.execute(sa.select(table).where(table.c.block.in_(part)).with_for_update()):
            days = row.day.isoformat(), row.expires.isoformat()
            found[row.block] = activity.Block(row.block, row.tenant, row.subject, *days, row.rows, row.sealed)
    return [found[block] for block in blocks if block in found]


def _replace(connection: sa.Connection, gone: Sequence[int], fresh: Sequence[activity.Block]) -> None:
    table = records.activity
    for part in records.chunks(gone):
        connection.execute(sa.delete(table).where(table.c.block.in_(part)))
    records.insert_many(connection, table, activity.Block._fields, fresh)
