"""`/dsr/v1`: a tenant's own system hands its members' requests over, and learns what became of them (OpenDSR)."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from services.enricher.access.api_keys import ApiKeys
from services.enricher.access.decisions import Actor
from services.enricher.access.grants import Nobody
from services.enricher.persons.accounts import ACCOUNT_CHARACTERS_MAX
from services.enricher.rights.book import CaseFile, NoSuchCase
from services.enricher.rights.callbacks import URLS_MAX, Callbacks
from services.enricher.rights.desk import Cases, Wanted
from services.enricher.rights.documents import Gone
from services.enricher.rights.opendsr import IDENTITIES, TYPES, Signed, Signer, discovery, status_body
from services.enricher.rights.states import IdentityCheck, NotNow
from services.runtime.clock import Clock
from services.runtime.errors import WrongUse
from services.runtime.web.outbound import URL_CHARACTERS_MAX, NotSent, refuse_private
from services.runtime.web.problems import Problem

__all__ = ["DsrService", "install_dsr_api", "system_of"]

IDENTITIES_MAX = 10
_CHECKED = "The tenant's own system vouches for the person."
_bearer = HTTPBearer(auto_error=False, description="A key made with voile user api-key.")
Given = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


@dataclass(frozen=True, slots=True)
class DsrService:
    cases: Cases
    callbacks: Callbacks
    signer: Signer
    api_keys: ApiKeys
    clock: Clock


class SubjectIdentity(BaseModel):
    """How the person is known to the tenant."""

    model_config = ConfigDict(extra="forbid")

    identity_type: str = Field(max_length=50)
    identity_value: str = Field(min_length=1, max_length=ACCOUNT_CHARACTERS_MAX, repr=False)
    identity_format: str = Field("raw", max_length=20)


class SubjectRequest(BaseModel):
    """A request as OpenDSR has it; what it does not name is not looked at."""

    model_config = ConfigDict(extra="ignore")

    regulation: str = Field("gdpr", max_length=20)
    subject_request_id: UUID
    subject_request_type: str = Field(max_length=50)
    submitted_time: datetime
    subject_identities: list[SubjectIdentity] = Field(min_length=1, max_length=IDENTITIES_MAX)
    api_version: str = Field("1.0", max_length=20)
    status_callback_urls: list[Annotated[str, Field(max_length=URL_CHARACTERS_MAX)]] = Field([], max_length=URLS_MAX)


def _caller(request: Request, given: Given) -> Actor:
    tenant = _service(request).api_keys.tenant_of(given.credentials) if given else None
    if tenant is None:
        raise Problem(401, "The key is missing or wrong", headers={"www-authenticate": "Bearer"})
    return system_of(tenant)


def system_of(tenant: str) -> Actor:
    """Who asks with a tenant's key: under a name that no person can have."""
    return Actor(f"api:{tenant}", frozenset({"tenant-admin"}), frozenset({tenant}))


async def _raw(request: Request) -> bytes:
    return await request.body()


Raw = Annotated[bytes, Depends(_raw)]
Caller = Annotated[Actor, Depends(_caller)]
router = APIRouter(prefix="/dsr/v1", tags=["opendsr"])
_NONE: dict[int | str, dict[str, Any]] = {404: {"description": "The tenant has no such request."}}


@router.get("/discovery")
def what_is_offered(request: Request) -> Response:
    """Identities and kinds of requests that are understood, and where the certificate of the signatures is."""
    signer = _service(request).signer
    return _answer(signer.sign(discovery(signer.domain)))


@router.get("/certificate.pem", response_class=Response)
def certificate(request: Request) -> Response:
    """The certificate whose key signs every answer and callback (Ed25519)."""
    return Response(_service(request).signer.certificate(), media_type="application/x-pem-file")


@router.post("/requests", status_code=201)
def submit(request: Request, caller: Caller, body: SubjectRequest, raw: Raw) -> Response:
    """A case is opened, with the tenant vouching for the person; it is approved and carried out here by people."""
    service = _service(request)
    by, value = _identity(body)
    for url in body.status_callback_urls:
        _refuse_callback(url)
    case = _opened(service, caller, body, by, value)
    service.callbacks.add(case.case, body.status_callback_urls)
    answer = status_body(case, service.signer.domain)
    shown = {name: answer[name] for name in ("controller_id", "expected_completion_time", "subject_request_id")}
    received = {"received_time": _stamp(case.opened), "encoded_request": base64.b64encode(raw).decode()}
    return _answer(service.signer.sign(shown | received), 201)


