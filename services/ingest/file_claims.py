"""What was already taken of which file: claims that make importing a file again safe.

An origin is named by the keyed digest of the head of its text; what was taken is a list of chunks with
digests of their text. A chunk is recorded only when its rows are durable. Two imports at once both
publish; the one whose record comes second finds that out here, and consumers absorb its rows.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from services.ingest.fingerprints import Fingerprints, pack_positions, unpack_positions
from services.ingest.records import claim_chunks, file_claims
from services.ingest.source_counts import Tally, count
from services.ingest.sources import Source
from services.runtime.database import insert_into, transaction

__all__ = ["HEAD_BYTES", "Chunk", "FileClaim", "FileClaims", "head_of", "insert_new"]

HEAD_BYTES = 1024  # enough for two lines with times: two different logs do not begin alike


@dataclass(frozen=True, slots=True)
class Chunk:
    """Text taken: bytes `first`..`first + length`, `digests` of its blocks, `lines` in it, of which those at
    the positions `exceptions` were rejected. `revision` counts how often the exceptions were tried again."""

    first: int
    length: int
    digests: bytes
    lines: int
    exceptions: Sequence[int]
    revision: int = 0

    @property
    def end(self) -> int:
        return self.first + self.length


@dataclass(frozen=True, slots=True)
class FileClaim:
    """One origin and its chunks, sorted, without gaps from 0."""

    origin: str
    prefix_bytes: int
    prefix_digest: str
    chunks: Sequence[Chunk]

    @property
    def end(self) -> int:
        return self.chunks[-1].end if self.chunks else 0

    def chunk_at(self, first: int) -> Chunk | None:
        found = self.chunk_over(first)
        return found if found and found.first == first else None

    def chunk_over(self, position: int) -> Chunk | None:
        """The chunk that holds this position."""
        at = bisect.bisect_right(self.chunks, position, key=_first) - 1
        return self.chunks[at] if at >= 0 and position < self.chunks[at].end else None

    def having(self, chunk: Chunk) -> FileClaim:
        """With this chunk in place of those from its first position on."""
        return replace(self, chunks=[*self.chunks[: bisect.bisect_left(self.chunks, chunk.first, key=_first)], chunk])

    def amended(self, chunk: Chunk, exceptions: Sequence[int]) -> FileClaim:
        newer = replace(chunk, exceptions=exceptions, revision=chunk.revision + 1)
        return replace(self, chunks=[newer if c is chunk else c for c in self.chunks])

    def begins_as(self, other: FileClaim, end: int) -> bool:
        """True when both took the same text up to `end`."""
        mine = [(c.first, c.length, c.digests) for c in self.chunks if c.end <= end]
        return mine == [(c.first, c.length, c.digests) for c in other.chunks if c.end <= end]


class FileClaims:
    def __init__(self, engine: sa.Engine, fingerprints: Fingerprints) -> None:
        self._engine, self._fingerprints = engine, fingerprints

    def matching(self, source: Source, head: bytes) -> list[FileClaim]:
        """Claims of texts that begin like `head` (the first `HEAD_BYTES`, or all there is), most taken first.

        A file that was shorter than that when it was first seen has a shorter prefix, so each length that
        occurs is tried; but for none at all, with which every file begins.
        """
        with transaction(self._engine) as connection:
            lengths = sa.select(file_claims.c.prefix_bytes).where(file_claims.c.source == source.name).distinct()
            sizes = [n for (n,) in connection.execute(lengths) if 0 < n <= len(head)]
            digests = [self._prefix(source, head[:size]) for size in sizes]
            query = sa.select(file_claims).where(file_claims.c.prefix_digest.in_(digests))
            rows = connection.execute(query.where(file_claims.c.source == source.name)).all()
            claims = [self._load(connection, r.origin, r.prefix_bytes, r.prefix_digest) for r in rows]
        return sorted(claims, key=lambda claim: (-sum(c.length for c in claim.chunks), claim.origin))

    def begin(self, source: Source, head: bytes, now: datetime) -> FileClaim:
        """A claim with nothing taken, or the one that another import has just begun. `head` is not empty."""
        prefix = head_of(head)
        assert prefix, "every file would be this one"
        digest = self._prefix(source, prefix)
        origin = self._fingerprints.origin("file", source.tenant, source.name, digest)
        return self._insert(source, FileClaim(origin, len(prefix), digest, ()), now)

    def fork(self, source: Source, claim: FileClaim, end: int, text: bytes, now: datetime) -> FileClaim:
        """The claim of a text that is like `claim`'s up to `end` and goes on with `text`, which is not.

        What was verified up to there stays taken. The name follows from the text, so two imports of the
        same file at once fork into the same origin.
        """
        origin = self._fingerprints.origin("fork", claim.origin, str(end), self._fingerprints.blocks(text))
        shared = [chunk for chunk in claim.chunks if chunk.end <= end]
        return self._insert(source, FileClaim(origin, claim.prefix_bytes, claim.prefix_digest, shared), now)

    def reload(self, claim: FileClaim) -> FileClaim:
        with transaction(self._engine) as connection:
            return self._load(connection, claim.origin, claim.prefix_bytes, claim.prefix_digest)

    def record(self, claim: FileClaim, chunk: Chunk, tally: Tally, over: Chunk | None = None) -> bool:
        """Mark as taken, after all that is taken already or in place of the last chunk, `over`, which `chunk`
        extends, and count what became of the lines. False when another import was first: then nothing is changed."""
        with transaction(self._engine) as connection:
            if self._end(connection, claim.origin) != (over.end if over else chunk.first):
                return False
            put = self._extend(connection, claim.origin, over, chunk) if over else self._put(connection, claim, chunk)
            if put:
                count(connection, [tally])
            return put

    def amend(self, claim: FileClaim, chunk: Chunk, exceptions: Sequence[int], tally: Tally) -> bool:
        """Mark as taken what was rejected before, and count it; False when another import did so meanwhile."""
        mine = (claim_chunks.c.origin == claim.origin) & (claim_chunks.c.first == chunk.first)
        values = {"exceptions": pack_positions(exceptions), "revision": chunk.revision + 1}
        statement = claim_chunks.update().where(mine, claim_chunks.c.revision == chunk.revision).values(**values)
        with transaction(self._engine) as connection:
            mine_now = connection.execute(statement).rowcount == 1
            if mine_now:
                count(connection, [tally])
            return mine_now

    def count(self, tally: Tally) -> None:
        """Lines that no chunk is marked as taken for: they were taken before, or are not taken yet."""
        if tally.outcome.lines:
            with transaction(self._engine) as connection:
                count(connection, [tally])

    def _prefix(self, source: Source, prefix: bytes) -> str:
        return self._fingerprints.origin("prefix", source.tenant, source.name, _telling(prefix))

    def _insert(self, source: Source, claim: FileClaim, now: datetime) -> FileClaim:
        row = {"origin": claim.origin, "source": source.name, "prefix_bytes": claim.prefix_bytes}
        row |= {"prefix_digest": claim.prefix_digest, "created_at": now.isoformat()}
        with transaction(self._engine) as connection:
            if insert_new(connection, file_claims, row):
                for chunk in claim.chunks:
                    self._put(connection, claim, chunk)
            return self._load(connection, claim.origin, claim.prefix_bytes, claim.prefix_digest)

    def _end(self, connection: sa.Connection, origin: str) -> int:
        """How far is taken; nobody else records for this origin before the transaction ends. (Without the lock
        PostgreSQL would let two see the same end; SQLite has one writer.)"""
        lock = sa.select(file_claims.c.origin).where(file_claims.c.origin == origin).with_for_update()
        connection.execute(lock)
        ends = sa.select(claim_chunks.c.first + claim_chunks.c.length).where(claim_chunks.c.origin == origin)
        return connection.execute(ends.order_by(claim_chunks.c.first.desc()).limit(1)).scalar() or 0

    def _extend(self, connection: sa.Connection, origin: str, over: Chunk, chunk: Chunk) -> bool:
        values = {"length": chunk.length, "digests": chunk.digests, "lines": chunk.lines}
        values |= {"exceptions": pack_positions(chunk.exceptions), "revision": chunk.revision}
        mine = (claim_chunks.c.origin == origin) & (claim_chunks.c.first == over.first)
        statement = claim_chunks.update().where(mine, claim_chunks.c.revision == over.revision).values(**values)
        return connection.execute(statement).rowcount == 1

    def _put(self, connection: sa.Connection, claim: FileClaim, chunk: Chunk) -> bool:
        row = {"origin": claim.origin, "first": chunk.first, "length": chunk.length, "digests": chunk.digests}
        row |= {"lines": chunk.lines, "exceptions": pack_positions(chunk.exceptions), "revision": chunk.revision}
        return insert_new(connection, claim_chunks, row)

    def _load(self, connection: sa.Connection, origin: str, prefix_bytes: int, prefix_digest: str) -> FileClaim:
        query = sa.select(claim_chunks).where(claim_chunks.c.origin == origin).order_by(claim_chunks.c.first)
        chunks = [
            Chunk(r.first, r.length, bytes(r.digests), r.lines, unpack_positions(bytes(r.exceptions)), r.revision)
            for r in connection.execute(query)
        ]
        return FileClaim(origin, prefix_bytes, prefix_digest, chunks)


def _first(chunk: Chunk) -> int:
    return chunk.first


def insert_new(connection: sa.Connection, table: sa.Table, row: dict[str, object]) -> bool:
    """Insert unless a row with this key stands; False when it does. (`rowcount` of an INSERT is not to be had
    from every driver, RETURNING is.)"""
    statement = insert_into(connection, table).values(**row).on_conflict_do_nothing()
    statement = statement.returning(*table.primary_key.columns)
    return connection.execute(statement).first() is not None


def head_of(text: bytes) -> bytes:
    """The first `HEAD_BYTES`, cut back to a line end when there is one."""
    head = text[:HEAD_BYTES]
    return head[: head.rfind(b"\n") + 1] or head


def _telling(prefix: bytes) -> bytes:
    """What of the head tells files apart: no `#` lines (IIS writes the same ones daily), no NULs (of a crash)."""
    lines = [line for line in prefix.replace(b"\x00", b"").split(b"\n") if line and not line.startswith(b"#")]
    return b"\n".join(lines) or prefix
