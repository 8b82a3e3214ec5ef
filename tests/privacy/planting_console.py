"""Canaries in every form of the console, and in requests that a tenant's own system hands over (OpenDSR)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from tests.privacy.canaries import CANARIES, TURNS, by_turns
from tests.privacy.planting import JSON, PAGE, TENANT, Planted, account_of, as_header

__all__ = ["console", "members_requests"]

SEEN_BY_DESIGN = False  # an answer that gives a form back, or shows what was revealed, is not searched


@dataclass(frozen=True, slots=True)
class _Desk:
    """A person of the console, signed in, with a grant to one person."""

    planted: Planted
    headers: dict[str, str]
    csrf: str
    grant: str = ""

    def post(self, path: str, keep: bool = True, /, **fields: str) -> tuple[int, dict[str, str]]:
        body = urlencode({"csrf": self.csrf} | fields).encode()
        status, headers, _ = self.planted.ask("identity", "POST", path, body, self.headers, keep)
        return status, headers

    def get(self, path: str, keep: bool = True, /, **query: str) -> int:
        address = f"{path}?{urlencode(query)}" if query else path
        return self.planted.ask("identity", "GET", address, headers=self.headers, keep=keep)[0]


def console(planted: Planted) -> None:
    """A signed-in person of support, an officer too, who types names where tickets belong, writes of people in notes and
    reasons, and follows wrong addresses."""
    roles = ("--role", "support", "--role", "dpo")
    planted.made.voile("user", "add", "dora", "--service", "identity", *roles, "--tenant", TENANT)
    cookie, csrf = planted.sign_in("identity", "dora")
    headers = {"Cookie": cookie, **PAGE, "Content-Type": "application/x-www-form-urlencoded"}
    status, answer = _Desk(planted, headers, csrf).post("/grants", **_look_up(0))
    assert status == 303, status
    desk = _Desk(planted, headers, csrf, answer["location"])
    for canary, fill_in in by_turns(_FORMS):
        fill_in(desk, canary.phrase, canary.segment)
    assert desk.get(desk.grant, SEEN_BY_DESIGN) == 200, "the grant was not open while its forms were filled in"


def _look_up(number: int) -> dict[str, str]:
    return {
        "tenant": TENANT,
        "value": account_of(number),
        "purpose": "support",
        "ticket": "SUP-7",
        "reason": "a page is empty",
    }


def _everything(text: str) -> dict[str, str]:
    return {"tenant": TENANT, "value": text, "purpose": text, "ticket": text, "reason": f"{text} {text}"}


def _note(desk: _Desk, text: str) -> None:
    status, _ = desk.post(f"{desk.grant}/notes", text=f"{text} was helped")
    assert status in {303, 403}, f"a note: {status}"  # a grant has room for some


def _break_glass(desk: _Desk, text: str) -> None:
    status, _ = desk.post("/break-glass", SEEN_BY_DESIGN, **_look_up(1) | {"reason": f"{text} waits at the counter"})
    assert status in {303, 403}, f"breaking the glass: {status}"  # five wait for a review at most


def _wait_for_a_second_person(desk: _Desk, text: str) -> None:
    asked = _look_up(1) | {"purpose": "legal", "reason": f"{text} was named in court"}
    assert desk.post("/grants", **asked)[0] == 303


Form = Callable[[_Desk, str, str], object]
_FORMS: Sequence[Form] = (
    lambda desk, text, _: desk.post("/grants", SEEN_BY_DESIGN, **_everything(text)),
    lambda desk, text, _: desk.post("/grants", **_everything(text) | {"csrf": text}),
    lambda desk, text, _: desk.post("/grants", minutes=text),
    lambda desk, text, _: desk.post("/grants", SEEN_BY_DESIGN, **_look_up(1) | {"first": text, "last": text}),
    lambda desk, text, _: desk.post("/break-glass", SEEN_BY_DESIGN, **_everything(text)),
    lambda desk, text, _: _break_glass(desk, text),
    lambda desk, text, _: _wait_for_a_second_person(desk, text),
    lambda desk, text, _: _note(desk, text),
    lambda desk, text, _: desk.post(f"{desk.grant}/reveal", SEEN_BY_DESIGN, field="phone", reason=f"{text} asks for it"),
    lambda desk, text, _: desk.post(f"{desk.grant}/reveal", field=text, reason=f"{text} asks for it", visit="1"),
    lambda desk, text, _: desk.post(f"{desk.grant}/again", reason=text, minutes=text),
    lambda desk, text, part: desk.get(f"/grants/{part}", days=text),
    lambda desk, text, part: desk.post(f"/grants/{part}/notes", text=text),
    lambda desk, text, part: desk.post(f"/grants/{part}/revoke", reason=f"{text} {text}"),
    lambda desk, text, part: desk.post(f"/grants/{part}/review", verdict=text, reason=f"{text} {text}"),
    lambda desk, text, part: desk.post(f"/requests/{part}/answer", agrees=text, reason=f"{text} {text}"),
    lambda desk, _, part: desk.post(f"/requests/{part}/start"),
    lambda desk, text, _: desk.get("/audit", SEEN_BY_DESIGN, tenant=text, ticket=text, actor=text),
    lambda desk, text, part: desk.get(f"/audit/export/{part}", actor=text),
    lambda desk, text, _: desk.get("/audit/export/csv", actor=text, ticket=text, tenant=text),
)  # fmt: skip


def members_requests(planted: Planted) -> None:
    """By the key of accounts: requests that are taken in, and everything in them that may be wrong."""
    for number, canary in enumerate(CANARIES[::TURNS]):  # they stay cases of their own
        status = _request(planted, _of(account_of(number)) | {"note": canary.phrase})
        assert status in {201, 400}, status
    for canary, wrong in by_turns(_WRONG_REQUESTS):
        _request(planted, _of(canary.phrase) | wrong(canary.phrase))
    for canary, (method, path) in by_turns(_REQUEST_ADDRESSES):
        planted.ask("identity", method, path.format(canary.segment), headers=_key(planted))
    for canary in CANARIES[::TURNS]:
        _request(planted, _of(canary.phrase), {"Authorization": f"Bearer {as_header(canary)}", "Content-Type": JSON})


def _of(account: str) -> dict[str, object]:
    return {
        "subject_request_id": str(uuid.uuid4()),
        "subject_request_type": "access",
        "submitted_time": "2026-11-02T08:00:00Z",
        "subject_identities": [{"identity_type": "controller_customer_id", "identity_value": account}],
    }


def _key(planted: Planted) -> dict[str, str]:
    return {"Authorization": f"Bearer {planted.keys['accounts']}", "Content-Type": JSON}


def _request(planted: Planted, body: object, headers: dict[str, str] | None = None) -> int:
    """The answer to one that is taken in has what was sent in it, as OpenDSR says: it is not searched."""
    sent = json.dumps(body).encode()
    status, _, _ = planted.ask("identity", "POST", "/dsr/v1/requests", sent, headers or _key(planted), keep=False)
    if status != 201:
        planted.ask("identity", "POST", "/dsr/v1/requests", sent, headers or _key(planted))
    return status


_WRONG_REQUESTS: Sequence[Callable[[str], dict[str, object]]] = (
    lambda text: {
        "subject_request_id": f"{text}!"
    },  # a UUID alone is taken in: a number of theirs that is theirs to choose
    lambda text: {"subject_request_type": text},
    lambda text: {"submitted_time": text},
    lambda text: {"subject_identities": [{"identity_type": text, "identity_value": text}]},
    lambda text: {"subject_identities": [{"identity_type": "email", "identity_value": f"{text} at home"}]},
    lambda text: {"status_callback_urls": [f"https://{text}@10.0.0.1/{text}", text]},
    lambda text: {"subject_identities": {text: text}},
    lambda text: {"regulation": text, "api_version": text, text: text},
)
_REQUEST_ADDRESSES = (
    ("GET", "/dsr/v1/requests/{0}"),
    ("DELETE", "/dsr/v1/requests/{0}"),
    ("GET", "/dsr/v1/requests/{0}/results"),
    ("GET", "/dsr/v1/requests/{0}?{0}"),
)