@router.get("/requests/{request_id}", responses=_NONE)
def status(request: Request, caller: Caller, request_id: UUID) -> Response:
    """pending, in_progress, completed (with where the results are), or cancelled."""
    service = _service(request)
    return _answer(service.signer.sign(status_body(_case(service, caller, request_id), service.signer.domain)))


@router.delete(
    "/requests/{request_id}", status_code=202, responses=_NONE | {409: {"description": "It is being carried out."}}
)
def cancel(request: Request, caller: Caller, request_id: UUID) -> Response:
    """As long as it is pending."""
    service = _service(request)
    case = _case(service, caller, request_id)
    try:
        service.cases.cancel(caller, case.case, "cancelled by the tenant's system")
    except NotNow:
        raise Problem(409, "It is too late to cancel this request") from None
    told = {"controller_id": case.tenant, "subject_request_id": case.request_id, "api_version": "1.0"}
    return _answer(service.signer.sign(told | {"received_time": _stamp(service.clock.now())}), 202)


@router.get(
    "/requests/{request_id}/results",
    response_class=Response,
    responses=_NONE | {410: {"description": "There is no package, or it was taken already."}},
)
def results(request: Request, caller: Caller, request_id: UUID) -> Response:
    """The package, once: after this answer it is nowhere here."""
    service = _service(request)
    case = _case(service, caller, request_id)
    try:
        name, content = service.cases.take_package(caller, case.case)
    except Gone:
        raise Problem(410, "There is no package, or it was taken already") from None
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="application/zip", headers=headers)


def install_dsr_api(app: FastAPI, service: DsrService) -> None:
    app.state.dsr = service
    app.include_router(router)


def _service(request: Request) -> DsrService:
    return cast(DsrService, request.app.state.dsr)


def _identity(body: SubjectRequest) -> tuple[str, str]:
    """By what the person is found, and the value: the surest of those that are understood."""
    if body.subject_request_type not in TYPES:
        raise _unusable("subject_request_type", f"it is one of: {', '.join(TYPES)}")
    raw = {one.identity_type: one.identity_value for one in body.subject_identities if one.identity_format == "raw"}
    for name, by in IDENTITIES.items():
        if name in raw:
            return by, raw[name]
    raise _unusable("subject_identities", f"one of them is raw and of the type {' or '.join(IDENTITIES)}")


def _opened(service: DsrService, caller: Actor, body: SubjectRequest, by: str, value: str) -> CaseFile:
    (tenant,) = caller.tenants
    wanted = Wanted(
        tenant,
        value,
        TYPES[body.subject_request_type],
        by=by,
        note=f"OpenDSR, submitted {_stamp(body.submitted_time)}",
        origin="opendsr",
        request_id=str(body.subject_request_id),
    )
    try:
        case = service.cases.open(caller, wanted)
        return service.cases.check(caller, case.case, IdentityCheck.TENANT, _CHECKED)
    except Nobody:
        raise _unusable("subject_identities", "not exactly one person of this tenant answers to it") from None
    except WrongUse:
        raise _unusable("subject_request_id", "it was used already, or a value cannot be taken") from None


def _case(service: DsrService, caller: Actor, request_id: UUID) -> CaseFile:
    """Of the caller's own tenant."""
    (tenant,) = caller.tenants
    try:
        return service.cases.of_request(caller, tenant, str(request_id))
    except NoSuchCase:
        raise Problem(404, "There is no such request") from None


def _refuse_callback(url: str) -> None:
    try:
        refuse_private(url)
    except NotSent as error:
        raise _unusable("status_callback_urls", str(error)) from None


def _unusable(field: str, message: str) -> Problem:
    """Problem details, and OpenDSR's own error object beside them (its section 7.6)."""
    error = {"code": 400, "message": f"{field}: {message}", "errors": [{"domain": "Validation", "message": message}]}
    return Problem(400, "The request is not usable", f"{field}: {message}.", field=field, error=error)


def _answer(signed: Signed, status_code: int = 200) -> Response:
    return Response(signed.body, status_code, dict(signed.headers))


def _stamp(at: datetime) -> str:
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
