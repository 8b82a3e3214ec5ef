"""Who gets what of the identity service: every route by every kind of asker, as one table (W1).

A route that is not in the table fails the suite: whoever adds one says here who may use it.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from services.enricher.access.deciding import Ask
from services.enricher.access.decisions import Actor
from services.enricher.access.grants import Waits
from services.enricher.access.service import Access, open_access
from services.enricher.console.app import create_console
from services.enricher.persons.directory import Profile
from services.enricher.rights.service import open_cases
from services.enricher.service import Identity
from services.enricher.tenants.registry import Tenant
from services.runtime.clock import FixedClock
from services.runtime.web.server import serving
from services.runtime.web.sessions import EVERY_TENANT
from tests.parts.identity import NOON, TENANT, access, apply_accounts, batch, link, opened, send
from tests.parts.matrix import FOREIGN, UNSAFE, Kind, Use, asked, routes_of
from tests.parts.web import WAIT_S

OTHER = "choir"
ANNA = Profile("anna-42", "Annabel Muellerova", "annabel@example.org", "1 Planted Hill", "+33612345678")
BERT = Profile("bert-43", "Bertram Planted", "bertram@example.org", "2 Planted Hill", "+33612345679")
DEE = Profile("dee-45", "Deirdre Planted", "deirdre@example.org", "4 Planted Hill", "+33612345681")
CARA = Profile("cara-44", "Caroline Choirmember", "caroline@example.net", "3 Planted Hill", "+33612345680")
# Everything of a person, masked or clear. Accounts are what askers name themselves, so forms give them back.
OF_ANNA = ("Annabel", "A. M*****", "annabel@", "Planted Hill", "33612345678", "203.0.113.7", "/invoices-of-anna")
OF_BERT = ("Bertram", "B. P*****", "bertram@", "33612345679", "203.0.113.8", "/invoices-of-bert")
OF_DEE = ("Deirdre", "D. P*****", "deirdre@", "33612345681")
OF_CARA = ("Caroline", "C. C*****", "caroline@", "33612345680", "203.0.113.9", "/songs-of-cara")

# Everybody who asks; the question is always about Anna of `chess-club`.
HOLDER = "support with the grant"
ANOTHERS = "support with a grant for someone else"
EXPIRED = "support with an expired grant"
PEOPLE: Mapping[str, tuple[list[str], list[str]]] = {
    HOLDER: (["support"], [TENANT]),
    "support without a grant": (["support"], [TENANT]),
    EXPIRED: (["support"], [TENANT]),
    ANOTHERS: (["support"], [TENANT]),
    "other tenant's support": (["support"], [OTHER]),
    "other tenant's officer": (["dpo"], [OTHER]),
    "officer": (["dpo"], [TENANT]),
    "operator": (["operator"], [EVERY_TENANT]),
    "tenant's administrator": (["tenant-admin"], [TENANT]),
    "product team": (["product"], [EVERY_TENANT]),
    "no role": ([], [TENANT, OTHER]),
    "no tenant": (["support"], []),
}
REQUESTER = "another officer"  # of what waits for a second person, and who broke the glass
KEYS = ("key", "other tenant's key", "revoked key", "partner's key")
ASKERS = ["nobody", *PEOPLE, *KEYS]
OF_OTHER = {"other tenant's support", "other tenant's officer"}

PUBLIC = Kind("public", 200, 200, 200)
SIGNED_IN = Kind("signed in", 401, 200, 401)
ELSEWHERE = dict.fromkeys(("operator", "tenant's administrator"), 303)  # who looks at nobody
WAY_IN = Kind("the first page", 401, 200, 401, ELSEWHERE)
GO_ON = Kind("changes of one's own", 401, 303, 401)
AWAY = Kind("no provider here", 404, 404, 404)
PASSWORDS = Kind("a password there is none of", 401, 403, 401)
HELD = Kind("what a grant opens", 401, 403, 401, {HOLDER: 200})
ENDED = Kind("a grant is ended", 401, 403, 401, {HOLDER: 303, EXPIRED: 303})
AUDIT = Kind("the audit log", 401, 403, 401, dict.fromkeys(("officer", "other tenant's officer", "operator"), 200))
SUPPORTERS = dict.fromkeys((HOLDER, "support without a grant", EXPIRED, ANOTHERS, "officer"), 303)
OFFICERS = dict.fromkeys(("officer", "other tenant's officer"), 200)
WATCHED = Kind("who holds access", 401, 403, 401, OFFICERS)
WATCHING = Kind("somebody's access is decided", 401, 403, 401, {"officer": 303})
WRITTEN = Kind("what a grant takes in", 401, 403, 401, {HOLDER: 303})
ASKED_OF_OTHERS = Kind("another's own request", 401, 404, 401)
SEES_CASES = dict.fromkeys(("officer", "operator", "tenant's administrator"), 200)
OPENS_CASES = (*SUPPORTERS, "operator", "tenant's administrator")
# Who is of another tenant learns no more of a case than of one that does not exist.
STRANGERS = dict.fromkeys(("other tenant's support", "other tenant's officer", "no tenant"), 404)
CASE = Kind("a case", 401, 403, 401, SEES_CASES | STRANGERS)
CASE_PAPERS = Kind("a case has no such paper", 401, 403, 401, dict.fromkeys(SEES_CASES, 404) | STRANGERS)
CASE_LIST = Kind("cases of one's tenants", 401, 403, 401, SEES_CASES | {"other tenant's officer": 200})
CASE_OPENED = Kind("a request is taken in", 401, 403, 401, dict.fromkeys(OPENS_CASES, 200))
CARES = dict.fromkeys(("officer", "tenant's administrator"), 409)  # for a case that somebody else opened
CASE_CHECKED = Kind("who asks was made sure of", 401, 403, 401, CARES | STRANGERS)
CASE_STEP = Kind("a case goes on", 401, 403, 401, {"officer": 303} | STRANGERS)
CASE_TOO_LATE = Kind("a case that has gone on", 401, 403, 401, {"officer": 409} | STRANGERS)
CASE_TAKEN_BACK = Kind("a request is taken back", 401, 403, 401, CARES | {"tenant's administrator": 303} | STRANGERS)
PACKAGE = Kind("the package, once", 401, 403, 401, {"officer": 200} | STRANGERS)
TERMS_SEEN = Kind("terms and tenants", 401, 403, 401, SEES_CASES | {"other tenant's officer": 200})
TERMS_SET = Kind("terms are set", 401, 403, 401, dict.fromkeys(("operator", "tenant's administrator"), 303))
MANAGED = Kind("tenants are managed", 401, 403, 401, {"operator": 303})
NO_CERTIFICATE = Kind("of a tenant that has not left", 401, 403, 401, dict.fromkeys(SEES_CASES, 404))
CASES = {"key": 200, "other tenant's key": 404}
ACCOUNTS = Kind("accounts, by a key", 401, 401, 401, {"key": 204, "other tenant's key": 403})
ACCOUNT_PATH = f"/api/v1/accounts/{TENANT}/new-one"
LOOK_UP = {
    "tenant": TENANT, "by": "account", "value": ANNA.account, "purpose": "support", "ticket": "SUP-1",
    "reason": "cannot open the invoice", "minutes": "30",
}  # fmt: skip
REASON = {"reason": "because of the ticket"}
REQUEST = {
    "subject_request_id": "{fresh}", "subject_request_type": "access", "submitted_time": "2026-03-10T11:00:00Z",
    "subject_identities": [{"identity_type": "controller_customer_id", "identity_value": DEE.account}],
}  # fmt: skip
A_CASE = {"tenant": TENANT, "by": "account", "value": DEE.account, "kind": "access", "note": "by letter"}
REVEAL = {"field": "email", "reason": "compare with the ticket"}

TABLE: Mapping[tuple[str, str], Use] = {
    ("GET", "/healthz"): Use(PUBLIC),
    ("GET", "/readyz"): Use(PUBLIC),
    ("GET", "/metrics"): Use(PUBLIC),
    ("GET", "/openapi.json"): Use(PUBLIC),
    ("GET", "/assets/{digest}/{name}"): Use(Kind("no such file", 404, 404, 404), "/assets/0/none.css"),
    ("POST", "/theme"): Use(Kind("colours", 303, 303, 303), form={"theme": "dark"}),
    ("POST", "/language"): Use(Kind("language", 303, 303, 303), form={"lang": "en"}),
    ("GET", "/login"): Use(Kind("the way in", 200, 303, 200)),
    ("POST", "/login"): Use(Kind("a wrong password", 401, 401, 401), form={"name": "x", "password": "x"}),
    ("GET", "/login/{token}"): Use(Kind("a link that is over", 410, 410, 410), "/login/none"),
    ("POST", "/login/{token}"): Use(Kind("a link that is over", 410, 410, 410), "/login/none", form={}),
    ("GET", "/oidc/start"): Use(AWAY),
    ("GET", "/oidc/callback"): Use(AWAY),
    ("GET", "/oidc/signed-out"): Use(AWAY),
    ("GET", "/account"): Use(SIGNED_IN),
    ("GET", "/account/set-up"): Use(Kind("choosing a password, by a new link", 401, 200, 401)),
    ("POST", "/account/set-up"): Use(Kind("choosing a password, an empty form", 401, 400, 401), form={}),
    ("POST", "/account/password"): Use(PASSWORDS, form={}),
    ("GET", "/account/factor"): Use(PASSWORDS),
    ("POST", "/account/factor"): Use(PASSWORDS, form={}),
    ("POST", "/account/sessions/end"): Use(GO_ON, form={}),
    ("PUT", "/api/v1/accounts/{tenant}/{account:path}"): Use(ACCOUNTS, ACCOUNT_PATH, json={"name": "New One"}),
    ("DELETE", "/api/v1/accounts/{tenant}/{account:path}"): Use(ACCOUNTS, ACCOUNT_PATH),
    ("GET", "/"): Use(WAY_IN),
    ("GET", "/grants"): Use(SIGNED_IN),
    ("POST", "/grants"): Use(Kind("a grant is asked for", 401, 403, 401, SUPPORTERS), form=LOOK_UP),
    ("GET", "/grants/{grant}"): Use(HELD),
    ("GET", "/grants/{grant}/state"): Use(Kind("whether a grant runs", 401, 200, 401, {HOLDER: 204})),
    ("GET", "/grants/{grant}/reveal"): Use(Kind("away from what was revealed", 303, 303, 303)),
    ("POST", "/grants/{grant}/reveal"): Use(HELD, form=REVEAL),
    ("POST", "/grants/{grant}/notes"): Use(WRITTEN, form={"text": "was helped"}),
    ("POST", "/grants/{grant}/again"): Use(WRITTEN, form=REASON),
    ("POST", "/break-glass"): Use(Kind("the glass is broken", 401, 403, 401, SUPPORTERS), form=LOOK_UP),
    ("POST", "/requests/{asked}/start"): Use(ASKED_OF_OTHERS, form={}),
    ("POST", "/requests/{asked}/withdraw"): Use(ASKED_OF_OTHERS, form={}),
    ("GET", "/approvals"): Use(WATCHED),
    ("POST", "/requests/{asked}/answer"): Use(WATCHING, form={"agrees": "true", **REASON}),
    ("POST", "/grants/{grant}/review"): Use(WATCHING, "/grants/{glass}/review", {"verdict": "justified", **REASON}),
    ("POST", "/grants/{grant}/end"): Use(ENDED, form={}),
    ("POST", "/grants/{grant}/revoke"): Use(WATCHING, "/grants/{glass}/revoke", REASON),
    ("GET", "/unusual"): Use(WATCHED),
    ("GET", "/cases"): Use(CASE_LIST),
    ("GET", "/cases/new"): Use(SIGNED_IN),
    ("POST", "/cases"): Use(CASE_OPENED, form=A_CASE),
    ("GET", "/cases/{case}"): Use(CASE),
    ("GET", "/cases/{case}/documents/{name}"): Use(CASE_PAPERS, "/cases/{case}/documents/none"),
    ("POST", "/cases/{case}/check"): Use(CASE_CHECKED, form={"how": "tenant", **REASON}),
    ("POST", "/cases/{case}/extend"): Use(CASE_STEP, form=REASON),
    ("POST", "/cases/{case}/approve"): Use(CASE_STEP, form=REASON),
    ("POST", "/cases/{case}/execute"): Use(CASE_STEP, form={}),
    ("POST", "/cases/{case}/without"): Use(CASE_TOO_LATE, form={"worker": "ingest/a", **REASON}),
    ("POST", "/cases/{case}/package"): Use(PACKAGE, form={}),
    ("POST", "/cases/{case}/refuse"): Use(CASE_TOO_LATE, form={"why": "unfounded", **REASON}),
    ("POST", "/cases/{case}/cancel"): Use(CASE_TAKEN_BACK, form=REASON),
    ("POST", "/holds"): Use(WATCHING, form={"tenant": TENANT, "account": DEE.account, **REASON}),
    ("POST", "/holds/{hold}/lift"): Use(WATCHING, form=REASON),
    ("GET", "/retention"): Use(TERMS_SEEN),
    ("POST", "/retention"): Use(TERMS_SET, form={"tenant": TENANT, "kind": "linked", "days": "60", **REASON}),
    ("GET", "/tenants"): Use(TERMS_SEEN),
    ("POST", "/tenants"): Use(MANAGED, form={"tenant": "t-{fresh}", "name": "A new one", **REASON}),
    ("POST", "/tenants/{tenant}/suspend"): Use(MANAGED, f"/tenants/{TENANT}/suspend", REASON),
    ("POST", "/tenants/{tenant}/resume"): Use(MANAGED, f"/tenants/{TENANT}/resume", REASON),
    ("POST", "/tenants/{tenant}/terminate"): Use(
        MANAGED, f"/tenants/{TENANT}/terminate", {"confirm": TENANT, **REASON}
    ),
    ("POST", "/tenants/{tenant}/keep"): Use(MANAGED, f"/tenants/{TENANT}/keep", REASON),
    ("GET", "/tenants/{tenant}/certificate"): Use(NO_CERTIFICATE, f"/tenants/{TENANT}/certificate"),
    ("GET", "/audit"): Use(AUDIT),
    ("POST", "/audit/verify"): Use(AUDIT, form={}),
    ("GET", "/audit/export/{form}"): Use(AUDIT, "/audit/export/csv"),
    ("GET", "/dsr/v1/discovery"): Use(PUBLIC),
    ("GET", "/dsr/v1/certificate.pem"): Use(PUBLIC),
    ("POST", "/dsr/v1/requests"): Use(
        Kind("a request of a member of the key's tenant", 401, 401, 401, {"key": 201, "other tenant's key": 201}), json=REQUEST
    ),
    ("GET", "/dsr/v1/requests/{request_id}"): Use(Kind("a request", 401, 401, 401, CASES)),
    ("GET", "/dsr/v1/requests/{request_id}/results"): Use(Kind("no results yet", 401, 401, 401, CASES | {"key": 403})),
    ("DELETE", "/dsr/v1/requests/{request_id}"): Use(Kind("a request", 401, 401, 401, CASES | {"key": 202})),
    ("POST", "/logout"): Use(GO_ON, form={}),  # the last one: the session is over then
}  # fmt: skip


@dataclass(frozen=True)
class Desk:
    """A running console. `given`: what stands for a route's parameters, for one asker."""

    url: str
    app: FastAPI
    identity: Identity
    access: Access
    clock: FixedClock
    expired: dict[str, str] = field(default_factory=dict)

    def grant(self, name: str, profile: Profile, minutes: int = 30) -> str:
        return self.access.gate.ask(_actor(name), _ask(profile, minutes)).id

    def given(self, asker: str) -> dict[str, str]:
        """Its own, once: what is ended or answered in the course of asking is nobody else's."""
        with contextlib.suppress(Waits):
            self.access.gate.ask(_actor(REQUESTER), replace(_ask(ANNA), purpose="legal"))
        key = self.access.api_keys.add(TENANT, "cases")
        told = REQUEST | {"subject_request_id": str(uuid.uuid4())}
        bearer = {"authorization": f"Bearer {key}"}
        assert httpx.post(f"{self.url}/dsr/v1/requests", json=told, headers=bearer).status_code == 201
        return {
            "grant": self.expired["grant"] if asker == EXPIRED else self.grant(HOLDER, ANNA),
            "asked": self.access.approvals.asked(_actor(REQUESTER))[0].request.id,
            "glass": self.access.gate.break_glass(_actor(f"{REQUESTER} {uuid.uuid4()}"), _ask(ANNA, 15)).id,
            "request_id": str(told["subject_request_id"]),
            "hold": self._hold(),
            "case": self._case(str(told["subject_request_id"])),
            "fresh": str(uuid.uuid4()),
        }

    def _hold(self) -> str:
        """Of somebody of whom nothing is known."""
        cases = open_cases(self.identity, self.access.gate, self.access.audit)
        account = f"held-{uuid.uuid4().hex[:8]}"
        return cases.hold(_actor(REQUESTER), TENANT, account, "a court asked for it")

    def _case(self, request_id: str) -> str:
        cases = open_cases(self.identity, self.access.gate, self.access.audit)
        return cases.of_request(_actor(REQUESTER), TENANT, request_id).case


