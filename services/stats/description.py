"""What `/openapi.json` says of the statistics service beyond its routes: errors, headers, ways to sign in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from services.stats.queries.models import ProblemDocument

__all__ = ["ANSWER_HEADERS", "ERRORS", "describe", "errors"]

_JSON, _PROBLEM = "application/json", "application/problem+json"
_TEXT: dict[str, Any] = {"schema": {"type": "string"}}

_RATE_HEADERS: dict[str, Any] = {
    "RateLimit-Policy": {"description": 'Requests an hour, like `"hour";q=600;w=3600`.', **_TEXT},
    "RateLimit": {"description": "`r`: requests that may follow at once; `t`: seconds until all may again.", **_TEXT},
}
_RETRY_AFTER: dict[str, Any] = {
    "Retry-After": {"description": "Seconds.", "required": True, "schema": {"type": "integer", "minimum": 1}}
}
ANSWER_HEADERS: dict[str, Any] = {
    **_RATE_HEADERS,
    "ETag": {"description": "Another one only when the answer is another one; send it as If-None-Match.", **_TEXT},
}
_TITLES: dict[int, str] = {
    400: "The field that is wrong is named, with what exists.",
    401: "No key, or one that is not good (any more).",
    403: "From another site, or by a session without the page's token.",
    408: "The request took too long to arrive.",
    413: "The request is too large.",
    421: "The service is not known under that name.",
    429: "More requests than the key has; `Retry-After` says when the next one is answered.",
    500: "A defect; `request_id` finds it in the log.",
    503: "A store does not answer; come again.",
}
_HEADERS: dict[int, dict[str, Any]] = {429: {**_RETRY_AFTER, **_RATE_HEADERS}, 503: _RETRY_AFTER}


def errors(titles: Mapping[int, str] | None = None) -> dict[int | str, dict[str, Any]]:
    """What every route for programs may answer; `titles`: besides, or in other words."""
    return {
        status: {"description": text, "model": ProblemDocument, "headers": _HEADERS.get(status, {})}
        for status, text in {**_TITLES, **(titles or {})}.items()
    }


ERRORS = errors()
_VERSION = "1"  # of the API: the one in its addresses
_ABOUT = """\
Published figures of closed days, and of today as far as it is known. Only what passed the disclosure rule exists here:
values are rounded, what too few people share is in `(other)`, and one filter at a time can be combined with the
dimensions that were declared for it. Figures are confidential; they are not anonymous.

Releases (`/exports`) are another thing: differentially private data sets for partners, with keys of their own."""


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
    for name in ("HTTPValidationError", "ValidationError"):
        found["components"]["schemas"].pop(name, None)
    return found


def _correct(responses: dict[str, Any]) -> None:
    """FastAPI describes an answer to wrong input that is not given here, and every error as plain JSON."""
    responses.pop("422", None)
    for status, response in responses.items():
        content = response.get("content", {})
        if status >= "400" and _JSON in content:
            content[_PROBLEM] = content.pop(_JSON)
