"""A tenant's own system hands requests over and learns what became of them, by OpenDSR's names."""

from __future__ import annotations

import base64
import io
import uuid
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.enricher.rights.callbacks import AGAIN_AFTER, Callbacks
from services.enricher.rights.desk import Cases
from services.enricher.rights.service import open_callbacks, open_cases
from services.enricher.rights.states import Refusal
from services.runtime.clock import FixedClock
from services.runtime.web.outbound import Sender
from tests.parts.cases import DORA
from tests.parts.console import Console, a_console
from tests.parts.identity import NOON, TENANT
from tests.parts.tls_server import TlsServer, tls_server

HOOKS = "hooks.example"
GOOD_REASON = "identity and request are in order"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture
def console(tmp_path: Path, clock: FixedClock) -> Iterator[Console]:
    with a_console(tmp_path / "data", clock) as running:
        yield running


@pytest.fixture
def api(console: Console) -> Iterator[httpx.Client]:
    key = console.access.api_keys.add(TENANT, "their system")
    with console.client(accept="application/json", authorization=f"Bearer {key}") as client:
        yield client


@pytest.fixture
def desk(console: Console) -> Cases:
    return open_cases(console.identity, console.access.gate, console.access.audit)


def a_request(**differs: Any) -> dict[str, Any]:
    return {
        "regulation": "gdpr",
        "subject_request_id": str(uuid.uuid4()),
        "subject_request_type": "access",
        "submitted_time": "2026-03-09T15:00:00Z",
        "subject_identities": [
            {"identity_type": "email", "identity_value": "anna@example.org", "identity_format": "raw"}
        ],
        "api_version": "1.0",
    } | differs


def submit(api: httpx.Client, **differs: Any) -> str:
    body = a_request(**differs)
    assert api.post("/dsr/v1/requests", json=body).status_code == 201
    return str(body["subject_request_id"])


def case_of(desk: Cases, request_id: str) -> str:
    return next(file.case for file in desk.listed(DORA) if file.request_id == request_id)


def carried_out(desk: Cases, request_id: str) -> str:
    case = case_of(desk, request_id)
    desk.approve(DORA, case, GOOD_REASON)
    desk.execute(DORA, case)
    return case


def test_what_is_offered_is_public_and_signed(console: Console) -> None:
    """With the certificate that every answer can be checked by."""
    with console.client(accept="application/json") as anybody:
        told = anybody.get("/dsr/v1/discovery")
        assert told.json()["supported_subject_request_types"] == ["access", "portability", "erasure"]
        assert {"identity_type": "email", "identity_format": "raw"} in told.json()["supported_identities"]
        key = _key(anybody)
        _check(key, told)
        with pytest.raises(InvalidSignature):
            key.verify(base64.b64decode(told.headers["x-opendsr-signature"]), told.content + b" ")


def test_a_request_becomes_a_case_and_its_answer_goes_back(api: httpx.Client, desk: Cases) -> None:
    """Approved and carried out by people here; the package is given once, to the key of the tenant."""
    body = a_request()
    sent = orjson.dumps(body)
    answer = api.post("/dsr/v1/requests", content=sent, headers={"content-type": "application/json"})
    told = answer.json()
    assert (answer.status_code, told["controller_id"]) == (201, TENANT)
    assert base64.b64decode(told["encoded_request"]) == sent
    assert (told["received_time"], told["expected_completion_time"][:10]) == ("2026-03-10T12:00:00Z", "2026-04-10")
    _check(_key(api), answer)
    where = f"/dsr/v1/requests/{body['subject_request_id']}"
    assert api.get(where).json()["request_status"] == "pending"
    assert api.get(f"{where}/results").status_code == 403
    carried_out(desk, body["subject_request_id"])
    done = api.get(where).json()
    assert (done["request_status"], done["results_url"]) == ("completed", f"https://localhost{where}/results")
    package = api.get(f"{where}/results")
    assert package.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(package.content)) as archive:
        assert b"anna@example.org" in archive.read("profile.json")
    assert api.get(f"{where}/results").status_code == 410
    assert api.get(where).json()["results_url"] is None


def test_a_request_is_cancelled_while_it_is_pending(api: httpx.Client, desk: Cases) -> None:
    """Not once it is carried out."""
    first, second = submit(api), submit(api)
    assert api.delete(f"/dsr/v1/requests/{first}").status_code == 202
    assert api.get(f"/dsr/v1/requests/{first}").json()["request_status"] == "cancelled"
    carried_out(desk, second)
    assert api.delete(f"/dsr/v1/requests/{second}").status_code == 409


@pytest.mark.parametrize(
    ("differs", "field"),
    [
        ({"subject_request_type": "rectification"}, "subject_request_type"),
        ({"subject_request_id": "seven"}, "subject_request_id"),
        ({"subject_identities": []}, "subject_identities"),
        (
            {"subject_identities": [{"identity_type": "ios_advertising_id", "identity_value": "x"}]},
            "subject_identities",
        ),
        ({"subject_identities": [{"identity_type": "email", "identity_value": "x@y"}]}, "subject_identities"),
        (
            {"subject_identities": [{"identity_type": "email", "identity_value": "ab", "identity_format": "sha256"}]},
            "subject_identities",
        ),
        ({"status_callback_urls": ["http://hooks.example/"]}, "status_callback_urls"),
        ({"status_callback_urls": ["https://hooks.example/"] * 6}, "status_callback_urls"),
    ],
)
def test_what_cannot_be_taken_is_400_and_names_the_field(
    api: httpx.Client, desk: Cases, differs: dict[str, Any], field: str
) -> None:
    """Never with a value of the request; and no case is left behind."""
    answer = api.post("/dsr/v1/requests", json=a_request(**differs))
    assert answer.status_code == 400
    assert field in answer.text
    assert "x@y" not in answer.text
    assert desk.listed(DORA) == []