def _actor(name: str) -> Actor:
    roles, tenants = (["dpo"], [TENANT]) if name.startswith(REQUESTER) else PEOPLE[name]
    return Actor(name, frozenset(roles), frozenset(tenants))


def _ask(profile: Profile, minutes: int = 30) -> Ask:
    return Ask(TENANT, profile.account, "support", "SUP-1", "cannot open the invoice", "account", minutes)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    clock = FixedClock(NOON)
    with opened(tmp_path_factory.mktemp("identity-roles"), clock) as identity:
        _fill(identity)
        access_ = open_access(identity)
        for name, (roles, tenants) in PEOPLE.items():
            access_.sessions.put_user(name, roles, tenants)
        app = create_console(identity, access_)
        with serving(app, "127.0.0.1:0") as (host, port):
            made = Desk(f"http://{host}:{port}", app, identity, access_, clock)
            made.expired["grant"] = made.grant(EXPIRED, ANNA, 1)
            clock.advance(timedelta(minutes=2))
            made.grant(ANOTHERS, BERT)
            yield made


def _fill(identity: Identity) -> None:
    identity.registry.add(Tenant(OTHER, "Choir", NOON))
    for tenant, profile in ((TENANT, ANNA), (TENANT, BERT), (TENANT, DEE), (OTHER, CARA)):
        identity.accounts.put(tenant, profile)
    apply_accounts(identity)
    send(
        identity,
        batch(
            [
                access(ANNA.account, "/invoices-of-anna", client_address="203.0.113.7"),
                access(BERT.account, "/invoices-of-bert", client_address="203.0.113.8"),
                access(CARA.account, "/songs-of-cara", client_address="203.0.113.9", tenant=OTHER),
            ]
        ),
    )
    link(identity)


