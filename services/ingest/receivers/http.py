"""`POST /api/v1/ingest/{source}`: the contract with senders.

What shippers do decides it: 200 for all or part accepted and durable (never 207, which some send again for
ever), 4xx only for what a repeat cannot mend (they drop the batch then), 503 with Retry-After for a fault
that passes. No answer repeats a line or an address: shippers log answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from services.ingest.accounting import Outcome
from services.ingest.committer import Committer, Submission
from services.ingest.fingerprints import Fingerprints
from services.ingest.meters import Meters
from services.ingest.preparing import Policy, prepare
from services.ingest.receivers.bodies import BodyError, Decompress, body_lines, decompressor, media_type
from services.ingest.receivers.gate import Gate, Refused
from services.ingest.request_claims import BODY_TERM, KEY_TERM, RequestClaim
from services.ingest.sources import Source
from services.runtime.clock import Clock
from services.runtime.errors import Poison, Transient
from services.runtime.web.guard import Limits
from services.runtime.web.problems import Problem
from services.runtime.web.shell import create_app

__all__ = ["HttpReceiver", "ingest_app"]

ERRORS_SHOWN = 20  # enough to see what is wrong; the counts are complete
BODY_S_MAX = 30.0  # a sender slower than that holds memory for nothing
UNDER_WAY_MAX = 64  # bodies held at once; with 16 MB each at most, and most are a thousandth of that
WORKERS = 4  # parsing is polars' own threads; these only keep it fed
IDEMPOTENCY_KEY_CHARS_MAX = 255
BUSY_RETRY_S = 1


@dataclass(frozen=True, slots=True)
class HttpReceiver:
    """What a request needs. `new_origin` gives a random name, never the same twice."""

    gate: Gate
    committer: Committer
    fingerprints: Fingerprints
    policy: Policy
    meters: Meters
    clock: Clock
    body_bytes_max: int
    new_origin: Callable[[], str]

    def prepare(self, source: Source, body: bytes, media: str, decompress: Decompress, key: str | None) -> Submission:
        """Everything before the durable part; for a worker thread. Raises `BodyError`."""
        text = decompress(body, self.body_bytes_max)
        self.meters.text("http", len(text))
        lines, format_ = body_lines(text, media, source)
        prepared = prepare(lines, format_, source, self.policy, self.clock.now())
        self.meters.cut(prepared)
        origin = self.new_origin()
        known = key is not None or (prepared.timed and len(lines) > 0)
        claim = self._claim(source, text, key, origin, len(lines)) if known else None
        return Submission(source.name, origin, prepared, claim)

    def _claim(self, source: Source, text: bytes, key: str | None, origin: str, lines: int) -> RequestClaim:
        body = self.fingerprints.text(text)
        kind, value, term = ("body", body, BODY_TERM) if key is None else ("key", key, KEY_TERM)
        name = self.fingerprints.origin("request", source.tenant, source.name, kind, value)
        return RequestClaim(source.name, name, origin, body, lines, self.clock.now() + term)


def ingest_app(receiver: HttpReceiver, ready: Callable[[], Sequence[str]]) -> FastAPI:
    """The service's application. `ready` names what is missing (empty: ready)."""
    metrics = receiver.meters.metrics
    limits = Limits(body_bytes=None, body_s=BODY_S_MAX)
    app = create_app("Voile ingest", metrics=metrics, ready=ready, hosts=None, limits=limits)
    app.include_router(_routes(_Desk(receiver)))
    return app


def _routes(desk: _Desk) -> APIRouter:
    router = APIRouter(prefix="/api/v1/ingest", tags=["ingest"])

    @router.get("/check", status_code=204, response_class=Response, responses=_PROBLEMS, summary="Is my key good?")
    def check(request: Request) -> Response:
        """204 when it is. Collectors do not show a 401: ask here after setting one up."""
        desk.check(request.headers)
        return Response(status_code=204)

    @router.post("/{source}", responses=_RESPONSES, openapi_extra=_BODY, summary="Send log lines or events")
    async def ingest(source: str, request: Request) -> Response:
        """All or part accepted, and durable, when it answers 200. Safe to repeat with an Idempotency-Key."""
        return await desk.take(source, request)

    return router


