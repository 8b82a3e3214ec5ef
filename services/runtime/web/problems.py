"""Errors as answers: problem+json (RFC 9457) for programs, a page that says what to do for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from services.runtime.errors import Transient
from services.runtime.web.languages import N_, Language
from services.runtime.web.pages import pages_of

__all__ = ["Problem", "handle_problems", "problem_response", "wants_page"]

# What an error page says besides its title: is data safe, and what comes next.
_NEXT_STEPS = {
    400: N_("Nothing was changed. Go back, correct what is named above and try again."),
    401: N_("Nothing was changed. Sign in first."),
    403: N_("Nothing was changed. Ask for the right to do this, or reload the page and try once more."),
    404: N_("Nothing is lost. The address may be mistyped, or what it named is gone."),
    405: N_("Nothing was changed. Use the page's own links and buttons."),
    413: N_("Nothing was stored. Send less at once."),
    429: N_("Nothing was changed. Wait a moment, then try again."),
    500: N_("What was stored before is safe. Try again; if it stays, give the reference below to the operator."),
    503: N_("What was stored before is safe. Wait a few seconds, then reload."),
}


class Problem(HTTPException):
    """An answer that is an error. `title` and `detail` are shown: never a value that came with the request's body.

    Pages show both in their language: `values` are what the `{names}` of `detail` stand for. Programs get English.
    `extra` members go beside them in problem+json (for example `field` or `allowed`).
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        values: Mapping[str, object] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(status, title, dict(headers or {}))
        self.title, self.extra = title, extra
        self._detail, self._values = detail, dict(values or {})

    @property
    def text(self) -> str:
        """The detail, in English."""
        return self._detail.format(**self._values) if self._values else self._detail

    def told(self, language: Language) -> tuple[str, str]:
        """Title and detail."""
        return language.say(self.title), language.say(self._detail, **self._values)


def wants_page(request: Request) -> bool:
    """Browsers name text/html when they ask for a page; programs do not."""
    return "text/html" in request.headers.get("accept", "")


def problem_response(request: Request, problem: Problem) -> Response:
    if wants_page(request):
        return _page(request, problem)
    body = {"type": "about:blank", "title": problem.title, "status": problem.status_code}
    body |= {"detail": problem.text} if problem.text else {}
    body |= problem.extra | {"request_id": _request_id(request)}
    return JSONResponse(body, problem.status_code, problem.headers, "application/problem+json")


def handle_problems(app: FastAPI) -> None:
    """Turn every refusal FastAPI, Starlette or a route raises into `problem_response`."""

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem_response(request, error if isinstance(error, Problem) else _of_http(error))

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem_response(request, _of_invalid(error))

    async def on_transient(request: Request, error: Exception) -> Response:
        assert isinstance(error, Transient)
        headers = {"retry-after": str(error.retry_after_s)}
        return problem_response(request, Problem(503, "A store does not answer", str(error), headers=headers))

    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Transient, on_transient)


def _of_http(error: HTTPException) -> Problem:
    title = N_("There is no such page") if error.status_code == 404 else HTTPStatus(error.status_code).phrase
    return Problem(error.status_code, title, headers=error.headers)


def _of_invalid(error: RequestValidationError) -> Problem:
    """Names our own fields; never repeats what was sent, in them or as a name."""
    errors = [_named(item["loc"], item["type"], item["msg"]) for item in error.errors()]
    detail = "; ".join(f"{item['field']}: {item['message']}" for item in errors)
    return Problem(400, "The request is not usable", detail, errors=errors)


def _named(location: Sequence[int | str], kind: str, message: str) -> dict[str, str]:
    if kind == "extra_forbidden":  # the last part is a name that the sender made up
        location, message = location[:-1], "There is a field that is not known here"
    return {"field": ".".join(str(part) for part in location[1:]) or str(location[0]), "message": message}


def _page(request: Request, problem: Problem) -> Response:
    pages = pages_of(request)
    title, text = problem.told(pages.language(request))
    response = pages.render(
        request,
        "error.html",
        status=problem.status_code,
        title=title,
        text=text,
        next_step=_NEXT_STEPS.get(problem.status_code, N_("Nothing was changed.")),
        request_id=_request_id(request),
    )
    response.status_code = problem.status_code
    response.headers.update(problem.headers or {})
    return response


def _request_id(request: Request) -> str:
    return str(request.scope.get("request_id", ""))
