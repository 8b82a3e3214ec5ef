"""The API for programs: its description is valid and true, answers are known again, quotas and lists are told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from services.runtime.clock import FixedClock
from services.runtime.web.sessions import EVERY_TENANT
from services.stats import web
from services.stats.queries import api
from services.stats.queries.metrics import METRICS
from services.stats.queries.request import DIMENSIONS, TIMES
from tests.parts.dashboard import Pages, a_dashboard
from tests.parts.delivery import fill_delivery
from tests.parts.figures import TODAY, fill_cells

FUZZ_S_MAX = 120
EXAMPLES = 10  # an operation and phase
# `positive_data_acceptance` is left out: what would single people out is refused though it has the right shape.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,unsupported_method,ignored_auth"
)
YESTERDAY = (TODAY - timedelta(days=1)).isoformat()
QUERY = {"site_id": "riverside", "metrics": ["visitors"], "date_range": [YESTERDAY, YESTERDAY]}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """Its quota is out of the fuzzer's way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(web, "QUERIES_PER_HOUR", 1_000_000)
        patch.setattr(web, "REQUESTS_PER_HOUR", 1_000_000)
        with a_dashboard(tmp_path_factory.mktemp("api")) as running:
            yield running


@pytest.fixture(scope="module")
def key(pages: Pages) -> str:
    return pages.keys.add("tests", [EVERY_TENANT])


def ask(pages: Pages, key: str, body: Any = QUERY, **headers: str) -> httpx.Response:
    said = {"authorization": f"Bearer {key}"} | {name.replace("_", "-"): text for name, text in headers.items()}
    return httpx.post(f"{pages.url}/api/v1/query", json=body, headers=said)


def get(pages: Pages, key: str, path: str) -> httpx.Response:
    return httpx.get(pages.url + path, headers={"authorization": f"Bearer {key}"})


@pytest.fixture(scope="module")
def described(pages: Pages) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{pages.url}/openapi.json").json()
    return found


