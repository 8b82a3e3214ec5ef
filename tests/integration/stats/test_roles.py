"""Who gets what of the statistics service: every route by every kind of asker, as one table.

A route that is not in the table fails the suite: whoever adds one says here who may use it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import httpx
import polars as pl
import pytest

from services.runtime.web.sessions import EVERY_TENANT, Session
from services.stats.access import roles
from services.stats.access.scope import Scope
from services.stats.closing.proposals import Proposals
from services.stats.delivery.partners import Partners
from services.stats.figures.disclosure import PUBLISHED, PublishedCells
from tests.parts.dashboard import Pages, a_dashboard
from tests.parts.delivery import NAME, WHO, fill_delivery
from tests.parts.figures import TODAY
from tests.parts.matrix import FOREIGN, Kind, Use, asked, routes_of
from tests.parts.web import WAIT_S

OWN, OTHER = "chess-club", "riverside"
VERSION = "2026.03.1"  # of what `fill_delivery` publishes

# Everybody who asks. Their tenants: the question is always about `chess-club`.
PEOPLE: Mapping[str, tuple[list[str], list[str]]] = {
    "viewer": (["viewer"], [OWN]),
    "admin": (["admin"], [OWN]),
    "other viewer": (["viewer"], [OTHER]),
    "other admin": (["admin"], [OTHER]),
    "product team": (["viewer"], [EVERY_TENANT]),
    "operator": (["admin"], [EVERY_TENANT]),
    "no role": ([], [OWN, OTHER]),
    "no tenant": (["viewer"], []),
}
KEYS = {"key": [OWN], "other key": [OTHER], "revoked key": [OWN]}
# Members of partners (by the name `fill_delivery` gives them), and partners' keys. acme may have chess-club-use.
MEMBERS = {"partner": "paul", "other partner": "bea", "partner without terms": "lou"}
PARTNER_KEYS = {
    "partner's key": "acme",
    "other partner's key": "bolt",
    "key without terms": "late",
    "partner's ended key": "acme",
    "partner's revoked key": "acme",
}
ASKERS = ["nobody", *PEOPLE, *KEYS, *MEMBERS, *PARTNER_KEYS]
# "no role" sees the tenants' names alone; whoever may have a release sees its name.
MAY_SEE = {
    OWN: {
        *("viewer", "admin", "product team", "operator", "no role", "key"),
        *("partner", "partner without terms", "partner's key", "key without terms"),
    },
    OTHER: {
        *("other viewer", "other admin", "product team", "operator", "no role", "other key"),
        *("other partner", "other partner's key"),
    },
}


NOT_THEIRS = ("other viewer", "other admin", "no role", "no tenant", *MEMBERS)
PUBLIC = Kind("public", 200, 200, 200)
# Pages know no keys: a program gets the 401 that anybody gets.
SIGNED_IN = Kind("signed in", 401, 200, 401)
FIGURES = Kind("figures of a tenant", 401, 200, 401, dict.fromkeys(NOT_THEIRS, 404))
# Who may see nothing is told how a tenant gets here.
_OTHER_STAFF = {"other viewer": 404, "other admin": 404}
OVERVIEW = Kind("a page of figures", 401, 200, 401, _OTHER_STAFF)
# A partner's members have no figures: they are led to their releases.
START = Kind("the first page", 401, 200, 401, _OTHER_STAFF | dict.fromkeys(MEMBERS, 303))
QUERY = Kind(
    "figures by the API", 401, 200, 200, {**dict.fromkeys(NOT_THEIRS, 400), "other key": 400, "revoked key": 401}
)
LISTED = Kind("one's own by the API", 401, 200, 200, {"revoked key": 401})
ADMINS = Kind("administration", 401, 403, 401, {"admin": 200, "other admin": 200, "operator": 200})
ADMINS_OF_IT = Kind("administration of a tenant", 401, 403, 401, {"admin": 200, "other admin": 404, "operator": 200})
REVOKING = Kind("a key is ended", 401, 403, 401, {"admin": 303, "other admin": 404, "operator": 303})
DECIDING = Kind("a route is accepted", 401, 403, 401, {"admin": 303, "other admin": 404, "operator": 303})
PASSWORDS = Kind("a password there is none of", 401, 403, 401)
NEW_LINK = Kind("choosing a password, by a new link", 401, 200, 401)
REFUSED_FORM = Kind("choosing a password, an empty form", 401, 400, 401)
GO_ON = Kind("changes of one's own", 401, 303, 401)
AWAY = Kind("no provider here", 404, 404, 404)
_NO_TERMS_PAGE = {"partner without terms": 403}
_GOOD = (*MEMBERS, "partner's key", "other partner's key", "key without terms")
RELEASES = Kind("what a partner may have", 401, 403, 401, dict.fromkeys(_GOOD, 200))
OF_PARTNERS = Kind("a page of partners", 401, 403, 401, dict.fromkeys(MEMBERS, 200))
PARTNER_PAGE = Kind("a release's page", 401, 403, 401, {"partner": 200, "other partner": 404, **_NO_TERMS_PAGE})
ACCEPTING = Kind("terms that are not in force are accepted", 401, 403, 401, dict.fromkeys(MEMBERS, 409))
WITHDRAWING = Kind("a release that there is not is withdrawn", 401, 403, 401, {"operator": 409})
_OTHERS = {"other partner": 404, "other partner's key": 404}
RELEASE = Kind("a release", 401, 403, 401, dict.fromkeys(_GOOD, 200) | _OTHERS)
_NO_TERMS = {"partner without terms": 403, "key without terms": 403}
RELEASE_FILE = Kind("a file of a release", 401, 403, 401, dict.fromkeys(_GOOD, 200) | _OTHERS | _NO_TERMS)


PROPOSED = "/games/{name}"
QUERY_BODY = {"site_id": OWN, "metrics": ["visitors"], "date_range": "7d"}
TABLE: Mapping[tuple[str, str], Use] = {
    ("GET", "/healthz"): Use(PUBLIC),
    ("GET", "/readyz"): Use(PUBLIC),
    ("GET", "/metrics"): Use(PUBLIC),
    ("GET", "/openapi.json"): Use(PUBLIC),
    ("GET", "/assets/{digest}/{name}"): Use(Kind("no such file", 404, 404, 404), "/assets/0/none.css"),
    ("POST", "/theme"): Use(Kind("colours", 303, 303, 303), form={"theme": "dark"}),
    ("POST", "/language"): Use(Kind("language", 303, 303, 303), form={"lang": "en"}),
    ("GET", "/privacy"): Use(PUBLIC),
    ("GET", "/privacy.json"): Use(PUBLIC),
    ("GET", "/login"): Use(Kind("the way in", 200, 303, 200)),
    ("POST", "/login"): Use(Kind("a wrong password", 401, 401, 401), form={"name": "x", "password": "x"}),
    ("GET", "/login/{token}"): Use(Kind("a link that is over", 410, 410, 410), "/login/none"),
    ("POST", "/login/{token}"): Use(Kind("a link that is over", 410, 410, 410), "/login/none", form={}),
    ("GET", "/oidc/start"): Use(AWAY),
    ("GET", "/oidc/callback"): Use(AWAY),
    ("GET", "/oidc/signed-out"): Use(AWAY),
    ("GET", "/account"): Use(SIGNED_IN),
    ("GET", "/account/set-up"): Use(NEW_LINK),
    ("POST", "/account/set-up"): Use(REFUSED_FORM, form={}),
    ("POST", "/account/password"): Use(PASSWORDS, form={}),
    ("GET", "/account/factor"): Use(PASSWORDS),
    ("POST", "/account/factor"): Use(PASSWORDS, form={}),
    ("POST", "/account/sessions/end"): Use(GO_ON, form={}),
    ("GET", "/"): Use(START, f"/?tenant={OWN}"),
    ("GET", "/quality"): Use(OVERVIEW, f"/quality?tenant={OWN}"),
    ("GET", "/events"): Use(OVERVIEW, f"/events?tenant={OWN}"),
    ("GET", "/live"): Use(FIGURES, f"/live?tenant={OWN}"),
    ("GET", "/list"): Use(FIGURES, f"/list?tenant={OWN}&of=event:page"),
    ("GET", "/csv"): Use(FIGURES, f"/csv?tenant={OWN}&of=event:page"),
    ("GET", "/sources"): Use(SIGNED_IN),
    ("GET", "/sources/csv"): Use(SIGNED_IN),
    ("GET", "/api/v1/sources"): Use(LISTED),
    ("GET", "/api/v1/sites"): Use(LISTED),
    ("POST", "/api/v1/query"): Use(QUERY, json=QUERY_BODY),
    ("GET", "/exports/v1/datasets"): Use(RELEASES),
    ("GET", "/exports/v1/feed.atom"): Use(RELEASES),
    ("GET", "/exports/v1/feed.json"): Use(RELEASES),
    ("GET", "/exports/v1/datasets/{name}/{version}"): Use(RELEASE, f"/exports/v1/datasets/{NAME}/{VERSION}"),
    ("GET", "/exports/v1/datasets/{name}/{version}/{file}"): Use(
        RELEASE_FILE, f"/exports/v1/datasets/{NAME}/{VERSION}/totals.csv"
    ),
    ("GET", "/partner"): Use(OF_PARTNERS),
    ("GET", "/partner/{name}/{version}"): Use(PARTNER_PAGE, f"/partner/{NAME}/{VERSION}"),
    ("POST", "/partner/terms"): Use(ACCEPTING, form={"number": "7"}),
    ("GET", "/releases"): Use(SIGNED_IN),
    ("GET", "/releases/{name}/{version}"): Use(FIGURES, f"/releases/{NAME}/{VERSION}"),
    ("POST", "/releases/withdraw"): Use(WITHDRAWING, form={"name": NAME, "version": "none", "reason": "why"}),
    ("GET", "/keys"): Use(ADMINS),
    ("POST", "/keys"): Use(ADMINS_OF_IT, form={"tenant": OWN, "label": "report"}),
    ("POST", "/keys/revoke"): Use(REVOKING, form={"id": "{key}"}),
    ("GET", "/routes"): Use(ADMINS),
    ("POST", "/routes"): Use(DECIDING, form={"tenant": OWN, "template": PROPOSED, "decision": "accept"}),
    ("POST", "/logout"): Use(GO_ON, form={}),  # the last one: the session is over then
}  # fmt: skip


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    folder = tmp_path_factory.mktemp("roles")
    with a_dashboard(folder) as running:
        assert fill_delivery(running.engine, running.clock, folder).version == VERSION
        for name, (given, tenants) in PEOPLE.items():
            running.sessions.put_user(name, given, tenants)
        cell = (OWN, TODAY, "route", "/games/{*}", "", "visitors", 20)
        Proposals(running.engine).propose(PublishedCells(pl.DataFrame([cell], schema=dict(PUBLISHED), orient="row")))
        yield running


def test_every_route_is_in_the_table(pages: Pages) -> None:
    """And nothing that is gone."""
    assert routes_of(pages.app) == set(TABLE)


@pytest.mark.parametrize("asker", ASKERS)
def test_every_asker_gets_what_is_theirs(pages: Pages, asker: str) -> None:
    """The status of each route, and in no answer a name of a tenant or a source that is not theirs."""
    what = "people" if asker in {*PEOPLE, *MEMBERS} else "keys" if asker in KEYS else "nobody"
    key = pages.keys.add("to be ended", [OWN])
    with _asking(pages, asker) as client:
        given = {name: _asked(client, name, use, key) for name, use in TABLE.items()}
    answered = {name: answer.status_code for name, answer in given.items()}
    assert answered == {name: use.kind.expected(asker, what) for name, use in TABLE.items()}
    for tenant, may_see in MAY_SEE.items():
        if asker not in may_see:
            named = re.compile({OWN: r"chess-(club|web)", OTHER: r"riverside"}[tenant])
            told = {
                name: _said(answer) for name, answer in given.items() if name[1] not in ("/openapi.json", "/metrics")
            }
            assert [name for name, text in told.items() if named.search(text)] == []


def test_changes_need_the_forms_token_whoever_asks(pages: Pages) -> None:
    """The strongest role, without the token: nothing is changed."""
    key = pages.keys.add("to be kept", [OWN])
    with _asking(pages, "operator") as client:
        client.headers.pop("x-csrf-token")
        for (method, path), use in TABLE.items():
            if method == "POST" and path not in {"/theme", "/language", "/login", "/login/{token}"}:
                assert _asked(client, (method, path), use, key).status_code == 403, path
                assert _asked(client, (method, path), use, key, headers=FOREIGN).status_code == 403, path
    assert key.split("_")[2] in {known.id for known in pages.keys.all()}


def test_an_administrator_makes_keys_of_their_tenant_alone(pages: Pages) -> None:
    """Shown once; it asks for this tenant and no other; another's key is neither seen nor ended."""
    others = pages.keys.add("riverside-report", [OTHER])
    both = pages.keys.add("both", [OWN, OTHER])
    with _asking(pages, "admin") as client:
        made = re.search(r"voile_sta_[0-9a-f]{12}_[0-9a-f]{64}", _make(client, OWN).text)
        assert made
        assert made[0] not in client.get("/keys").text
        assert [_make(client, tenant).status_code for tenant in (OTHER, EVERY_TENANT, "", "none")] == [404] * 4
        for foreign in (others, both):
            key_id = foreign.split("_")[2]
            assert key_id not in client.get("/keys").text
            assert client.post("/keys/revoke", data={"id": key_id}).status_code == 404
        assert pages.keys.check(others)
        assert _status(pages, made[0], OWN) == 200
        assert _status(pages, made[0], OTHER) == 400
        assert client.post("/keys/revoke", data={"id": made[0].split("_")[2]}).status_code == 303
    assert _status(pages, made[0], OWN) == 401


