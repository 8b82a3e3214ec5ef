"""This moment, events and the history of the privacy page over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from services.stats.today.live import LiveTotals
from tests.parts.dashboard import Pages, a_dashboard
from tests.parts.figures import TODAY, live_cells


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    with a_dashboard(tmp_path_factory.mktemp("live")) as running:
        yield running


@pytest.fixture
def ben(pages: Pages) -> Iterator[httpx.Client]:
    """He sees the chess club alone."""
    with httpx.Client(base_url=pages.url, headers={"accept": "text/html"}, follow_redirects=True, timeout=60) as client:
        assert client.post(pages.login("ben")).status_code == 200
        yield client


def requests_told(page: str) -> str:
    found = re.search(r'id="live" data-requests="(\d*)"', page)
    assert found is not None
    return found[1]


def test_the_line_says_what_was_published_last(pages: Pages, ben: httpx.Client) -> None:
    """On the page and by itself; another tenant's is not there, and nobody's without signing in."""
    totals = LiveTotals(pages.engine)
    assert requests_told(ben.get("/").text) == ""
    assert "– requests" in ben.get("/live").text
    totals.put(TODAY, live_cells({"chess-club": 125}), ["chess-club"])
    assert requests_told(ben.get("/").text) == "125"
    assert requests_told(ben.get("/live").text) == "125"
    totals.put(TODAY - timedelta(days=1), live_cells({"chess-club": 990}), ["chess-club"])
    assert requests_told(ben.get("/live").text) == ""
    assert ben.get("/live?tenant=riverside").status_code == 404
    assert httpx.get(f"{pages.url}/live").status_code == 401


def test_people_of_long_ago_are_not_now(pages: Pages, ben: httpx.Client) -> None:
    """When no snapshot came for an hour, the last block is not shown as this moment."""
    assert "15:10–15:15" in ben.get("/live").text
    pages.clock.advance(timedelta(minutes=20))
    try:
        assert "15:10" not in ben.get("/live").text
        assert "&lt;10 people" in ben.get("/live").text
    finally:
        pages.clock.advance(timedelta(minutes=-20))


def test_what_a_page_asks_by_itself_keeps_no_session_alive(pages: Pages, ben: httpx.Client) -> None:
    """Half an hour of nothing but the line ends it; the switch: without its header the session would live on."""
    for header, status in [({"x-by-itself": "1"}, 401), ({}, 200)]:
        assert ben.post(pages.login("ben")).status_code == 200
        for _ in range(4):
            pages.clock.advance(timedelta(minutes=10))
            answer = ben.get("/live", headers=header)
        assert answer.status_code == status
    pages.clock.advance(timedelta(minutes=-80))


def test_events_and_active_accounts_have_a_page(ben: httpx.Client) -> None:
    """Events by visitors and times; accounts of weeks and months that are over, also as a file."""
    page = ben.get("/events").text
    assert "payment" in page
    assert "Active accounts by week" in page
    rows = ben.get("/csv?of=weeks&sheet=events").text.splitlines()
    assert rows[0] == "time:week,active_accounts"
    assert len(rows) == 13
    assert "Feb 2026" in page
    assert ben.get("/events?filter=event:name&value=payment").status_code == 400


def test_campaigns_are_shown_where_there_are_any(pages: Pages, ben: httpx.Client) -> None:
    """The chess club did not opt in: no tab."""
    assert "Campaigns" not in ben.get("/").text
    assert "Nothing to show" in ben.get("/?sources=visit:utm_campaign").text
    assert ben.post(pages.login("ada")).status_code == 200
    assert "Campaigns" in ben.get("/?tenant=riverside").text
    assert "spring-open" in ben.get("/?tenant=riverside&sources=visit:utm_campaign").text


def test_each_panel_says_how_far_it_can_be_trusted(ben: httpx.Client) -> None:
    """What is in (other), what is provisional, from how many people on; under a filter only closed days count."""
    page = ben.get("/").text
    assert page.count('class="fine"') == page.count('<section class="panel')
    assert re.search(r'class="fine">\d+% in \(other\) · provisional · from 10 people on<', page)
    filtered = ben.get("/?filter=visit:country&value=FR").text
    assert re.search(r'class="fine">(\d+% in \(other\) · )?closed days alone', filtered)
    closed = ben.get("/?period=7d&date=2026-03-08").text
    assert "provisional ·" not in closed


def test_the_privacy_page_has_its_history(pages: Pages) -> None:
    """For everybody, also as JSON: what held is read word by word, in both languages."""
    now = httpx.get(f"{pages.url}/privacy.json").json()
    assert [version["version"] for version in now["versions"]] == [2, 1]
    before = httpx.get(f"{pages.url}/privacy.json?version=1").json()
    assert before["until"] == now["since"]
    assert "No organisation has agreed" in before["texts"]["en"]["sections"][2]["paragraphs"][1]
    assert "Some organisations have agreed" in now["texts"]["en"]["sections"][2]["paragraphs"][1]
    assert "This held from 3 Feb 2026 to 15 Mar 2026." in httpx.get(f"{pages.url}/privacy?version=1").text
    assert now["texts"]["fr"]["title"].startswith("Ce qui est collecté")
    assert now["texts"]["fr"]["title"] in httpx.get(f"{pages.url}/privacy?lang=fr").text
    for version, status in [("9", 404), ("0", 400), ("x", 400), ("9" * 400, 400), ("١", 400)]:
        assert httpx.get(f"{pages.url}/privacy", params={"version": version}).status_code == status
