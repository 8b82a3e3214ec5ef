"""`POST /api/v1/ingest/{source}` and `POST /v1/logs` (OTLP): the contract with senders.

What shippers do decides it: 200 for all or part accepted and durable (never 207, which some send again for
ever), 4xx only for what a repeat cannot mend (they drop the batch then), 429 and 503 with Retry-After for what
passes. No answer repeats a line or an address: shippers log answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from fastapi import APIRouter, FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from services.ingest.committer import Committer, Submission
from services.ingest.fingerprints import Fingerprints
from services.ingest.formats import Format
from services.ingest.lines import Lines
from services.ingest.meters import Meters
from services.ingest.preparing import Policy, Prepared, prepare
from services.ingest.receivers.answers import Answers, Native, Otlp
from services.ingest.receivers.arrivals import BUSY_RETRY_S, Arrivals
from services.ingest.receivers.bodies import body_lines, media_type
from services.ingest.receivers.description import CHECK, IDEMPOTENCY_KEY_CHARS_MAX, INGEST, OTLP, SECURITY
from services.ingest.receivers.gate import Gate
from services.ingest.receivers.otlp import log_records, otlp_media_type
from services.ingest.receivers.quotas import LineQuotas
from services.ingest.receivers.refusals import BodyError, Refusal
from services.ingest.receivers.together import Together
from services.ingest.receivers.unpacking import Decompress, decompressor
from services.ingest.request_claims import BODY_TERM, KEY_TERM, RequestClaim
from services.ingest.sources import Source
from services.runtime.clock import Clock
from services.runtime.errors import Poison, Transient
from services.runtime.web.guard import Limits
from services.runtime.web.problems import Problem, problem_response
from services.runtime.web.shell import create_app

__all__ = ["HttpReceiver", "ingest_app"]

BODY_S_MAX = 30.0  # a sender slower than that holds memory for nothing
UNDER_WAY_MAX = 64  # bodies that were read and wait for their answer
WORKERS = 4  # unpack bodies and cut them into lines
GATE_WORKERS = 2  # apart from them, so that nobody waits at the gate for another's body to be parsed

T = TypeVar("T")
Reader = Callable[[bytes, str, Source], tuple[Lines, Format]]  # (text, media type, source) -> lines


@dataclass(frozen=True, slots=True)
class HttpReceiver:
    """What a request needs. `new_origin` gives a random name, never the same twice."""

    gate: Gate
    quotas: LineQuotas
    committer: Committer
    fingerprints: Fingerprints
    policy: Policy
    meters: Meters
    clock: Clock
    body_bytes_max: int
    new_origin: Callable[[], str]

    def read(self, kind: _Kind, source: Source, body: bytes) -> _Read:
        """What comes before the lines are prepared; for a worker thread. Raises `BodyError`."""
        text = kind.decompress(body, self.body_bytes_max)
        self.meters.text(kind.receiver, len(text))
        lines, format_ = kind.read(text, kind.media, source)
        origin = self.new_origin()
        return _Read(lines, format_, origin, self._claim(source, text, kind.key, origin, len(lines)))

    def prepare(self, lines: Lines, format_: Format, source: Source) -> Prepared:
        prepared = prepare(lines, format_, source, self.policy, self.clock.now())
        self.meters.cut(prepared)
        return prepared

    def _claim(self, source: Source, text: bytes, key: str | None, origin: str, lines: int) -> RequestClaim:
        body = self.fingerprints.text(text)
        kind, value, term = ("body", body, BODY_TERM) if key is None else ("key", key, KEY_TERM)
        name = self.fingerprints.origin("request", source.tenant, source.name, kind, value)
        return RequestClaim(source.name, name, origin, body, lines, self.clock.now() + term)


@dataclass(frozen=True, slots=True)
class _Read:
    """A body's lines. `claim` holds when they carry their own time, or the body has a key."""

    lines: Lines
    format: Format
    origin: str
    claim: RequestClaim

    def submission(self, source: Source, prepared: Prepared, key: str | None) -> Submission:
        known = key is not None or (prepared.timed and prepared.lines > 0)
        claim = replace(self.claim, lines=prepared.lines)  # without directives, which are no lines of log
        return Submission(source.name, self.origin, prepared, claim if known else None)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a request's headers say of its body."""

    receiver: str
    media: str
    decompress: Decompress
    key: str | None
    read: Reader


def ingest_app(receiver: HttpReceiver, ready: Callable[[], Sequence[str]]) -> FastAPI:
    """The service's application. `ready` names what is missing (empty: ready)."""
    metrics = receiver.meters.metrics
    limits = Limits(body_bytes=None, body_s=BODY_S_MAX)
    app = create_app("Voile ingest", metrics=metrics, ready=ready, hosts=None, limits=limits)
    app.router.redirect_slashes = False  # senders do not follow a redirect, and curl --fail takes it for success
    app.include_router(_routes(_Desk(receiver)))
    _describe(app)
    return app