def test_a_tenants_staff_finds_keys_in_the_header_if_they_may_make_them(pages: Pages) -> None:
    for asker, there in [("admin", True), ("viewer", False), ("product team", False)]:
        with _asking(pages, asker) as client:
            assert ('href="/keys"' in client.get("/account").text) is there


def test_the_one_decision_is_what_keeps_tenants_apart(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the rule taken out, a stranger sees everything: each page, file and API asks it."""
    everything = Scope(None)
    for place in ("queries.api", "dashboard.routes", "dashboard.sources_routes"):
        monkeypatch.setattr(f"services.stats.{place}.scope_of", lambda _who: everything)
    with _asking(pages, "other viewer") as client:
        for name in [("GET", "/"), ("GET", "/list"), ("GET", "/csv"), ("POST", "/api/v1/query")]:
            assert _asked(client, name, TABLE[name], "").status_code == 200, name
        for path in ("/sources", "/sources/csv", "/api/v1/sources", "/api/v1/sites"):
            assert "chess-" in client.get(path).text, path


@pytest.mark.parametrize(
    ("given", "tenants", "sees", "may"),
    [
        (["viewer"], [OWN], frozenset({OWN}), []),
        (["admin"], [OWN], frozenset({OWN}), [OWN]),
        (["viewer"], [EVERY_TENANT], None, []),
        (["admin"], [EVERY_TENANT], None, [OWN, OTHER]),
        (["support"], [EVERY_TENANT], frozenset(), []),
        ([], [OWN], frozenset(), []),
    ],
)
def test_the_one_decision(
    pages: Pages, given: list[str], tenants: list[str], sees: frozenset[str] | None, may: list[str]
) -> None:
    """A role of the other service gives nothing here."""
    pages.sessions.put_user("somebody", given, tenants)
    session = pages.sessions.current(pages.sessions.begin("somebody", "link") or "")
    assert isinstance(session, Session)
    assert roles.scope_of(session).tenants == sees
    assert roles.administered(session, [OTHER, OWN]) == may
    assert roles.administers(session, [EVERY_TENANT]) == (len(may) == 2)


@contextlib.contextmanager
def _asking(pages: Pages, asker: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=pages.url, headers={"accept": "text/html"}, verify=False, timeout=WAIT_S) as client:
        if asker in KEYS:
            key = pages.keys.add(asker, KEYS[asker])
            client.headers["authorization"] = f"Bearer {key}"
            if asker == "revoked key":
                assert pages.keys.revoke(key.split("_")[2])
        elif asker in PARTNER_KEYS:
            client.headers["authorization"] = f"Bearer {_partner_key(pages, asker)}"
        elif asker in PEOPLE or asker in MEMBERS:
            assert client.post(pages.login(MEMBERS.get(asker, asker))).status_code == 303
            found = re.search(r'"X-CSRF-Token": "([^"]+)"', client.get("/account").text)
            assert found
            client.headers["x-csrf-token"] = found[1]
        yield client


def _partner_key(pages: Pages, asker: str) -> str:
    partners = Partners(pages.engine, pages.clock)
    term = timedelta(0) if asker == "partner's ended key" else timedelta(days=1)
    key = partners.add_key(PARTNER_KEYS[asker], asker, WHO, term=term)
    if asker == "partner's revoked key":
        partners.revoke_key(key.split("_")[2], WHO)
    return key


def _asked(client: httpx.Client, name: tuple[str, str], use: Use, key: str, **more: Any) -> httpx.Response:
    return asked(client, name, use, {"key": key[10:22]}, **more)


def _said(answer: httpx.Response) -> str:
    """Without the commands that pages show as examples."""
    return re.sub(r"<code>.*?</code>", "", answer.text, flags=re.DOTALL)


def _make(client: httpx.Client, tenant: str) -> httpx.Response:
    return client.post("/keys", data={"tenant": tenant, "label": "report"})


def _status(pages: Pages, key: str, tenant: str) -> int:
    body = QUERY_BODY | {"site_id": tenant}
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{pages.url}/api/v1/query", json=body, headers=headers, verify=False, timeout=WAIT_S).status_code