def test_every_route_is_in_the_table(desk: Desk) -> None:
    """And nothing that is gone."""
    assert routes_of(desk.app) == set(TABLE)


@pytest.mark.parametrize("asker", ASKERS)
def test_every_asker_gets_what_is_theirs(desk: Desk, asker: str) -> None:
    """The status of each route; and in no answer anything of a person but to who holds the grant to that one."""
    what = "people" if asker in PEOPLE else "keys" if asker in KEYS else "nobody"
    given = desk.given(asker)
    with _asking(desk, asker) as client:
        answers = {name: asked(client, name, use, given) for name, use in TABLE.items()}
    expected = {name: use.kind.expected(asker, what) for name, use in TABLE.items()}
    found = {name: answer.status_code for name, answer in answers.items()}
    assert {name: (found[name], expected[name]) for name in TABLE if found[name] != expected[name]} == {}
    hidden = [*OF_BERT, *OF_CARA, *OF_DEE, *(OF_ANNA if asker != HOLDER else ())]
    assert _leaks(answers, hidden) == []
    others = {name: answer for name, answer in answers.items() if name[0] == "GET" and name[1] != "/metrics"}
    assert asker not in OF_OTHER or _leaks(others, [TENANT]) == []


def test_a_person_is_found_in_answers_when_the_gate_is_open(desk: Desk) -> None:
    """The search finds what is there: to who holds the grant the page shows Anna masked, with her pages."""
    with _asking(desk, HOLDER) as client:
        name = ("GET", "/grants/{grant}")
        answers = {name: asked(client, name, TABLE[name], desk.given(HOLDER))}
    assert _leaks(answers, OF_ANNA) != []


