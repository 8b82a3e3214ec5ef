"""What `/openapi.json` says of ingest: every media type, status and header of the contract with senders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.ingest.receivers.answers import ERRORS_SHOWN
from services.ingest.receivers.bodies import MEDIA_TYPES
from services.ingest.receivers.otlp import JSON, PROTOBUF
from services.ingest.receivers.refusals import TITLES

__all__ = ["CHECK", "INGEST", "OTLP", "SECURITY"]

Parts = dict[str, Any]

IDEMPOTENCY_KEY_CHARS_MAX = 255
_RETRIED = frozenset({429, 503})

# Each is enough alone. Basic: the user is the source (or empty), the password its key.
SECURITY: Parts = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_SECURED: Parts = {"security": [{name: []} for name in SECURITY]}

_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_ERROR = {"type": "object", "required": ["index", "code"], "properties": {"index": _COUNT, "code": _TEXT}}
_ANSWER = {
    "type": "object",
    "required": ["accepted", "rejected", "duplicates", "request_id", "errors"],
    "properties": {
        **{"accepted": _COUNT, "rejected": _COUNT, "duplicates": _COUNT, "request_id": _TEXT},
        "errors": {"type": "array", "maxItems": ERRORS_SHOWN, "items": _ERROR},
    },
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        **{"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT},
        **{"code": _TEXT, "request_id": _TEXT},
    },
}
_STATUS = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": {"type": "integer"}, "message": _TEXT},
}
_PARTIAL = {
    "type": "object",
    "properties": {
        "partialSuccess": {
            "type": "object",
            "properties": {"rejectedLogRecords": _TEXT, "errorMessage": _TEXT},
        }
    },
}
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds", "required": True, "schema": {"type": "integer", "minimum": 1}}
}
_ENCODING = {
    "name": "Content-Encoding",
    "in": "header",
    "description": "One of gzip, deflate (with or without zlib's wrapping), zstd.",
    "schema": {"type": "string", "enum": ["identity", "gzip", "deflate", "zstd"]},
}
_IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A name of this body: sent again under it, its lines are duplicates, for three days.",
    "schema": {"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_CHARS_MAX},
}
_EVENT = {
    "type": "object",
    "properties": {
        "timestamp": {"description": "ISO 8601, or a number of s, ms, us or ns; without it, the time of receipt."},
        "client_address": _TEXT,
        "method": _TEXT,
        "path": _TEXT,
        "url": _TEXT,
        "query": _TEXT,
        "host": _TEXT,
        "user_agent": _TEXT,
        "referrer": _TEXT,
        "protocol": _TEXT,
        "account": _TEXT,
        "route": _TEXT,
        "event": _TEXT,
    },
}


def _refusals(statuses: tuple[int, ...], content: Mapping[str, Any]) -> dict[int | str, Parts]:
    return {
        status: {
            "description": TITLES[status],
            "content": content,
            **({"headers": _RETRY_AFTER} if status in _RETRIED else {}),
        }
        for status in statuses
    }


def _body(schemas: Mapping[str, Parts]) -> Parts:
    return {"required": True, "content": {media: {"schema": schema} for media, schema in schemas.items()}}


_PROBLEM_CONTENT = {"application/problem+json": {"schema": _PROBLEM}}
_STATUS_CONTENT = {JSON: {"schema": _STATUS}, PROTOBUF: {"schema": {"type": "string", "format": "binary"}}}
_NATIVE: Mapping[str, Parts] = {
    **{media: {"type": "string", "format": "binary"} for media in MEDIA_TYPES},
    "text/plain": _TEXT,
    "application/json": {"oneOf": [_EVENT, {"type": "array", "items": _EVENT}]},
}

CHECK: Parts = {
    "status_code": 204,
    "responses": _refusals((401, 503), _PROBLEM_CONTENT),
    "openapi_extra": _SECURED,
    "summary": "Is my key good?",
}
INGEST: Parts = {
    "responses": {
        200: {"description": "All or part accepted, and durable", "content": {"application/json": {"schema": _ANSWER}}},
        **_refusals(tuple(TITLES), _PROBLEM_CONTENT),
    },
    "openapi_extra": {**_SECURED, "parameters": [_IDEMPOTENCY, _ENCODING], "requestBody": _body(_NATIVE)},
    "summary": "Send log lines or events",
}
OTLP: Parts = {
    "responses": {
        200: {
            "description": "All or part accepted, and durable",
            "content": {JSON: {"schema": _PARTIAL}, PROTOBUF: {"schema": {"type": "string", "format": "binary"}}},
        },
        **_refusals(tuple(TITLES), _STATUS_CONTENT),
    },
    "openapi_extra": {
        **_SECURED,
        "parameters": [_ENCODING],
        "requestBody": _body({PROTOBUF: {"type": "string", "format": "binary"}, JSON: {"type": "object"}}),
    },
    "summary": "Send OpenTelemetry logs (OTLP/HTTP)",
}
