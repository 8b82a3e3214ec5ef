"""The API for programs: `POST /api/v1/query` in the shape of Plausible's Stats API v2, and `GET /api/v1/sites`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, params
from fastapi import Query as Parameter
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from services.runtime.web.problems import Problem
from services.runtime.web.quota import Quota
from services.runtime.web.signin import SignInNeeded, author, session_of
from services.stats.access.api_keys import ApiKeys
from services.stats.access.roles import scope_of
from services.stats.access.scope import Scope
from services.stats.description import ANSWER_HEADERS, ERRORS
from services.stats.queries.answers import as_csv
from services.stats.queries.errors import QueryError
from services.stats.queries.models import CSV_EXAMPLE, QUERY_EXAMPLES, Query, QueryAnswer, Site, SitesAnswer, SitesMeta

__all__ = [
    "CSV_TYPE",
    "Answerer",
    "QueryService",
    "asking",
    "csv_response",
    "query_router",
    "take_from",
]

QUERIES_PER_HOUR = 600  # Plausible's limit for a key; a dashboard in Grafana with ten panels asks 120 times an hour
SITES_MAX = 1000  # of one page of the list

CSV_TYPE = "text/csv; charset=utf-8"
_OFFERED = frozenset({"text/csv", "application/json", "application/*", "*/*"})
Answerer = Callable[[Mapping[str, Any], Scope], dict[str, Any]]  # `Queries.answer`


@dataclass(frozen=True, slots=True)
class QueryService:
    """What the routes need. `tenants` names those with figures."""

    answer: Answerer
    tenants: Callable[[], Sequence[str]]
    timezone: str
    keys: ApiKeys
    quota: Quota


# For the OpenAPI document; `_asker` does the checking. One is enough.
_API_KEY = HTTPBearer(scheme_name="ApiKey", description="From: voile stats add-key", auto_error=False)
_SESSION = APIKeyCookie(
    name="__Host-voile_stats",
    scheme_name="Session",
    description="Of a signed-in person; what is not GET also needs the page's `X-CSRF-Token`.",
    auto_error=False,
)

_SAME: dict[str, Any] = {"description": "The answer is still the one of `If-None-Match`.", "headers": ANSWER_HEADERS}


def query_router(service: QueryService) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["figures"], dependencies=asking(service))

    @router.post(
        "/query",
        response_model=QueryAnswer,
        responses={
            200: {
                "description": "JSON, or CSV when `Accept` prefers text/csv.",
                "headers": ANSWER_HEADERS,
                "content": {"text/csv": {"schema": {"type": "string"}, "example": CSV_EXAMPLE}},
            },
            304: _SAME,
            **ERRORS,
        },
    )
    def query(request: Request, asked: Annotated[Query, Body(openapi_examples=QUERY_EXAMPLES)]) -> Response:
        """Figures of closed days, and of today as far as it is known (provisional)."""
        try:
            answer = service.answer(asked.model_dump(mode="json"), request.state.scope)
        except QueryError as error:
            rate = request.state.rate_headers
            raise Problem(
                400, "The query is not offered", str(error), headers=rate, field=error.field, choices=error.choices
            ) from None
        wanted = csv_response(answer, "figures") if _prefers_csv(request) else JSONResponse(answer)
        return _unless_known(request, wanted)

    @router.get(
        "/sites", response_model=SitesAnswer, responses={200: {"headers": ANSWER_HEADERS}, 304: _SAME, **ERRORS}
    )
    def sites(
        request: Request,
        limit: Annotated[int, Parameter(ge=1, le=SITES_MAX)] = SITES_MAX,
        offset: Annotated[int, Parameter(ge=0, le=1 << 31)] = 0,
    ) -> Response:
        """The tenants that you may ask about, by name."""
        scope: Scope = request.state.scope
        names = sorted(service.tenants() if scope.tenants is None else scope.tenants)
        page = [Site(site_id=name, timezone=service.timezone) for name in names[offset : offset + limit]]
        answer = SitesAnswer(sites=page, meta=SitesMeta(total_rows=len(names), limit=limit, offset=offset))
        return _unless_known(request, JSONResponse(answer.model_dump(mode="json")))

    return router


def asking(service: QueryService) -> list[params.Depends]:
    """Dependencies of a route: `request.state.scope` is then what the asker may see, and `request.state.rate_headers`
    what is said of the quota. Refuses who is nobody, and who asks too often."""

    async def put_scope(request: Request, response: Response) -> None:
        who, request.state.scope = await _asker(request, service)
        request.state.rate_headers = take_from(service.quota, who)
        response.headers.update(request.state.rate_headers)

    return [Depends(_API_KEY), Depends(_SESSION), Depends(put_scope)]


async def _asker(request: Request, service: QueryService) -> tuple[str, Scope]:
    """Who, and whose tenants: a key's, or the signed-in person's (what a page can write carries its CSRF token)."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        session = await run_in_threadpool(session_of, request)
        if session is None:
            raise SignInNeeded
        if request.method != "GET":
            await author(request, session)
        return f"user {session.user}", scope_of(session)
    found = await run_in_threadpool(service.keys.check, key)
    if found is None:
        raise SignInNeeded
    return f"key {found.id}", scope_of(found)


def take_from(quota: Quota, who: str) -> dict[str, str]:
    """One request of `who`: what the answer's headers say of the quota. Raises the 429 when there is none left.
    Source of the headers: draft-ietf-httpapi-ratelimit-headers-10."""
    wait = math.ceil(quota.take(who))
    left, full_s = quota.left(who)
    headers = {
        "ratelimit-policy": f'"hour";q={quota.per_hour};w=3600',
        "ratelimit": f'"hour";r={left};t={math.ceil(full_s)}',
    }
    if wait:
        detail = f"{quota.per_hour} requests an hour are answered; the next one in {wait} s."
        raise Problem(429, "Too many requests", detail, headers={"retry-after": str(wait), **headers})
    return headers


def _unless_known(request: Request, answer: Response) -> Response:
    """`answer` with its tag; without its body when the asker has it (RFC 9110 says so of GET; a query is as safe)."""
    tag = f'"{blake2b(bytes(answer.body), digest_size=16).hexdigest()}"'
    headers = {
        **request.state.rate_headers,
        "etag": tag,
        "cache-control": "private, no-cache",
        "vary": "Accept, Authorization, Cookie",
    }
    known = {entry.strip().removeprefix("W/") for entry in request.headers.get("if-none-match", "").split(",")}
    if known & {tag, "*"}:
        return Response(status_code=304, headers=headers)
    answer.headers.update(headers)
    return answer


def _prefers_csv(request: Request) -> bool:
    """Whether `Accept` ranks text/csv highest (RFC 9110, 12.5.1); at equal rank the first one named."""
    best, rank = "", 0.0
    for entry in request.headers.get("accept", "").split(","):
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        if name in _OFFERED and _weight(parameters) > rank:
            best, rank = name, _weight(parameters)
    return best == "text/csv"


def _weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter.removeprefix("q="))
            except ValueError:
                return 0.0
    return 1.0


def csv_response(answer: Mapping[str, Any], name: str) -> Response:
    """An answer's rows as a file to keep. `name` is made of Voile's own words and dates."""
    headers = {"content-disposition": f'attachment; filename="{name}.csv"'}
    return Response(as_csv(answer), headers=headers, media_type=CSV_TYPE)
