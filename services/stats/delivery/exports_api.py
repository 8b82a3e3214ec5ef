"""`/exports/v1`: what partners' programs fetch. Lists, files by HTTPS with ETag and Range, feeds of versions."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import groupby
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import JSONResponse, Response

from services.runtime.web.door import origin_of
from services.runtime.web.languages import N_
from services.runtime.web.problems import Problem
from services.stats.delivery import feeds, ranges
from services.stats.delivery.asking import Delivery, asking, require_terms
from services.stats.delivery.models import (
    DatasetEntry,
    DatasetsAnswer,
    FileEntry,
    TermsEntry,
    VersionAnswer,
    VersionEntry,
)
from services.stats.delivery.partners import Asker
from services.stats.delivery.publications import File, Version, media_type
from services.stats.description import ANSWER_HEADERS, errors

__all__ = ["PREFIX", "available", "exports_router", "file_answer"]

PREFIX = "/exports/v1"
_NAME_MAX = 200
_ERRORS = errors({403: "Of another site, of no partner, or before the terms were accepted."})
_OF_ONE = {404: "There is no such thing that you may have.", 410: "It was withdrawn; `reason` says why."}
_SAME: dict[str, Any] = {"description": "It is still the one of `If-None-Match`.", "headers": ANSWER_HEADERS}
_TAGGED: dict[int | str, dict[str, Any]] = {200: {"headers": ANSWER_HEADERS}, 304: _SAME}
_BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_TYPES = (
    *("text/csv", "application/json", "application/ld+json", "text/markdown", "text/plain"),
    "application/vnd.apache.parquet",
)
_OBJECT: dict[str, Any] = {"schema": {"type": "object"}}
_CONTENT = {name: _OBJECT if "json" in name else _BYTES for name in _TYPES}
_FILE_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "headers": ANSWER_HEADERS, "content": _CONTENT},
    206: {"description": "The part that `Range` asks for.", "content": dict.fromkeys(_TYPES, _BYTES)},
    304: _SAME,
    **errors({403: _ERRORS[403]["description"], **_OF_ONE, 416: "The part lies beyond the end of the file."}),
}

Name = Annotated[str, Path(max_length=_NAME_MAX, examples=["chess-club-use"])]
VersionName = Annotated[str, Path(max_length=_NAME_MAX, examples=["2026.11.1"])]
FileName = Annotated[str, Path(max_length=_NAME_MAX, examples=["totals.csv"])]


def exports_router(delivery: Delivery) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["releases"], dependencies=asking(delivery))

    @router.get("/datasets", response_model=DatasetsAnswer, responses={**_TAGGED, **_ERRORS})
    def datasets(request: Request) -> Response:
        """The releases that you may have, and their versions; withdrawn ones with the reason."""
        return _tagged(request, _listed(delivery, request))

    @router.get(
        "/datasets/{name}/{version}",
        response_model=VersionAnswer,
        responses={**_TAGGED, **errors({403: _ERRORS[403]["description"], **_OF_ONE})},
    )
    def version(request: Request, name: Name, version: VersionName) -> Response:
        """One version: its files with their checksums."""
        found = available(delivery, request.state.asker, name, version)
        return _tagged(request, _described(found, delivery.publications.files(name, version), origin_of(request)))

    @router.get("/datasets/{name}/{version}/{file}", response_class=Response, responses=_FILE_ANSWERS)
    def content(request: Request, name: Name, version: VersionName, file: FileName) -> Response:
        """One file, whole or in part. The tag is made of its SHA-256; `Repr-Digest` gives it as RFC 9530 has it."""
        require_terms(delivery, request.state.asker)
        available(delivery, request.state.asker, name, version)
        return file_answer(delivery, request, name, version, file)

    @router.get(
        "/feed.atom",
        response_class=Response,
        responses={200: {"headers": ANSWER_HEADERS, "content": {feeds.ATOM: _BYTES}}, 304: _SAME, **_ERRORS},
    )
    def atom(request: Request) -> Response:
        """What was published and withdrawn, the newest first, as Atom (RFC 4287)."""
        text = feeds.atom(_versions(delivery, request), origin_of(request))
        return _tagged(request, Response(text, media_type=feeds.ATOM))

    @router.get(
        "/feed.json",
        response_class=Response,
        responses={200: {"headers": ANSWER_HEADERS, "content": {feeds.JSON: _OBJECT}}, 304: _SAME, **_ERRORS},
    )
    def json_feed(request: Request) -> Response:
        """The same as JSON Feed 1.1."""
        return _tagged(
            request,
            JSONResponse(feeds.json_feed(_versions(delivery, request), origin_of(request)), media_type=feeds.JSON),
        )

    return router


def available(delivery: Delivery, asker: Asker, name: str, version: str) -> Version:
    """Raises 404 for what there is not, or is not theirs; 410 for what was withdrawn."""
    found = delivery.publications.get(name, version) if name in asker.releases else None
    if found is None:
        raise Problem(
            404, "There is no such release here", "It does not exist, or is not among those that you may have."
        )
    if found.withdrawn is not None:
        raise Problem(
            410,
            "This version was withdrawn",
            "Do not use it any more. The reason: {reason}",
            values={"reason": found.reason},
            reason=found.reason,
            withdrawn_at=found.withdrawn.isoformat(),
        )
    return found


def file_answer(delivery: Delivery, request: Request, name: str, version: str, file: str) -> Response:
    """The file or the part that is asked for, noted in the log before it is sent; 304, 404 or 416."""
    found = next((f for f in delivery.publications.files(name, version) if f.name == file), None)
    if found is None:
        raise Problem(404, "There is no such file", "The version lists those there are.")
    headers, tag = _headers(request, found), f'"{found.sha256}"'
    if ranges.known(request.headers, tag):
        return Response(status_code=304, headers=headers)
    is_head = bool(request.scope.get("is_head"))
    try:
        wanted = None if is_head else ranges.part(request.headers, tag, found.bytes)  # RFC 9110, 14.2: of GET alone
    except ranges.Unsatisfiable:
        whole = {**request.state.rate_headers, "content-range": f"bytes */{found.bytes}"}
        title, detail = N_("That part lies beyond the end"), N_("The file has {bytes} bytes.")
        raise Problem(416, title, detail, headers=whole, values={"bytes": found.bytes}) from None
    data = delivery.publications.content(name, version, file)
    body = data if wanted is None else data[wanted.start : wanted.stop]
    if not is_head:
        delivery.downloads.note(request.state.asker, name, version, file, len(body))
    if wanted is not None:
        headers["content-range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{found.bytes}"
    return Response(body, 200 if wanted is None else 206, headers, media_type(file))


def _headers(request: Request, file: File) -> dict[str, str]:
    """Partners may keep it, and ask each time whether it still holds; nobody between them and here may."""
    digest = base64.b64encode(bytes.fromhex(file.sha256)).decode()
    return {
        **request.state.rate_headers,
        "etag": f'"{file.sha256}"',
        "repr-digest": f"sha-256=:{digest}:",
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        "vary": "Authorization, Cookie",
        "content-disposition": f'attachment; filename="{file.name}"',
    }


def _versions(delivery: Delivery, request: Request) -> Sequence[Version]:
    return delivery.publications.listed(request.state.asker.releases)


def _listed(delivery: Delivery, request: Request) -> Response:
    asker: Asker = request.state.asker
    current, accepted = delivery.terms.current(), delivery.terms.accepted(asker.partner)
    by_name = groupby(_versions(delivery, request), key=lambda version: version.name)
    answer = DatasetsAnswer(
        datasets=[
            DatasetEntry(name=name, versions=[VersionEntry(**_entry(v, origin_of(request))) for v in versions])
            for name, versions in by_name
        ],
        terms=TermsEntry(
            number=current.number if current else None,
            accepted=accepted is not None,
            accepted_at=accepted.at if accepted else None,
        ),
    )
    return JSONResponse(answer.model_dump(mode="json"))


def _described(version: Version, files: Sequence[File], origin: str) -> Response:
    entry = _entry(version, origin)
    entries = [
        FileEntry(name=f.name, type=media_type(f.name), bytes=f.bytes, sha256=f.sha256, url=f"{entry['url']}/{f.name}")
        for f in files
    ]
    return JSONResponse(VersionAnswer(name=version.name, files=entries, **entry).model_dump(mode="json"))


def _entry(version: Version, origin: str) -> dict[str, Any]:
    return {
        **{"version": version.version, "first_day": version.first_day, "last_day": version.last_day},
        **{"days": version.days, "published_at": version.published},
        "status": "withdrawn" if version.withdrawn else "published",
        "withdrawn_at": version.withdrawn,
        "withdrawn_reason": version.reason or None,
        "url": f"{origin}{PREFIX}/datasets/{version.name}/{version.version}",
    }


def _tagged(request: Request, answer: Response) -> Response:
    """`answer` with its tag; without its body when the asker has it."""
    tag = f'"{blake2b(bytes(answer.body), digest_size=16).hexdigest()}"'
    headers: Mapping[str, str] = {
        **request.state.rate_headers,
        **{"etag": tag, "cache-control": "private, no-cache", "vary": "Authorization, Cookie"},
    }
    if ranges.known(request.headers, tag):
        return Response(status_code=304, headers=dict(headers))
    answer.headers.update(headers)
    return answer