def test_a_request_id_is_used_once(api: httpx.Client) -> None:
    """By one tenant."""
    request_id = submit(api)
    assert api.post("/dsr/v1/requests", json=a_request(subject_request_id=request_id)).status_code == 400


def test_another_tenants_key_sees_nothing(api: httpx.Client, console: Console, desk: Cases) -> None:
    """Neither status nor package; nor does no key, or a wrong one."""
    request_id = submit(api)
    carried_out(desk, request_id)
    choir = console.access.api_keys.add("choir", "theirs")
    for headers, status in ((f"Bearer {choir}", 404), ("Bearer nonsense", 401), ("", 401)):
        with console.client(accept="application/json", authorization=headers) as other:
            for path in (f"/dsr/v1/requests/{request_id}", f"/dsr/v1/requests/{request_id}/results"):
                assert other.get(path).status_code == status
            assert other.delete(f"/dsr/v1/requests/{request_id}").status_code == status
    assert api.get(f"/dsr/v1/requests/{request_id}/results").status_code == 200


@pytest.fixture
def hooks(tmp_path: Path) -> Iterator[TlsServer]:
    with tls_server(tmp_path, HOOKS) as running:
        yield running


@pytest.fixture
def callbacks(console: Console, hooks: TlsServer) -> Callbacks:
    """For which this machine is a public address."""
    sender = Sender(lambda *_: ["127.0.0.1"], lambda _: True, hooks.trusted)
    return open_callbacks(console.identity, sender)


def test_a_change_is_told_signed_and_once(
    api: httpx.Client, desk: Cases, hooks: TlsServer, callbacks: Callbacks
) -> None:
    """The status of the moment, to the address that was given; nothing when nothing changed."""
    url = f"https://{HOOKS}:{hooks.port}/dsr"
    request_id = submit(api, status_callback_urls=[url])
    assert callbacks.tell() == 0
    carried_out(desk, request_id)
    assert (callbacks.tell(), callbacks.tell()) == (1, 0)
    (got,) = hooks.received
    told = orjson.loads(got.body)
    assert (told["status_callback_url"], told["subject_request_id"]) == (url, request_id)
    assert told["request_status"] == "completed"
    _key(api).verify(base64.b64decode(got.headers["x-opendsr-signature"]), got.body)


def test_a_failed_callback_is_tried_again_a_few_times(
    api: httpx.Client, desk: Cases, hooks: TlsServer, callbacks: Callbacks, clock: FixedClock
) -> None:
    """Later and later; then only when the status changes again."""
    request_id = submit(api, status_callback_urls=[f"https://{HOOKS}:{hooks.port}/dsr"])
    hooks.answers += [500] * len(AGAIN_AFTER)
    carried_out(desk, request_id)
    for wait in AGAIN_AFTER:
        assert callbacks.tell() == 0
        clock.advance(wait - timedelta(seconds=1))
        assert callbacks.tell() == 0
        clock.advance(timedelta(seconds=1))
    assert len(hooks.received) == len(AGAIN_AFTER)
    clock.advance(timedelta(days=2))
    assert callbacks.tell() == 0
    assert len(hooks.received) == len(AGAIN_AFTER)


def test_a_callback_to_the_inside_is_never_sent(
    api: httpx.Client, desk: Cases, console: Console, hooks: TlsServer
) -> None:
    """The switch that lets the tests above reach this machine left out: nobody hears anything."""
    request_id = submit(api, status_callback_urls=[f"https://{HOOKS}:{hooks.port}/dsr"])
    carried_out(desk, request_id)
    sender = Sender(lambda *_: ["127.0.0.1"], trusted=hooks.trusted)
    assert open_callbacks(console.identity, sender).tell() == 0
    assert hooks.received == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "10.0.0.7", "[::1]"])
def test_a_callback_that_is_plainly_inside_is_refused_at_once(api: httpx.Client, host: str) -> None:
    """Who asked learns it with the answer, and not from a callback that never comes."""
    answer = api.post("/dsr/v1/requests", json=a_request(status_callback_urls=[f"https://{host}/dsr"]))
    assert answer.status_code == 400
    assert "it is no public address" in answer.json()["detail"]


def test_a_refusal_is_told_as_cancelled(api: httpx.Client, desk: Cases) -> None:
    """OpenDSR knows no refusal; why is for the person's own letter."""
    request_id = submit(api, subject_request_type="erasure")
    desk.refuse(DORA, case_of(desk, request_id), Refusal.LEGAL_DUTY, "invoices have to be kept")
    told = api.get(f"/dsr/v1/requests/{request_id}").json()
    assert told["request_status"] == "cancelled"
    assert "invoices" not in str(told)


def _key(client: httpx.Client) -> Ed25519PublicKey:
    key = x509.load_pem_x509_certificate(client.get("/dsr/v1/certificate.pem").content).public_key()
    assert isinstance(key, Ed25519PublicKey)
    return key


def _check(key: Ed25519PublicKey, answer: httpx.Response) -> None:
    """Raises `InvalidSignature`."""
    key.verify(base64.b64decode(answer.headers["x-opendsr-signature"]), answer.content)
