"""The statistics service over HTTP: who may see what, what is refused and how it is said, and what files hold."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from services.runtime.web.quota import Quota
from services.runtime.web.sessions import EVERY_TENANT
from services.stats.access.scope import Scope
from services.stats.queries import api
from services.stats.queries.api import QUERIES_PER_HOUR
from tests.parts.dashboard import Pages, a_dashboard
from tests.parts.figures import HOSTILE, TODAY
from tests.parts.web import WAIT_S

YESTERDAY = (TODAY - timedelta(days=1)).isoformat()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    with a_dashboard(tmp_path_factory.mktemp("pages")) as running:
        yield running


@contextlib.contextmanager
def signed_in(pages: Pages, user: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=pages.url, headers={"accept": "text/html"}, follow_redirects=True) as client:
        assert client.post(pages.login(user)).status_code == 200
        yield client


@pytest.fixture(scope="module")
def ada(pages: Pages) -> Iterator[httpx.Client]:
    """She sees every tenant."""
    with signed_in(pages, "ada") as client:
        yield client


@pytest.fixture(scope="module")
def ben(pages: Pages) -> Iterator[httpx.Client]:
    """He sees the chess club alone."""
    with signed_in(pages, "ben") as client:
        yield client


def asked(**changes: Any) -> dict[str, Any]:
    return {"site_id": "riverside", "metrics": ["visitors"], "date_range": [YESTERDAY, YESTERDAY]} | changes


def query(pages: Pages, key: str, body: Any, **headers: str) -> httpx.Response:
    return httpx.post(f"{pages.url}/api/v1/query", json=body, headers={"authorization": f"Bearer {key}"} | headers)


@pytest.fixture(scope="module")
def key(pages: Pages) -> str:
    return pages.keys.add("tests", [EVERY_TENANT])


def test_the_api_answers_published_figures(pages: Pages, key: str) -> None:
    """Rows by dimension, rounded to five, with what the figures are worth."""
    answer = query(pages, key, asked(dimensions=["visit:country"]))
    assert answer.status_code == 200
    body = answer.json()
    rows = {row["dimensions"][0]: row["metrics"][0] for row in body["results"]}
    assert rows["FR"] > rows["BE"] > 0
    assert all(value % 5 == 0 for value in rows.values())
    assert body["meta"]["privacy"]["threshold"] == 10
    assert body["meta"]["freshness"]["closed_through"] == YESTERDAY


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"metrics": ["guests"]}, "metrics"),
        ({"metrics": []}, "metrics"),
        ({"dimensions": ["visit:shoe_size"]}, "dimensions"),
        ({"filters": [["is_not", "visit:country", ["FR"]]]}, "filters"),
        ({"filters": [["is", "visit:country", ["FR"]], ["is", "visit:os", ["Linux"]]]}, "filters"),
        ({"filters": [["is", "visit:country", ["FR"]]], "dimensions": ["visit:browser"]}, "filters"),
        ({"date_range": "fortnight"}, "date_range"),
        ({"date_range": 7}, "date_range"),
        ({"order_by": [["shoe_size", "desc"]]}, "order_by"),
        ({"pagination": {"limit": 0}}, "pagination"),
        ({"nina": "SELECT 1"}, "the request"),
    ],
)
def test_what_is_not_offered_is_refused_by_name(pages: Pages, key: str, change: dict[str, Any], field: str) -> None:
    """400 as problem+json; the field is named."""
    answer = query(pages, key, asked(**change))
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    named = problem.get("field") or problem["errors"][0]["field"]
    assert field in named
    assert "nina" not in answer.text


@pytest.mark.parametrize("body", ["", "{", "[]", '"x"', "null", "{}"])
def test_a_broken_body_is_a_400(pages: Pages, key: str, body: str) -> None:
    """Never a 500, whatever comes."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    assert httpx.post(f"{pages.url}/api/v1/query", content=body, headers=headers).status_code == 400


