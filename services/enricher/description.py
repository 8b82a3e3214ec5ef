"""What `/openapi.json` says of the identity service beyond its routes: errors, and the form they have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

__all__ = ["describe"]

_VERSION = "1"  # of the API: the one in its addresses
_ABOUT = """\
What a tenant's own systems tell of their accounts, by a key of that tenant (`voile user api-key`). What its members
did cannot be read by a key: that takes a person, a purpose and a ticket, in the console."""

_TITLES: dict[str, str] = {
    "400": "A field that is wrong is named, or the reason why the account cannot be taken.",
    "401": "No key, or one that is not good (any more).",
    "403": "The key is another tenant's, or the request comes from another site.",
    "408": "The request took too long to arrive.",
    "413": "The request is too large.",
    "421": "The service is not known under that name.",
    "500": "A defect; `request_id` finds it in the log.",
    "503": "A store does not answer; come again.",
}
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds.", "required": True, "schema": {"type": "integer", "minimum": 1}}
}
_TEXT = {"type": "string"}
_PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457. It never repeats what was sent: senders log answers.",
    "type": "object",
    "required": ["type", "title", "status", "request_id"],
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "reason": {**_TEXT, "description": "Why an account cannot be taken."},
        "errors": {
            "type": "array",
            "items": {"type": "object", "properties": {"field": _TEXT, "message": _TEXT}},
        },
        "request_id": _TEXT,
    },
}


def describe(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """What to put in the place of `app.openapi`: the document is made once, at the first request."""
    made: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not made:
            made.update(_document(app))
        return made

    return openapi


def _document(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(title=app.title, version=_VERSION, description=_ABOUT, routes=app.routes)
    for operations in found["paths"].values():
        for operation in operations.values():
            _correct(operation["responses"])
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    return found


def _correct(responses: dict[str, Any]) -> None:
    """FastAPI describes an answer to wrong input that is not given here, and no other error. What a route says of its
    own errors stays."""
    responses.pop("422", None)
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status, text in _TITLES.items():
        headers = {"headers": _RETRY_AFTER} if status == "503" else {}
        responses.setdefault(status, {"description": text, **headers})
    for status, response in responses.items():
        if status >= "400":
            response["content"] = content