def _routes(desk: _Desk) -> APIRouter:
    router = APIRouter(tags=["ingest"])

    @router.get("/api/v1/ingest/check", response_class=Response, **CHECK)
    async def check(request: Request) -> Response:
        """204 when it is. Collectors do not show a 401: ask here after setting one up."""
        return await desk.check(request)

    @router.post("/api/v1/ingest/{source}", response_class=Response, **INGEST)
    async def ingest(source: str, request: Request) -> Response:
        """All or part accepted, and durable, when it answers 200. Safe to repeat with an Idempotency-Key."""
        return await desk.take(request, Native(), source, _native)

    @router.post("/v1/logs", response_class=Response, **OTLP)
    async def logs(request: Request) -> Response:
        """The key says which source it is. Safe to repeat within ten minutes: records carry their own time."""
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        return await desk.take(request, Otlp(media), "", _otlp)

    @router.post("/{path:path}", include_in_schema=False)
    async def elsewhere(request: Request) -> Response:
        """A slash too many, or a path of another product: its sender is losing data and shall read why."""
        detail = "Lines go to /api/v1/ingest/SOURCE (no slash behind it), OpenTelemetry's records to /v1/logs."
        return problem_response(
            request, Problem(404, "Nothing is taken at this address", detail, code="no_such_address")
        )

    return router


def _describe(app: FastAPI) -> None:
    """What FastAPI cannot know, and not what it only supposes: a 422 is never answered here."""
    described = app.openapi()  # made once and kept by FastAPI
    described["components"] = {"securitySchemes": SECURITY}
    for operation in (operation for path in described["paths"].values() for operation in path.values()):
        operation["responses"].pop("422", None)


def _native(request: Request) -> _Kind:
    """Raises `BodyError`, before the body is read."""
    media = media_type(request.headers.get("content-type", ""))
    return _Kind("http", media, _decompressor(request), _idempotency_key(request), body_lines)


def _otlp(request: Request) -> _Kind:
    media = otlp_media_type(request.headers.get("content-type", ""))
    return _Kind("otlp", media, _decompressor(request), None, log_records)


def _decompressor(request: Request) -> Decompress:
    return decompressor(", ".join(request.headers.getlist("content-encoding")))


def _idempotency_key(request: Request) -> str | None:
    keys = set(request.headers.getlist("idempotency-key"))
    if len(keys) > 1:
        raise BodyError(400, "bad_idempotency_key", "Two Idempotency-Keys came with one body; send one.")
    key = next(iter(keys), None)
    if key is not None and not 0 < len(key) <= IDEMPOTENCY_KEY_CHARS_MAX:
        detail = f"An Idempotency-Key has 1 to {IDEMPOTENCY_KEY_CHARS_MAX} characters."
        raise BodyError(400, "bad_idempotency_key", detail)
    return key


class _Desk:
    """One process's counter: the bodies that are under way, and the threads that work on them."""

    def __init__(self, receiver: HttpReceiver) -> None:
        self._receiver = receiver
        self._gate_pool = ThreadPoolExecutor(GATE_WORKERS, "gate")
        self._pool = ThreadPoolExecutor(WORKERS, "ingest")
        self._together = Together(receiver.prepare)
        self._arrivals = Arrivals()
        self._under_way = 0

    async def check(self, request: Request) -> Response:
        try:
            with _refusals(""):
                await self._in_thread(self._gate_pool, self._receiver.gate.check, request.headers)
        except Refusal as refusal:
            return self._refuse(request, Native(), refusal)
        return Response(status_code=204)

    async def take(
        self, request: Request, answers: Answers, name: str, kind_of: Callable[[Request], _Kind]
    ) -> Response:
        """`name` of the source that is asked for, or empty: the key's own."""
        receiver = self._receiver
        try:
            with _refusals(""):
                source = await self._in_thread(self._gate_pool, receiver.gate.admit, request.headers, name)
            with _refusals(source.name):
                receiver.quotas.require(source)
                kind = kind_of(request)
                async with self._arrivals.body(request.stream(), receiver.body_bytes_max) as body:
                    return await self._commit(request, answers, source, kind, body)
        except Refusal as refusal:
            return self._refuse(request, answers, refusal)

    async def _commit(self, request: Request, answers: Answers, source: Source, kind: _Kind, body: bytes) -> Response:
        receiver = self._receiver
        with self._place():
            read = await self._in_thread(self._pool, receiver.read, kind, source, body)
            prepared = await asyncio.wrap_future(self._together.submit(read.lines, read.format, source))
            submission = read.submission(source, prepared, kind.key)
            outcome = await asyncio.wrap_future(receiver.committer.submit(submission))
        receiver.meters.lines(outcome)
        receiver.quotas.charge(source, outcome.lines)
        return answers.accepted(request, outcome, prepared)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._under_way >= UNDER_WAY_MAX:
            raise Refusal(503, "busy", "Too much at once; send it again.", retry_s=BUSY_RETRY_S)
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    def _refuse(self, request: Request, answers: Answers, refusal: Refusal) -> Response:
        self._receiver.meters.refused(refusal.source, refusal.code, self._receiver.clock.now())
        return answers.refused(request, refusal)

    @staticmethod
    async def _in_thread(pool: ThreadPoolExecutor, call: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, call, *args)


@contextmanager
def _refusals(source: str) -> Iterator[None]:
    """What can go wrong with a request of `source`, as a status of the contract."""
    try:
        yield
    except Refusal as refusal:
        refusal.source = refusal.source or source
        raise
    except Poison as poison:
        detail = "This Idempotency-Key was sent before with another body; use a new one for each body."
        raise Refusal(400, poison.reason, detail, source=source) from None
    except Transient as error:
        raise Refusal(503, "not_durable", str(error), retry_s=error.retry_after_s, source=source) from None
    except ClientDisconnect:
        raise Refusal(503, "gone", "The sender went away.", retry_s=BUSY_RETRY_S, source=source) from None
    except Problem as problem:
        if problem.status_code != 408:
            raise
        detail = f"The body did not arrive within {BODY_S_MAX:.0f} s; send less at once."
        raise Refusal(503, "slow", detail, retry_s=BUSY_RETRY_S, source=source) from None
