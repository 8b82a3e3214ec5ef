"""Who gets what of ingest: every route by every kind of asker, as one table (W1). It knows keys of sources alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pytest

from tests.parts.edge import SOURCE, combined, register
from tests.parts.ingest_site import Site, running
from tests.parts.matrix import FOREIGN, UNSAFE, Kind, Use, asked, routes_of

LINE = {"lines": [combined(1)]}
ASKERS = ("nobody", "key", "other tenant's key", "revoked key", "key of accounts", "key of figures")
PREFIXES = {"accounts": "acc", "figures": "sta"}
PUBLIC = Kind("public", 200, 200, 200)
OWN_LINES = Kind("lines of a source", 401, 401, 401, {"key": 200, "other tenant's key": 403})
# The key says which source it is: another tenant's goes to its own.
BY_KEY = Kind("lines of the key's source", 401, 401, 401, {"key": 200, "other tenant's key": 200})
TRIED = Kind("whether a key is good", 401, 401, 401, {"key": 204, "other tenant's key": 204})
TABLE: Mapping[tuple[str, str], Use] = {
    ("GET", "/healthz"): Use(PUBLIC),
    ("GET", "/readyz"): Use(PUBLIC),
    ("GET", "/metrics"): Use(PUBLIC),
    ("GET", "/openapi.json"): Use(PUBLIC),
    ("GET", "/assets/{digest}/{name}"): Use(Kind("no such file", 404, 404, 404), "/assets/0/none.css"),
    ("POST", "/theme"): Use(Kind("colours", 303, 303, 303), form={"theme": "dark"}),
    ("POST", "/language"): Use(Kind("language", 303, 303, 303), form={"lang": "en"}),
    ("GET", "/api/v1/ingest/check"): Use(TRIED),
    ("POST", "/api/v1/ingest/{source}"): Use(OWN_LINES, "/api/v1/ingest/web", json=LINE),
    ("POST", "/v1/logs"): Use(BY_KEY, json={"resourceLogs": []}),
    ("POST", "/{path:path}"): Use(Kind("no such address", 404, 404, 404), "/elsewhere", json=LINE),
}


@dataclass(frozen=True)
class Edge:
    site: Site
    keys: Mapping[str, str]

    def headers(self, asker: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.keys[asker]}"} if asker in self.keys else {}


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """Two tenants, and a source whose key was taken back."""
    with running(tmp_path_factory.mktemp("ingest-roles")) as site:
        ingest, own = site.ingest, site.client.headers.pop("authorization").removeprefix("Bearer ")
        register(ingest.log, "riverside", "active")
        ingest.clock.sleep(2)
        others = ingest.add_source(replace(SOURCE, name="river-web", tenant="riverside")).key
        revoked = ingest.add_source(replace(SOURCE, name="old-web")).key
        ingest.sources.revoke("old-web", None, ingest.clock.now())
        ingest.clock.sleep(2)
        foreign = {f"key of {what}": f"voile_{prefix}_{'0' * 12}_{'0' * 64}" for what, prefix in PREFIXES.items()}
        yield Edge(site, {"key": own, "other tenant's key": others, "revoked key": revoked, **foreign})


def test_every_route_is_in_the_table(edge: Edge) -> None:
    """And nothing that is gone."""
    assert routes_of(edge.site.app) == set(TABLE)


@pytest.mark.parametrize("asker", ASKERS)
def test_every_asker_gets_what_is_theirs(edge: Edge, asker: str) -> None:
    """The status of each route; and no answer names another tenant or source."""
    headers = edge.headers(asker)
    answers = {name: asked(edge.site.client, name, use, {}, headers=headers) for name, use in TABLE.items()}
    found = {name: answer.status_code for name, answer in answers.items()}
    what = "keys" if headers else "nobody"
    assert found == {name: use.kind.expected(asker, what) for name, use in TABLE.items()}
    hidden = ["acme", '"web"'] if asker == "other tenant's key" else ["riverside", "river-web"]
    told = {name: answer.text for name, answer in answers.items() if name[1] != "/metrics"}  # the operator's, by source
    assert [(name, word) for name, text in told.items() for word in hidden if word in text] == []


@pytest.mark.parametrize("foreign", [{"origin": FOREIGN["origin"]}, {"sec-fetch-site": "cross-site"}])
def test_a_page_of_another_site_sends_nothing(edge: Edge, foreign: dict[str, str]) -> None:
    """A browser that was lured adds no line, even with a key in the page."""
    headers = edge.headers("key") | foreign
    for name, use in TABLE.items():
        if name[0] in UNSAFE:
            assert asked(edge.site.client, name, use, {}, headers=headers).status_code == 403, name
