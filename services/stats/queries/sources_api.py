"""`GET /api/v1/sources`: what the collection page shows, for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from fastapi import APIRouter, Request, params
from pydantic import BaseModel, Field

from services.runtime.clock import Clock
from services.stats.collection.reports import BLOCK, LAG, SPOOL, Collection, Gauge
from services.stats.collection.senders import Sender, senders
from services.stats.description import ERRORS
from services.stats.figures.disclosure import ROUNDING

__all__ = ["SourcesAnswer", "sources_answer", "sources_router"]


class AlertEntry(BaseModel):
    kind: str = Field(description="`refused`: requests, by code. `rejected`: lines, most of them by this code.")
    code: str
    count: int
    since: datetime


class SourceEntry(BaseModel):
    """Counts are of the last 24 hours."""

    source: str
    tenant: str
    last_seen: datetime | None = Field(description="When the block of five minutes began in which its last line came.")
    accepted: int
    duplicates: int
    rejected: dict[str, int] = Field(description="Lines, by reason.")
    refused: dict[str, int] = Field(description="Requests, by code.")
    lines: list[int] = Field(description="In each block from `meta.first_block` on, rounded.")
    alerts: list[AlertEntry]


class SourcesMeta(BaseModel):
    first_block: datetime | None
    block_s: int
    rounding: int = Field(description="Of counts; 1: exact, for who may see every tenant.")
    spool_bytes: int | None = Field(description="What waits at ingest for the event log; null: not yours to see.")
    lag_records: int | None = Field(description="Batches that are not counted yet; null: not yours to see.")
    reported_at: datetime | None


class SourcesAnswer(BaseModel):
    results: list[SourceEntry]
    meta: SourcesMeta


def sources_router(collection: Collection, clock: Clock, asking: Sequence[params.Depends]) -> APIRouter:
    """`asking`: what `api.asking` gives."""
    router = APIRouter(prefix="/api/v1", tags=["sources"])

    @router.get("/sources", responses=ERRORS, dependencies=asking)
    def sources(request: Request) -> SourcesAnswer:
        """The log sources of the asker's tenants: what came of their lines, and who is being refused."""
        return sources_answer(collection, request.state.scope.tenants, clock.now())

    return router


def sources_answer(collection: Collection, tenants: frozenset[str] | None, now: datetime) -> SourcesAnswer:
    found = senders(collection, tenants, now)
    return SourcesAnswer(
        results=[_entry(sender) for sender in found],
        meta=_meta(found, collection.gauges(), operator=tenants is None),
    )


def _entry(sender: Sender) -> SourceEntry:
    return SourceEntry(
        source=sender.name,
        tenant=sender.tenant,
        last_seen=sender.last_block,
        accepted=sender.accepted,
        duplicates=sender.duplicates,
        rejected=dict(sender.rejected),
        refused=dict(sender.refused),
        lines=list(sender.series),
        alerts=[AlertEntry(kind=a.kind, code=a.code, count=a.count, since=a.since) for a in sender.alerts],
    )


def _meta(found: list[Sender], gauges: Mapping[str, Gauge], *, operator: bool) -> SourcesMeta:
    spools = [gauge for name, gauge in gauges.items() if name.startswith(SPOOL)]
    lag = gauges.get(LAG)
    return SourcesMeta(
        first_block=found[0].first_block if found else None,
        block_s=int(BLOCK.total_seconds()),
        rounding=1 if operator else ROUNDING,
        spool_bytes=sum(gauge.value for gauge in spools) if operator and spools else None,
        lag_records=lag.value if operator and lag else None,
        reported_at=max((gauge.at for gauge in spools), default=None),
    )
