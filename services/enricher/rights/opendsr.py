"""Requests of a tenant's own systems by OpenDSR: what of it is offered, what a case's status is called there, signing.

Source: the OpenDSR specification, https://github.com/opengdpr/OpenDSR (names of fields, statuses and headers). Bodies
are signed with Ed25519 and not RSA: see docs/adr/0183.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from hashlib import sha256
from typing import Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from services.enricher.rights.book import CaseFile
from services.enricher.rights.states import Kind, State
from services.runtime.keys import KeyService

__all__ = [
    "API_VERSION",
    "IDENTITIES",
    "SIGNING_KEY",
    "TYPES",
    "Signed",
    "Signer",
    "discovery",
    "has_results",
    "status_body",
    "status_of",
]

API_VERSION = "1.0"
SIGNING_KEY = "opendsr/signing"
TYPES: Mapping[str, Kind] = {"access": Kind.ACCESS, "portability": Kind.PORTABILITY, "erasure": Kind.ERASURE}
IDENTITIES: Mapping[str, str] = {  # what OpenDSR calls it -> by what a person is found here; the surest first
    "controller_customer_id": "account",
    "email": "email",
    "phone_number": "phone",
}
PENDING, IN_PROGRESS, COMPLETED, CANCELLED = "pending", "in_progress", "completed", "cancelled"
_STATUS: Mapping[State, str] = {
    State.RECEIVED: PENDING,
    State.IDENTIFIED: PENDING,
    State.APPROVED: PENDING,
    State.DEFERRED: PENDING,
    State.EXECUTING: IN_PROGRESS,
    State.EXECUTED: IN_PROGRESS,
    State.COMPLETED: COMPLETED,
    State.REFUSED: CANCELLED,
    State.CANCELLED: CANCELLED,
}
_VALID = timedelta(days=36500)  # the certificate carries a key and a name; nobody is asked to renew it
_FROM = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Signed:
    """Bytes as they go out, and the headers that prove whose they are."""

    body: bytes
    headers: Mapping[str, str]


class Signer:
    """Signs what goes out, as `domain`."""

    def __init__(self, keys: KeyService, domain: str) -> None:
        self._keys, self.domain = keys, domain

    def sign(self, value: Mapping[str, Any]) -> Signed:
        body = orjson.dumps(value)
        signature = base64.b64encode(self._key().sign(body)).decode()
        headers = {"x-opendsr-processor-domain": self.domain, "x-opendsr-signature": signature}
        return Signed(body, {"content-type": "application/json", **headers})

    def certificate(self) -> bytes:
        """PEM, X.509, self-signed: the same bytes as long as key and domain stay."""
        key = self._key()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.domain)])
        serial = int.from_bytes(sha256(key.public_key().public_bytes_raw()).digest()[:16], "big") >> 1
        builder = x509.CertificateBuilder(name, name, key.public_key(), serial, _FROM, _FROM + _VALID)
        named = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(self.domain)]), critical=False)
        return named.sign(key, None).public_bytes(Encoding.PEM)

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._keys.get_or_create(SIGNING_KEY))


def status_of(file: CaseFile) -> str:
    return COMPLETED if has_results(file) else _STATUS[file.state]


def has_results(file: CaseFile) -> bool:
    """A package waits to be taken."""
    return file.kind.is_handed_out and file.state is State.EXECUTED


def status_body(file: CaseFile, domain: str) -> dict[str, Any]:
    """What the status endpoint and every callback say of a case."""
    results = f"https://{domain}/dsr/v1/requests/{file.request_id}/results" if has_results(file) else None
    return {
        "controller_id": file.tenant,
        "expected_completion_time": _stamp(datetime.combine(file.due, time(), UTC)),
        "subject_request_id": file.request_id,
        "request_status": status_of(file),
        "api_version": API_VERSION,
        "results_url": results,
    }


def discovery(domain: str) -> dict[str, Any]:
    identities: Sequence[Mapping[str, str]] = [{"identity_type": name, "identity_format": "raw"} for name in IDENTITIES]
    return {
        "api_version": API_VERSION,
        "supported_identities": identities,
        "supported_subject_request_types": list(TYPES),
        "processor_certificate": f"https://{domain}/dsr/v1/certificate.pem",
    }


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