class _Desk:
    """One process's counter: how many bodies are under way, and the threads that work on them."""

    def __init__(self, receiver: HttpReceiver) -> None:
        self._receiver = receiver
        self._pool = ThreadPoolExecutor(WORKERS, "ingest")
        self._under_way = 0

    def check(self, headers: Mapping[str, str]) -> Source:
        try:
            return self._receiver.gate.check(headers)
        except Refused as refused:
            raise self._refusal(refused) from None

    async def take(self, source: str, request: Request) -> Response:
        if self._under_way >= UNDER_WAY_MAX:
            raise self._problem(503, "busy", "Too much at once; send it again.", retry_s=BUSY_RETRY_S)
        self._under_way += 1
        known = ""
        try:
            in_thread = asyncio.get_running_loop().run_in_executor
            found = await in_thread(self._pool, self._receiver.gate.admit, request.headers, source)
            known = found.name
            return await self._take(found, request)
        except Refused as refused:
            raise self._refusal(refused) from None
        except BodyError as error:
            raise self._problem(error.status, error.code, error.detail, source=known) from None
        except Poison as poison:
            detail = "This Idempotency-Key was sent before with another body; use a new one for each body."
            raise self._problem(422, poison.reason, detail, source=known) from None
        except Transient as error:
            raise self._problem(503, "not_durable", str(error), retry_s=error.retry_after_s, source=known) from None
        finally:
            self._under_way -= 1

    async def _take(self, source: Source, request: Request) -> Response:
        receiver, headers = self._receiver, request.headers
        in_thread = asyncio.get_running_loop().run_in_executor
        media, decompress = (
            media_type(headers.get("content-type", "")),
            decompressor(headers.get("content-encoding", "")),
        )
        key = _idempotency_key(headers)
        body = await _read(request, receiver.body_bytes_max)
        submission = await in_thread(self._pool, receiver.prepare, source, body, media, decompress, key)
        outcome = await asyncio.wrap_future(receiver.committer.submit(submission))
        receiver.meters.lines(outcome)
        return JSONResponse(_answer(outcome, submission, str(request.scope.get("request_id", ""))))

    def _refusal(self, refused: Refused) -> Problem:
        headers = {"www-authenticate": 'Bearer realm="voile"'} if refused.status == 401 else {}
        return self._problem(refused.status, refused.code, refused.detail, headers, source=refused.source)

    def _problem(
        self,
        status: int,
        code: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        retry_s: int | None = None,
        *,
        source: str = "",
    ) -> Problem:
        self._receiver.meters.refused(source, code, self._receiver.clock.now())
        wait = {} if retry_s is None else {"retry-after": str(retry_s)}
        return Problem(status, _TITLES[status], detail, headers={**(headers or {}), **wait}, code=code)


async def _read(request: Request, limit: int) -> bytes:
    """The body as sent; a compressed one can never be larger than what it may unpack to."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise BodyError(413, "too_large", f"The body is larger than {limit} bytes; send less at once.")
        parts.append(part)
    return b"".join(parts)


def _idempotency_key(headers: Mapping[str, str]) -> str | None:
    key = headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= IDEMPOTENCY_KEY_CHARS_MAX:
        raise BodyError(
            400, "bad_idempotency_key", f"An Idempotency-Key has 1 to {IDEMPOTENCY_KEY_CHARS_MAX} characters."
        )
    return key


def _answer(outcome: Outcome, submission: Submission, request_id: str) -> dict[str, Any]:
    shown = submission.prepared.rejects.head(ERRORS_SHOWN) if outcome.rejected else submission.prepared.rejects.clear()
    return {
        "accepted": outcome.accepted,
        "rejected": outcome.rejected_lines,
        "duplicates": outcome.duplicates,
        "request_id": request_id,
        "errors": [{"index": index, "code": code} for index, code in shown.iter_rows()],
    }


_TITLES = {
    400: "The body is not usable",
    401: "No good key",
    403: "The key does not allow this",
    413: "Too large",
    415: "Not a kind of body that is read here",
    422: "The Idempotency-Key is taken",
    503: "Not durable now; send it again",
}
_PROBLEM = {"content": {"application/problem+json": {"schema": {"type": "object"}}}}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {**_PROBLEM, "description": text} for status, text in _TITLES.items()
}
_COUNT = {"type": "integer", "minimum": 0}
_ERROR = {"type": "object", "properties": {"index": _COUNT, "code": {"type": "string"}}}
_ANSWER = {
    "type": "object",
    "required": ["accepted", "rejected", "duplicates", "request_id", "errors"],
    "properties": {
        **{"accepted": _COUNT, "rejected": _COUNT, "duplicates": _COUNT, "request_id": {"type": "string"}},
        "errors": {"type": "array", "maxItems": ERRORS_SHOWN, "items": _ERROR},
    },
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "All or part accepted, and durable", "content": {"application/json": {"schema": _ANSWER}}},
    **_PROBLEMS,
}
_EVENT = {"type": "object", "required": ["client_address"]}
_BODY: dict[str, Any] = {
    "parameters": [{"name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string"}}],
    "requestBody": {
        "required": True,
        "content": {
            "text/plain": {"schema": {"type": "string"}},
            "application/x-ndjson": {"schema": {"type": "string"}},
            "application/json": {"schema": {"oneOf": [_EVENT, {"type": "array", "items": _EVENT}]}},
        },
    },
}