@pytest.mark.parametrize("foreign", [{"origin": FOREIGN["origin"]}, {"sec-fetch-site": "cross-site"}])
def test_a_form_of_another_site_does_nothing(desk: Desk, foreign: dict[str, str]) -> None:
    """Each route that changes something, with the token and the strongest asker of each: refused before it is looked at."""
    for asker in (HOLDER, "officer"):
        given = desk.given(asker)
        with _asking(desk, asker) as client:
            before = desk.access.audit.newest(1)
            for name, use in TABLE.items():
                if name[0] in UNSAFE:
                    assert asked(client, name, use, given, headers=foreign).status_code == 403, name
            assert desk.access.audit.newest(1) == before


@pytest.mark.parametrize("token", ["", "wrong", "another session's"])
def test_a_form_needs_the_token_of_its_session(desk: Desk, token: str) -> None:
    """But those that anybody may send, who is not signed in."""
    for asker in (HOLDER, "officer"):
        given = desk.given(asker)
        with _asking(desk, asker) as client, _asking(desk, asker) as other:
            client.headers["x-csrf-token"] = other.headers["x-csrf-token"] if token.startswith("another") else token
            before = desk.access.audit.newest(1)
            for name, use in TABLE.items():
                if name[0] == "POST" and use.kind.nobody == 401 and name[1] != "/login":
                    by_key = name[1].startswith(("/api/", "/dsr/"))  # a session counts for nothing there
                    assert asked(client, name, use, given).status_code == (401 if by_key else 403), name
            assert desk.access.audit.newest(1) == before