def test_csv_comes_when_it_is_asked_for(pages: Pages, key: str) -> None:
    """By Accept; a path that a spreadsheet would run as a formula is made harmless."""
    answer = query(pages, key, asked(dimensions=["event:page"]), accept="text/csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0] == ["event:page", "visitors"]
    cells = [row[0] for row in rows[1:]]
    assert f"'{HOSTILE[3]}" in cells
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Basic dXNlcjpwYXNz", "Bearer voile_sta_{0}_{0}"])
def test_nobody_without_a_key(pages: Pages, header: str) -> None:
    """401 as a problem document; nothing of the figures."""
    headers = {"authorization": header.format("0" * 12)} if header else {}
    answer = httpx.post(f"{pages.url}/api/v1/query", json=asked(), headers=headers)
    assert answer.status_code == 401
    assert answer.json()["title"] == "Nobody is signed in"


def test_a_key_reaches_its_tenants_alone(pages: Pages) -> None:
    """Another tenant is refused, whether it exists or not, in the same words."""
    own = pages.keys.add("club", ["chess-club"])
    assert query(pages, own, asked(site_id="chess-club")).status_code == 200
    other, none = query(pages, own, asked(site_id="riverside")), query(pages, own, asked(site_id="no-such"))
    assert other.status_code == none.status_code == 400
    assert other.json()["detail"] == none.json()["detail"]
    assert "riverside" not in other.text
    everything = query(pages, own, {**asked(), "site_id": "chess-club", "dimensions": ["event:page"]}).json()
    assert everything["query"]["site_id"] == ["chess-club"]


def test_a_signed_in_person_queries_with_the_forms_token(pages: Pages, ben: httpx.Client) -> None:
    """The session alone is not enough for a POST, and it reaches the person's tenants alone."""
    path, body = "/api/v1/query", asked(site_id="chess-club")
    assert ben.post(path, json=body).status_code == 403
    token = ben.get("/").text.partition('"X-CSRF-Token": "')[2].partition('"')[0]
    headers = {"x-csrf-token": token, "accept": "application/json"}
    assert ben.post(path, json=body, headers=headers).status_code == 200
    assert ben.post(path, json=asked(site_id="riverside"), headers=headers).status_code == 400
    assert ben.post(path, json=body, headers=headers | {"sec-fetch-site": "cross-site"}).status_code == 403


def test_too_many_queries_are_told_when_to_come_back(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    """600 an hour for a key, then 429 with Retry-After; other keys go on. Each question counts for thirty here."""
    take = Quota.take
    monkeypatch.setattr(Quota, "take", lambda quota, key: max(take(quota, key) for _ in range(30)))
    busy, other = pages.keys.add("busy", ["chess-club"]), pages.keys.add("other", ["chess-club"])
    with httpx.Client(headers={"authorization": f"Bearer {busy}"}, timeout=WAIT_S) as client:
        bad = {"site_id": "chess-club", "metrics": ["none"], "date_range": "day"}
        answers = [client.post(f"{pages.url}/api/v1/query", json=bad) for _ in range(QUERIES_PER_HOUR // 30 + 1)]
    assert [answer.status_code for answer in answers] == [400] * (QUERIES_PER_HOUR // 30) + [429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 6
    assert query(pages, other, asked(site_id="chess-club")).status_code == 200


def test_every_answer_tells_what_is_left_of_the_quota(pages: Pages) -> None:
    """Also a refusal, and the list of sources; what was used comes back evenly."""
    own = pages.keys.add("counting", ["chess-club"])
    good, bad = query(pages, own, asked(site_id="chess-club")), query(pages, own, asked(metrics=["none"]))
    sources = httpx.get(f"{pages.url}/api/v1/sources", headers={"authorization": f"Bearer {own}"})
    assert [answer.status_code for answer in (good, bad, sources)] == [200, 400, 200]
    told = [(answer.headers["ratelimit-policy"], answer.headers["ratelimit"]) for answer in (good, bad, sources)]
    assert told == [(f'"hour";q={QUERIES_PER_HOUR};w=3600', f'"hour";r={600 - n};t={6 * n}') for n in (1, 2, 3)]
    pages.clock.advance(timedelta(seconds=12))
    assert query(pages, own, asked(site_id="chess-club")).headers["ratelimit"] == '"hour";r=598;t=12'


TENANT_ROUTES = [
    "/?tenant={}",
    "/list?tenant={}&of=event:page",
    "/csv?tenant={}&of=event:page",
    "/csv?tenant={}&of=chart",
    "/quality?tenant={}",
    "/csv?tenant={}&of=routes&sheet=quality",
]


@pytest.mark.parametrize("route", TENANT_ROUTES)
@pytest.mark.parametrize(
    ("tenant", "status"), [("chess-club", 200), ("riverside", 404), ("no-such-tenant", 404), ("*", 404)]
)
def test_tenants_staff_see_their_own_alone(ben: httpx.Client, route: str, tenant: str, status: int) -> None:
    """Every page that shows figures; another tenant and one that does not exist look the same (but for the
    address, which the page repeats)."""
    answer = ben.get(route.format(tenant))
    assert answer.status_code == status
    assert "riverside" not in _without_reference(answer.text, tenant)
    other = ben.get(route.format("certainly-not-there")).text
    if status == 404:
        assert _without_reference(answer.text, tenant) == _without_reference(other, "certainly-not-there")


def _without_reference(page: str, tenant: str) -> str:
    return re.sub(r"Reference [0-9a-f]+|name=\"back\" value=\"[^\"]*\"", "", page).replace(tenant, "")


@pytest.mark.parametrize("route", TENANT_ROUTES)
def test_nobody_sees_figures_without_signing_in(pages: Pages, route: str) -> None:
    """401, with the page that says how to get in."""
    answer = httpx.get(pages.url + route.format("riverside"), headers={"accept": "text/html"})
    assert answer.status_code == 401
    assert "voile user login-link" in answer.text


def test_the_privacy_page_is_for_everybody(pages: Pages) -> None:
    """Without signing in; its terms come from where they are decided."""
    page = httpx.get(f"{pages.url}/privacy", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert "72 hours" in page.text
    assert "at most 90 days" in page.text


@pytest.mark.parametrize(
    "wrong",
    [
        "period=fortnight", "period=day&date=x", "period=custom&from=2026-01-02&to=2026-01-01", "compare=shoes",
        "metric=shoes", "filter=visit:shoes&value=1", "pages=visit:country", "filter=visit:country&value=",
    ],
)  # fmt: skip
def test_a_wrong_address_is_explained(ada: httpx.Client, wrong: str) -> None:
    """400 with a page that names what is wrong and what to do."""
    answer = ada.get(f"/?{wrong}")
    assert answer.status_code == 400
    assert "Nothing was changed" in answer.text


def test_a_page_and_its_file_agree(ada: httpx.Client) -> None:
    """The CSV of a panel holds the rows that the page shows."""
    page = ada.get("/?tenant=riverside").text
    rows = list(csv.reader(io.StringIO(ada.get("/csv?tenant=riverside&of=visit:country").text)))
    france = next(int(value) for country, value in rows[1:] if country == "FR")
    assert f"{france:,}" in page


def test_the_quality_page_and_its_files_agree(ada: httpx.Client) -> None:
    """The table of pages, one of them alone, the map of hours."""
    page = ada.get("/quality?tenant=riverside").text
    rows = list(csv.DictReader(io.StringIO(ada.get("/csv?tenant=riverside&of=routes&sheet=quality").text)))
    agenda = next(row for row in rows if row["event:page"] == "/agenda/{id}")
    shown = page.partition(">/agenda/{id}</a>")[2].partition("</tr>")[0]
    assert f"{int(agenda['requests']):,}" in shown
    assert f"{float(agenda['latency_p95']):,.0f} ms" in shown
    only = ada.get("/quality?tenant=riverside&filter=event:page&value=/agenda/{id}").text
    assert f">{int(agenda['requests']):,}<" in only.partition("Requests")[2].partition("</li>")[0]
    hours = list(csv.reader(io.StringIO(ada.get("/csv?tenant=riverside&of=heat&sheet=quality").text)))
    assert hours[0] == ["time:day", "time:hour", "requests"]


def test_the_query_api_tells_both_kinds_of_errors(pages: Pages, key: str) -> None:
    """4xx and 5xx as shares of what people asked for."""
    answer = query(pages, key, asked(metrics=["client_error_rate", "error_rate"], date_range="28d")).json()
    refused, failed = answer["results"][0]["metrics"]
    assert 3 < refused < 6
    assert 0 < failed < 1


def test_what_strangers_wrote_is_escaped(ada: httpx.Client) -> None:
    """No path from a log stands unescaped in a page."""
    page = ada.get("/list?tenant=riverside&of=event:page").text
    for text in HOSTILE[:2]:
        assert text not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    shown = ada.get("/", params={"tenant": "riverside", "filter": "event:page", "value": HOSTILE[1]}).text
    assert HOSTILE[1] not in shown


def test_today_is_marked_as_provisional(ada: httpx.Client) -> None:
    """On the chart's row, in its heading, and on every card of the day itself; a closed day is not."""
    assert f"Provisional: {TODAY:%a} {TODAY.day} {TODAY:%b}" in ada.get("/?tenant=riverside").text
    assert "so far" in ada.get("/?tenant=riverside&period=day").text
    closed = ada.get(f"/?tenant=riverside&period=day&date={YESTERDAY}").text
    assert "so far" not in closed
    assert "Provisional" not in closed


def test_readiness_and_metrics(pages: Pages) -> None:
    """What an operator's monitoring asks."""
    assert httpx.get(f"{pages.url}/readyz").json() == {"ready": True, "missing": []}
    assert "voile_http_requests_total" in httpx.get(f"{pages.url}/metrics").text
    assert "/api/v1/query" in httpx.get(f"{pages.url}/openapi.json").json()["paths"]


@pytest.mark.parametrize(
    "by", [{"X-Forwarded-For": "203.0.113.9"}, {"X-Forwarded-Proto": "https"}, {"Forwarded": "for=_x"}]
)
def test_metrics_are_for_this_machine_alone(pages: Pages, by: dict[str, str]) -> None:
    """Their counters move with every access: who reads them twice has exact counts, and partners reach this port."""
    answer = httpx.get(f"{pages.url}/metrics", headers=by)
    assert (answer.status_code, "voile_" in answer.text) == (404, False)


def test_the_scope_is_what_keeps_tenants_apart(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the scope taken out another tenant is answered: the tests above would fail."""
    own = pages.keys.add("switch", ["chess-club"])
    assert query(pages, own, asked(site_id="riverside")).status_code == 400
    monkeypatch.setattr(api, "scope_of", lambda _tenants: Scope(None))
    assert query(pages, own, asked(site_id="riverside")).status_code == 200


def test_escaping_is_what_keeps_text_text(pages: Pages, ada: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """With it taken out a stranger's markup stands in the page: the test above would fail."""
    path = "/list?tenant=riverside&of=event:page"
    assert HOSTILE[0] not in ada.get(path).text
    environment = pages.app.state.pages.environment
    monkeypatch.setattr(environment, "autoescape", False)
    environment.cache.clear()
    assert HOSTILE[0] in ada.get(path).text
    environment.cache.clear()
