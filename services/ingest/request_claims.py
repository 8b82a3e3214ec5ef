"""Claims on request bodies: what makes sending one again safe.

A body is known by its Idempotency-Key, or by its own digest when all its lines carry their own time. The
claim is written before the rows are published and holds the origin they are published under, so that a
retry after a crash in between uses the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from services.ingest.file_claims import insert_new
from services.ingest.fingerprints import pack_positions, unpack_positions
from services.ingest.records import request_claims
from services.ingest.source_counts import Tally, count
from services.runtime.database import transaction

__all__ = ["BODY_TERM", "KEY_TERM", "ClaimId", "RequestClaim", "RequestClaims"]

KEY_TERM = timedelta(hours=72)  # the raw topic's: as long as anything could still be published twice
BODY_TERM = timedelta(minutes=10)  # collectors retry within that; later, an equal body may well be a new one

ClaimId = tuple[str, str]  # (source, claim)


@dataclass(frozen=True, slots=True)
class RequestClaim:
    """`claim`: keyed digest of what makes a body known; `body`: of the body; `lines` in it, of which those at
    the positions `exceptions` were rejected, known once `done`."""

    source: str
    claim: str
    origin: str
    body: str
    lines: int
    expires_at: datetime
    done: bool = False
    exceptions: Sequence[int] = ()
    revision: int = 0

    @property
    def id(self) -> ClaimId:
        return self.source, self.claim


class RequestClaims:
    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def begin(self, wanted: Sequence[RequestClaim], now: datetime) -> Mapping[ClaimId, RequestClaim]:
        """Each wanted claim as it stands: just written, or as an earlier request left it."""
        if not wanted:
            return {}
        with transaction(self._engine) as connection:
            expired = request_claims.c.expires_at <= now.isoformat()
            connection.execute(request_claims.delete().where(_any_of(wanted), expired))
            for claim in wanted:
                insert_new(connection, request_claims, _row(claim))
            rows = connection.execute(sa.select(request_claims).where(_any_of(wanted))).all()
        return {(row.source, row.claim): _claim(row) for row in rows}

    def finish(
        self, done: Sequence[RequestClaim], tallies: Callable[[frozenset[ClaimId]], Sequence[Tally]]
    ) -> frozenset[ClaimId]:
        """Mark as taken, durable; returns those that no other request had taken meanwhile. `tallies` says what then
        became of the lines, which is counted in the same transaction."""
        with transaction(self._engine) as connection:
            won = frozenset(claim.id for claim in done if self._finish(connection, claim))
            count(connection, tallies(won))
        return won

    def forget(self, now: datetime) -> int:
        """Delete what is past its term."""
        with transaction(self._engine) as connection:
            return connection.execute(
                request_claims.delete().where(request_claims.c.expires_at <= now.isoformat())
            ).rowcount

    def _finish(self, connection: sa.Connection, claim: RequestClaim) -> bool:
        mine = (request_claims.c.source == claim.source) & (request_claims.c.claim == claim.claim)
        same = (request_claims.c.revision == claim.revision) & (request_claims.c.origin == claim.origin)
        values = {"done": True, "exceptions": pack_positions(claim.exceptions), "revision": claim.revision + 1}
        return connection.execute(request_claims.update().where(mine, same).values(**values)).rowcount == 1


def _any_of(claims: Sequence[RequestClaim]) -> sa.ColumnElement[bool]:
    return sa.tuple_(request_claims.c.source, request_claims.c.claim).in_([claim.id for claim in claims])


def _row(claim: RequestClaim) -> dict[str, object]:
    names = ("source", "claim", "origin", "body", "lines", "done", "revision")
    row: dict[str, object] = {name: getattr(claim, name) for name in names}
    return row | {"exceptions": pack_positions(claim.exceptions), "expires_at": claim.expires_at.isoformat()}


def _claim(row: sa.Row[tuple[object, ...]]) -> RequestClaim:
    found = dict(row._mapping)
    found["exceptions"] = unpack_positions(bytes(found["exceptions"]))
    found["expires_at"] = datetime.fromisoformat(found["expires_at"])
    return replace(RequestClaim(**found), done=bool(found["done"]))
