"""What a sender is answered, in its own language: Voile's JSON and problem+json, or OTLP's messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import orjson
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceResponse,
)
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from services.ingest.accounting import Outcome
from services.ingest.preparing import Prepared
from services.ingest.receivers.otlp import JSON, PROTOBUF
from services.ingest.receivers.refusals import TITLES, Refusal
from services.runtime.web.problems import Problem, problem_response

__all__ = ["ERRORS_SHOWN", "Answers", "Native", "Otlp"]

ERRORS_SHOWN = 20  # enough to see what is wrong; the counts are complete

# google.rpc.Code for each of our statuses, by google/rpc/code.proto.
_CODES: Mapping[int, int] = {400: 3, 401: 16, 403: 7, 413: 3, 415: 3, 429: 8, 503: 14}
_CHALLENGE = 'Bearer realm="voile", Basic realm="voile"'


class Answers(Protocol):
    """Nothing of a line or an address may be in any of them: senders log answers."""

    def accepted(self, request: Request, outcome: Outcome, prepared: Prepared) -> Response: ...

    def refused(self, request: Request, refusal: Refusal) -> Response: ...


class Native:
    """Counts and the first errors by index; RFC 9457 when refused."""

    def accepted(self, request: Request, outcome: Outcome, prepared: Prepared) -> Response:
        shown = prepared.rejects.head(ERRORS_SHOWN) if outcome.rejected else prepared.rejects.clear()
        body = {
            "accepted": outcome.accepted,
            "rejected": outcome.rejected_lines,
            "duplicates": outcome.duplicates,
            "request_id": str(request.scope.get("request_id", "")),
            "errors": [{"index": index, "code": code} for index, code in shown.iter_rows()],
        }
        return JSONResponse(body)

    def refused(self, request: Request, refusal: Refusal) -> Response:
        status, headers = refusal.status, _headers(refusal)
        problem = Problem(status, TITLES[status], refusal.detail, headers=headers, code=refusal.code)
        return problem_response(request, problem)


class Otlp:
    """ExportLogsServiceResponse and google.rpc.Status, in the encoding that was sent."""

    def __init__(self, media: str) -> None:
        self._media = media if media in {PROTOBUF, JSON} else JSON  # who sent neither is most likely to read JSON

    def accepted(self, request: Request, outcome: Outcome, prepared: Prepared) -> Response:  # noqa: ARG002  # one shape for both
        if not outcome.rejected:
            return self._response(ExportLogsServiceResponse().SerializeToString(), {})
        count, message = outcome.rejected_lines, _summary(outcome)
        partial = ExportLogsPartialSuccess(rejected_log_records=count, error_message=message)
        # 64-bit numbers are texts in protobuf's JSON
        as_json = {"partialSuccess": {"rejectedLogRecords": str(count), "errorMessage": message}}
        return self._response(ExportLogsServiceResponse(partial_success=partial).SerializeToString(), as_json)

    def refused(self, request: Request, refusal: Refusal) -> Response:  # noqa: ARG002  # one shape for both
        code, message = _CODES[refusal.status], f"{refusal.code}: {refusal.detail}"
        status = Status(code=code, message=message).SerializeToString()
        return self._response(status, {"code": code, "message": message}, refusal.status, _headers(refusal))

    def _response(
        self, packed: bytes, as_json: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Response:
        body = packed if self._media == PROTOBUF else orjson.dumps(as_json)
        return Response(body, status, dict(headers or {}), self._media)


def _summary(outcome: Outcome) -> str:
    """Reasons with their counts: the senders' own logs are often all that their operators see."""
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(outcome.rejected.items()))
    return f"{outcome.rejected_lines} of {outcome.lines} records rejected: {reasons}"


def _headers(refusal: Refusal) -> dict[str, str]:
    headers = {} if refusal.retry_s is None else {"retry-after": str(refusal.retry_s)}
    return headers | (
        {"www-authenticate": 'Bearer realm="voile", Basic realm="voile"'} if refusal.status == 401 else {}
    )