@contextlib.contextmanager
def _asking(desk: Desk, asker: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=desk.url, headers={"accept": "text/html"}, verify=False, timeout=WAIT_S) as client:
        if asker in KEYS:
            client.headers["authorization"] = f"Bearer {_key(desk, asker)}"
        elif asker in PEOPLE:
            assert client.post(f"/login/{desk.access.sessions.login_link(asker)}").status_code == 303
            found = re.search(r'"X-CSRF-Token": "([^"]+)"', client.get("/account").text)
            assert found
            client.headers["x-csrf-token"] = found[1]
        yield client


def _key(desk: Desk, asker: str) -> str:
    if asker == "partner's key":  # of the statistics service
        return f"voile_sta_{'0' * 12}_{'0' * 64}"
    keys = desk.access.api_keys
    key = keys.add(OTHER if asker == "other tenant's key" else TENANT, asker)
    if asker == "revoked key":
        assert keys.revoke(key.split("_")[2])
    return key


def _leaks(answers: Mapping[tuple[str, str], httpx.Response], hidden: list[str] | tuple[str, ...]) -> list[str]:
    """Where, and what: also in headers."""
    return [
        f"{name}: {value}"
        for name, answer in answers.items()
        for value in hidden
        if value in answer.text or value in str(answer.headers)
    ]