def test_the_description_is_valid(described: dict[str, Any]) -> None:
    """OpenAPI 3.1."""
    assert described["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(described).iter_errors()) == []


def test_the_description_is_complete(described: dict[str, Any]) -> None:
    """Every route for programs, with its security, its errors as problem documents, and when to come again."""
    assert set(described["paths"]) >= {"/api/v1/query", "/api/v1/sites", "/api/v1/sources"}
    for path, operations in described["paths"].items():
        for operation in operations.values():
            assert {"PartnerKey" if path.startswith("/exports") else "ApiKey": []} in operation["security"]
            errors = {status: r for status, r in operation["responses"].items() if status >= "400"}
            every = {"400", "401", "403", "408", "413", "421", "429", "500", "503"}
            assert set(errors) - {"404", "410", "416"} == every
            assert ("410" in errors) == ("{version}" in path)
            assert all(set(r["content"]) == {"application/problem+json"} for r in errors.values())
            assert all(errors[status]["headers"]["Retry-After"]["required"] for status in ("429", "503"))
    asked = described["components"]["schemas"]["Query"]["properties"]
    assert asked["metrics"]["items"]["enum"] == list(METRICS)
    assert asked["dimensions"]["items"]["enum"] == [*DIMENSIONS, *TIMES]


def test_every_example_of_the_description_is_answered(pages: Pages, key: str, described: dict[str, Any]) -> None:
    """What a reader copies works."""
    content = described["paths"]["/api/v1/query"]["post"]["requestBody"]["content"]["application/json"]
    for example in content["examples"].values():
        answer = ask(pages, key, example["value"])
        assert answer.status_code == 200, answer.text
        assert answer.json()["results"]


@pytest.mark.parametrize(
    ("of", "phases"),
    [("/api", "examples,coverage,fuzzing"), ("/exports", "examples,coverage")],  # there are no bodies to make up
)
def test_the_service_does_what_the_description_says(
    pages: Pages, key: str, described: dict[str, Any], tmp_path: Path, of: str, phases: str
) -> None:
    """schemathesis sends what fits the description and what does not, with a good key and without."""
    paths = {path: operations for path, operations in described["paths"].items() if path.startswith(of)}
    assert paths
    (tmp_path / "openapi.json").write_text(json.dumps(described | {"paths": paths}))
    if of == "/exports":
        key = _exports(pages, tmp_path)
    command = [
        *(sys.executable, "-W", "ignore", "-m", "schemathesis.cli", "run", "openapi.json"),
        *("--url", pages.url, "--header", f"Authorization: Bearer {key}"),
        *("--checks", CHECKS, "--max-examples", str(EXAMPLES), "--phases", phases),
        *("--seed", "1", "--max-failures", "3", "--no-shrink"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=FUZZ_S_MAX, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    metrics = httpx.get(f"{pages.url}/metrics").text
    for path in paths:
        assert f'route="{path}",status="200"' in metrics  # some of it was answered
    assert 'status="500"' not in metrics


def _exports(pages: Pages, folder: Path) -> str:
    """A partner's key; what the description's examples name is there."""
    then = FixedClock(datetime(2026, 11, 20, tzinfo=UTC))
    return fill_delivery(pages.engine, then, folder).keys["acme"]


def test_an_answer_that_is_known_is_not_sent_again(pages: Pages, key: str) -> None:
    """304 with the same tag until figures change; JSON and CSV have tags of their own."""
    first = ask(pages, key)
    again = ask(pages, key, if_none_match=f'"other", W/{first.headers["etag"]}')
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert "no-store" not in first.headers["cache-control"]
    as_csv = ask(pages, key, accept="text/csv", if_none_match=first.headers["etag"])
    assert as_csv.status_code == 200
    assert as_csv.headers["etag"] != first.headers["etag"]


def test_a_tag_changes_when_figures_change(pages: Pages, key: str) -> None:
    """New cells, a new tag; a later moment with the same cells, the old one."""
    past = TODAY.replace(year=TODAY.year - 5)
    asked = QUERY | {"date_range": [past.isoformat(), past.isoformat()]}
    before = ask(pages, key, asked).headers["etag"]
    pages.clock.advance(timedelta(minutes=1))
    assert ask(pages, key, asked, if_none_match=before).status_code == 304
    fill_cells(pages.analytics, tenants={"riverside": 100}, today=past)
    after = ask(pages, key, asked, if_none_match=before)
    assert after.status_code == 200
    assert after.headers["etag"] != before


def test_without_the_tag_of_the_answer_the_same_is_sent_again(
    pages: Pages, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the comparison taken out there is no 304: the tests above would fail."""
    tag = ask(pages, key).headers["etag"]
    monkeypatch.setattr(api, "_unless_known", lambda _request, answer: answer)
    assert ask(pages, key, if_none_match=tag).status_code == 200


@pytest.mark.parametrize(
    ("accept", "is_csv"),
    [
        ("text/csv", True),
        ("text/csv, application/json", True),
        ("application/json, text/csv", False),
        ("application/json;q=0.5, text/csv;q=0.9", True),
        ("text/csv;q=0.1, */*", False),
        ("text/csv;q=nonsense", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_the_format_is_what_accept_prefers(pages: Pages, key: str, accept: str, is_csv: bool) -> None:
    """By rank, then by order; JSON when nothing is said."""
    answer = ask(pages, key, accept=accept)
    assert answer.headers["content-type"].startswith("text/csv") == is_csv


def test_pages_of_rows_add_up(pages: Pages, key: str) -> None:
    """Every row comes once, in the order of the whole list, and the total is told on each page."""
    asked = QUERY | {"dimensions": ["event:page"], "include": {"total_rows": True}}
    whole = ask(pages, key, asked).json()
    parts = []
    for offset in range(0, whole["meta"]["total_rows"], 5):
        page = ask(pages, key, asked | {"pagination": {"limit": 5, "offset": offset}}).json()
        assert page["meta"]["total_rows"] == whole["meta"]["total_rows"]
        parts += page["results"]
    assert len(parts) > 10
    assert parts == whole["results"]


def test_several_tenants_are_summed(pages: Pages, key: str) -> None:
    """By name, or all by leaving them out."""
    each = [ask(pages, key, QUERY | {"site_id": name}).json()["results"] for name in ("chess-club", "riverside")]
    both = ask(pages, key, QUERY | {"site_id": ["chess-club", "riverside"]}).json()["results"]
    everything = ask(pages, key, {name: value for name, value in QUERY.items() if name != "site_id"}).json()["results"]
    assert both[0]["metrics"][0] == sum(rows[0]["metrics"][0] for rows in each)
    assert everything == both


def test_all_days_begin_with_the_first_figures(pages: Pages, key: str) -> None:
    """`all`: not a day before there was one."""
    answer = ask(pages, key, QUERY | {"site_id": "chess-club", "date_range": "all"}).json()
    first = (TODAY - timedelta(days=99)).isoformat()
    assert answer["query"]["date_range"] == [first, TODAY.isoformat()]
    assert answer["meta"]["freshness"]["days_without_figures"] == []


def test_programs_can_list_their_tenants(pages: Pages, key: str) -> None:
    """A key's own, page by page."""
    found = get(pages, key, "/api/v1/sites").json()
    assert [site["site_id"] for site in found["sites"]] == ["chess-club", "riverside"]
    page = get(pages, key, "/api/v1/sites?limit=1&offset=1").json()
    assert [site["site_id"] for site in page["sites"]] == ["riverside"]
    assert page["meta"] == {"total_rows": 2, "limit": 1, "offset": 1}
    own = pages.keys.add("club", ["chess-club"])
    assert [s["site_id"] for s in get(pages, own, "/api/v1/sites").json()["sites"]] == ["chess-club"]
    assert httpx.get(f"{pages.url}/api/v1/sites").status_code == 401
