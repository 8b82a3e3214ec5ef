"""`POST /api/v1/query`: published figures for programs, in the shape of Plausible's Stats API v2."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Request, params
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from services.runtime.web.problems import Problem
from services.runtime.web.quota import Quota
from services.runtime.web.sessions import EVERY_TENANT
from services.runtime.web.signin import SignInNeeded, author, session_of
from services.stats.api_keys import ApiKeys
from services.stats.queries import QueryError, Scope, as_csv

__all__ = [
    "CSV_TYPE",
    "ERRORS",
    "Answerer",
    "Query",
    "QueryService",
    "asking",
    "csv_response",
    "query_router",
    "scope_of",
]

QUERIES_PER_HOUR = 600  # Plausible's limit for a key; a dashboard in Grafana with ten panels asks 120 times an hour

CSV_TYPE = "text/csv; charset=utf-8"
Answerer = Callable[[Mapping[str, Any], Scope], dict[str, Any]]  # `Queries.answer`


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Pagination(_Strict):
    limit: int = Field(10_000, ge=1, le=10_000)
    offset: int = Field(0, ge=0)


class Query(_Strict):
    """What is asked. Unknown metrics, dimensions and filters are refused with the list of what exists."""

    site_id: str = Field(description="The tenant.", examples=["chess-club"])
    metrics: list[str] = Field(min_length=1, examples=[["visitors", "pageviews"]])
    date_range: str | tuple[str, str] = Field(
        description="`day`, `7d`, `30d`, ... or two dates, both included.", examples=[["2026-03-01", "2026-03-31"]]
    )
    dimensions: list[str] = Field(default_factory=list, examples=[["event:page"]])
    filters: list[Any] = Field(
        default_factory=list,
        description="One at most: `is` with one value.",
        examples=[[["is", "visit:country", ["FR"]]]],
    )
    order_by: list[tuple[str, Literal["asc", "desc"]]] = Field(default_factory=list, examples=[[["visitors", "desc"]]])
    include: dict[str, Any] = Field(default_factory=dict)
    pagination: Pagination = Field(default_factory=Pagination)


class ResultRow(BaseModel):
    """Values in the order of the request. A metric that may not be shown is null."""

    dimensions: list[str]
    metrics: list[float | None]


class QueryAnswer(BaseModel):
    results: list[ResultRow]
    meta: dict[str, Any] = Field(description="`privacy`: threshold, rounding. `freshness`: what is provisional.")
    query: dict[str, Any] = Field(description="The request as it was understood.")


class ProblemDocument(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str | None = None
    field: str | None = Field(None, description="The part of the request that is wrong.")
    choices: list[str] | None = Field(None, description="What exists instead.")
    request_id: str


@dataclass(frozen=True, slots=True)
class QueryService:
    """What the route needs."""

    answer: Answerer
    keys: ApiKeys
    quota: Quota


_PROBLEM: dict[str, Any] = {"content": {"application/problem+json": {}}, "model": ProblemDocument}


ERRORS: dict[int | str, dict[str, Any]] = {
    401: _PROBLEM | {"description": "No key, or one that is not good (any more)."},
    429: _PROBLEM | {"description": f"More than {QUERIES_PER_HOUR} requests an hour."},
}

# For the OpenAPI document; `_asker` does the checking, because a session is as good.
_API_KEY = HTTPBearer(scheme_name="ApiKey", description="From: voile user api-key", auto_error=False)


def query_router(service: QueryService) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["query"])

    @router.post(
        "/query",
        response_model=QueryAnswer,
        responses={
            200: {"content": {"text/csv": {}}, "description": "JSON, or CSV when `Accept` names text/csv first."},
            400: _PROBLEM | {"description": "The field that is wrong is named, with what exists."},
            **ERRORS,
        },
        dependencies=asking(service),
    )
    def query(request: Request, asked: Annotated[Query, Body()]) -> Response:
        """Published figures of one tenant's closed days, and of today as far as it is known (provisional).

        Only what passed the disclosure rule exists here: values are rounded, what too few people share is in
        `(other)`, and one filter at a time can be combined with the dimensions that were declared for it.
        """
        try:
            answer = service.answer(asked.model_dump(mode="json"), request.state.scope)
        except QueryError as error:
            raise Problem(
                400, "The query is not offered", str(error), field=error.field, choices=error.choices
            ) from None
        return csv_response(answer, "figures") if _wants_csv(request) else JSONResponse(answer)

    return router


def asking(service: QueryService) -> list[params.Depends]:
    """Dependencies of a route: `request.state.scope` is then what the asker may see. Refuses who is nobody, and
    who asks too often."""

    async def put_scope(request: Request) -> None:
        request.state.scope = await _asker(request, service)

    return [Depends(_API_KEY), Depends(put_scope)]


async def _asker(request: Request, service: QueryService) -> Scope:
    """Whose tenants: a key's, or the signed-in person's (where a page can write, it sends its CSRF token)."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        session = await run_in_threadpool(session_of, request)
        if session is None:
            raise SignInNeeded
        if request.method != "GET":
            await author(request, session)
        return _within(service.quota, f"user {session.user}", session.tenants)
    found = await run_in_threadpool(service.keys.check, key)
    if found is None:
        raise SignInNeeded
    return _within(service.quota, f"key {found.id}", found.tenants)


def _within(quota: Quota, who: str, tenants: frozenset[str]) -> Scope:
    wait = math.ceil(quota.take(who))
    if wait:
        detail = f"{quota.per_hour} requests an hour are answered; the next one in {wait} s."
        raise Problem(429, "Too many requests", detail, headers={"retry-after": str(wait)})
    return scope_of(tenants)


def scope_of(tenants: frozenset[str]) -> Scope:
    """What a session or a key may ask about."""
    return Scope(None if EVERY_TENANT in tenants else tenants)


def _wants_csv(request: Request) -> bool:
    first = request.headers.get("accept", "").split(",")[0]
    return first.partition(";")[0].strip().lower() == "text/csv"


def csv_response(answer: Mapping[str, Any], name: str) -> Response:
    """An answer's rows as a file to keep. `name` is made of Voile's own words and dates."""
    headers = {"content-disposition": f'attachment; filename="{name}.csv"'}
    return Response(as_csv(answer), headers=headers, media_type=CSV_TYPE)
