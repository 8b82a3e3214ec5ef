"""The statistics pages in a real browser: readable by everybody, usable by keyboard and without scripts."""

from __future__ import annotations

import re

import polars as pl
import pytest
from playwright.sync_api import expect

from services.stats.closing.proposals import Proposals
from services.stats.delivery.terms import TermsBook
from services.stats.figures.disclosure import PUBLISHED, PublishedCells
from services.stats.today.live import LiveTotals
from tests.browser.conftest import LOOKS, Visitor
from tests.parts.dashboard import Pages
from tests.parts.delivery import NAME, Delivered, fill_delivery
from tests.parts.figures import HOSTILE, TODAY, live_cells

pytestmark = pytest.mark.browser

PAGES = {
    "overview": "/?tenant=riverside",
    "small-tenant": "/?tenant=chess-club&period=7d",
    "filtered": "/?tenant=riverside&filter=visit:country&value=FR",
    "today": "/?tenant=riverside&period=day",
    "empty": "/?tenant=riverside&period=7d&date=2024-01-01",
    "list": "/list?tenant=riverside&of=event:page",
    "quality": "/quality?tenant=riverside",
    "events": "/events?tenant=riverside",
    "events-french": "/events?tenant=riverside&lang=fr",
    "today-small": "/?tenant=chess-club&period=day",
    "privacy-before": "/privacy?version=1",
    "french": "/?tenant=riverside&lang=fr",
    "privacy": "/privacy",
    "sources": "/sources",
    "not-found": "/nothing-here",
    "wrong-period": "/?period=fortnight",
}


@pytest.mark.parametrize("look", ["light", "narrow"])
@pytest.mark.parametrize("name", PAGES)
def test_pages_are_readable(visiting: Visitor, name: str, look: str) -> None:
    """In light, then in dark, and at 320 px: axe finds nothing serious, nothing is cut, nothing breaks the policy.
    Dark changes colours alone, so only these are looked at again."""
    with visiting("ada", **LOOKS[look]) as visit:
        visit.go(PAGES[name])
        visit.shoot(f"statistics-{name}-{look}")
        assert visit.faults() == []
        assert not visit.is_cut()
        if look == "light":
            visit.turn_dark()
            visit.shoot(f"statistics-{name}-dark")
            assert visit.faults("color-contrast") == []


@pytest.fixture(scope="module")
def delivered(statistics: Pages, tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    return fill_delivery(statistics.engine, statistics.clock, tmp_path_factory.mktemp("delivery"))


@pytest.mark.parametrize("look", ["light", "narrow"])
def test_release_pages_are_readable(visiting: Visitor, statistics: Pages, delivered: Delivered, look: str) -> None:
    """A partner's and the operator's, the preview with its band, in French at 320 px: all fits, axe finds nothing."""
    statistics.sessions.put_user("olga", ["admin"], ["*"])
    language = "fr" if look == "narrow" else "en"
    preview = f"{NAME}/{delivered.version}"
    for user, paths in {"paul": ["/partner", f"/partner/{preview}"], "olga": ["/releases"]}.items():
        with visiting(user, **LOOKS[look]) as visit:
            for path in paths:
                assert visit.go(f"{path}?lang={language}") == 200
                visit.shoot(f"releases-{path.strip('/').replace('/', '-')}-{look}")
                assert visit.faults() == []
                assert not visit.is_cut()
                if look == "light":
                    visit.turn_dark()
                    assert visit.faults("color-contrast") == []


def test_a_partner_accepts_the_terms_and_downloads_by_keyboard(
    visiting: Visitor, statistics: Pages, delivered: Delivered
) -> None:
    """From the text of the terms to the file, without a mouse; the chart is a table, too."""
    with visiting("lou", fresh=True) as visit:
        visit.go("/partner")
        expect(visit.page.get_by_role("link", name=NAME)).to_have_count(0)
        visit.page.get_by_role("button", name="Accept them").press("Enter")
        visit.page.get_by_role("link", name=NAME).press("Enter")
        visit.page.get_by_role("button", name="Table").press("Enter")
        expect(visit.page.locator("#chart-table tbody tr")).to_have_count(14)
        with visit.page.expect_download() as download:
            visit.page.get_by_role("link", name="daily.csv").press("Enter")
        assert download.value.path().read_bytes() == (delivered.folder / "daily.csv").read_bytes()
    assert TermsBook(statistics.engine, statistics.clock).accepted("late") is not None


@pytest.mark.parametrize("look", LOOKS)
def test_proposed_routes_are_readable(visiting: Visitor, statistics: Pages, look: str) -> None:
    """Also at 320 px, with a long template, and with nothing proposed; deciding works by keyboard alone."""
    proposals = Proposals(statistics.sessions._engine)
    statistics.sessions.put_user("eve", ["admin"], ["riverside"])
    with visiting("eve", **LOOKS[look]) as visit:
        visit.go("/routes")
        assert visit.faults() == []
        rows = [
            ("riverside", TODAY, "route", f"/{name}/{{*}}", "", "visitors", 20) for name in (look, f"{look}/minutes")
        ]
        proposals.propose(PublishedCells(pl.DataFrame(rows, schema=dict(PUBLISHED), orient="row")))
        visit.go("/routes")
        visit.shoot(f"statistics-routes-{look}")
        assert visit.faults() == []
        assert not visit.is_cut()
        visit.page.get_by_role("button", name=f"Accept /{look}/{{name}}").focus()
        visit.page.keyboard.press("Enter")
        expect(visit.page.get_by_text("accepted, holds from").first).to_be_visible()


@pytest.mark.parametrize("look", LOOKS)
def test_the_way_in_is_readable(visiting: Visitor, statistics: Pages, look: str) -> None:
    """The page for who is not signed in, the link's page, and the one of a link that was used."""
    with visiting(**LOOKS[look]) as visit:
        assert visit.go("/") == 401
        visit.shoot(f"statistics-login-{look}")
        assert visit.faults() == []
        link = statistics.login("ada")
        visit.page.goto(link)
        visit.shoot(f"statistics-link-{look}")
        assert visit.faults() == []
        visit.page.keyboard.press("Enter")  # the button has the focus
        visit.page.wait_for_url(statistics.url + "/")
        assert visit.go(link.removeprefix(statistics.url)) == 410
        assert visit.faults() == []


@pytest.mark.parametrize("look", LOOKS)
def test_menus_and_dialogs_are_readable(visiting: Visitor, look: str) -> None:
    """What opens over the page is held to the same rules."""
    with visiting("ada", **LOOKS[look]) as visit:
        visit.go(PAGES["overview"])
        visit.page.locator("#period-menu").click()
        visit.shoot(f"statistics-menu-{look}")
        assert visit.faults() == []
        assert not visit.is_cut()
        visit.page.keyboard.press("Escape")
        expect(visit.page.locator("details.menu[open]")).to_have_count(0)
        visit.page.keyboard.press("t")
        visit.page.keyboard.press("?")
        visit.shoot(f"statistics-keys-{look}")
        assert visit.faults() == []


def test_keys_move_through_the_figures(visiting: Visitor) -> None:
    """Periods, arrows, comparison, table, search, and back; each changes the address, so that it can be shared."""
    with visiting("ada") as visit:
        page = visit.page
        visit.go("/?tenant=riverside")
        for key, period in [("w", "7d"), ("d", "day"), ("y", "12mo"), ("m", "30d")]:
            page.keyboard.press(key)
            expect(page).to_have_url(re.compile(f"period={period}"))
        page.keyboard.press("ArrowLeft")
        expect(page).to_have_url(re.compile("date=2026-02-13"))
        page.keyboard.press("ArrowRight")
        expect(page).not_to_have_url(re.compile("date="))
        page.keyboard.press("c")
        expect(page).to_have_url(re.compile("compare=none"))
        page.keyboard.press("c")
        expect(page).not_to_have_url(re.compile("compare="))
        expect(page.locator("#table-view")).to_be_hidden()
        page.keyboard.press("t")
        expect(page.locator("#table-view")).to_be_visible()
        page.keyboard.press("/")
        expect(page.locator("#search")).to_be_focused()
        page.keyboard.type("agenda")
        page.keyboard.press("Enter")
        expect(page.locator(".ranked tbody tr")).to_have_count(1)


def test_keys_can_be_switched_off(visiting: Visitor) -> None:
    """Who speaks or types with help may not want single keys; the choice is remembered (WCAG 2.1.4)."""
    with visiting("ada") as visit:
        visit.go("/?tenant=riverside")
        visit.page.keyboard.press("?")
        visit.page.get_by_label("Use these shortcuts").uncheck()
        visit.page.get_by_role("button", name="Close").click()
        visit.go("/?tenant=riverside")
        visit.page.keyboard.press("w")
        visit.page.wait_for_timeout(300)
        assert "period" not in visit.page.url


def test_typing_is_not_taken_for_keys(visiting: Visitor) -> None:
    """Letters in a field are letters."""
    with visiting("ada") as visit:
        visit.go(PAGES["list"])
        visit.page.locator("#search").fill("")
        visit.page.keyboard.type("wdmyc?")
        assert visit.page.locator("#search").input_value() == "wdmyc?"
        assert "/list" in visit.page.url


def test_a_click_on_a_row_shows_only_that(visiting: Visitor) -> None:
    """The filter stands above and in the address; what cannot be combined says why; Escape shows all again."""
    with visiting("ada") as visit:
        page = visit.page
        visit.go("/?tenant=riverside")
        page.evaluate("window.sameDocument = true")
        page.get_by_role("link", name="France").click()
        expect(page.locator("#filter")).to_contain_text("Country: France")
        expect(page).to_have_url(re.compile("filter=visit%3Acountry&value=FR"))
        expect(page.get_by_label("Sources").first).to_contain_text("single people out")
        assert page.evaluate("window.sameDocument"), "only the figures were replaced, not the page"
        page.keyboard.press("Escape")
        expect(page.locator("#filter")).to_have_count(0)
        page.go_back()
        expect(page.locator("#filter")).to_contain_text("France")


def test_the_chart_is_drawn_from_its_table(visiting: Visitor) -> None:
    """As many points as rows; pointing at a day tells the row's own figure."""
    with visiting("ada", viewport={"width": 1240, "height": 900}) as visit:
        page = visit.page
        visit.go("/?tenant=riverside")
        expect(page.locator(".plot canvas")).to_have_count(1)
        box = page.locator(".plot .u-over").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 15.5 / 30, box["y"] + 40)
        told = page.locator(".tip p").first.inner_text()
        row = page.locator("#chart-table tbody tr").nth(15)
        day, figure = row.locator("th").text_content(), row.locator("td").first.text_content()
        assert told == f"{str(figure).strip()} {str(day).strip()}"


def test_everything_works_without_scripts(visiting: Visitor, statistics: Pages) -> None:
    """Plain links and forms: sign in, periods, filter, own dates, tabs, theme, sign out; the table replaces the chart."""
    with visiting("ada", fresh=True, java_script_enabled=False) as visit:
        page = visit.page
        visit.go("/?tenant=riverside")
        visit.shoot("statistics-without-scripts")
        expect(page.locator("#chart-table")).to_be_visible()
        expect(page.locator(".plot")).to_be_hidden()
        page.locator("#period-menu").click()
        page.get_by_role("link", name="Last 7 days").click()
        expect(page.locator("#chart-table tbody tr")).to_have_count(7)
        page.locator("#period-menu").click()
        page.get_by_label("From", exact=True).fill("2026-03-01")
        page.get_by_label("To", exact=True).fill("2026-03-03")
        page.get_by_role("button", name="Show these days").click()
        expect(page.locator("#chart-table tbody tr")).to_have_count(3)
        page.get_by_role("link", name="Browsers").click()
        page.get_by_role("link", name="Firefox").click()
        expect(page.locator("#filter")).to_contain_text("Firefox")
        page.locator("summary[aria-label=Colours]").click()
        page.get_by_role("button", name="Dark").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        expect(page.locator("#filter")).to_contain_text("Firefox")
        page.locator("summary", has_text="ada").click()
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(statistics.url + "/login")
        assert visit.go("/") == 401


def test_the_quality_page_finds_what_is_slow(visiting: Visitor) -> None:
    """From the overview with the same days; sorted by a click; one page alone; the map of hours as a table."""
    with visiting("ada") as visit:
        page = visit.page
        visit.go("/?tenant=riverside&period=7d")
        page.get_by_role("link", name="Quality").click()
        expect(page).to_have_url(re.compile("/quality.*tenant=riverside.*period=7d"))
        page.get_by_role("link", name="Slowest").click()
        expect(page).to_have_url(re.compile("sort=slowest"))
        page.get_by_role("link", name="/agenda/{id}").click()
        expect(page.locator("#filter")).to_contain_text("/agenda/{id}")
        expect(page.get_by_role("region", name="Pages and addresses")).to_be_visible()
        expect(page.get_by_text("single people out").first).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#filter")).to_have_count(0)
        cell = page.locator(".heat-6 span").first
        width = "element => element.getBoundingClientRect().width"
        assert cell.evaluate(width) <= 1
        page.locator("[data-toggles=heat-table]").click()
        assert cell.evaluate(width) > 8


def test_a_page_on_paper(visiting: Visitor) -> None:
    """What it is of, the chart as its table, each panel with its line of trust; nothing to press."""
    with visiting("ada", viewport={"width": 760, "height": 1000}, color_scheme="dark") as visit:
        page = visit.page
        visit.go(PAGES["filtered"])
        page.emulate_media(media="print")
        visit.shoot("statistics-printed")
        expect(page.get_by_role("heading", level=1)).to_have_text("riverside, Last 30 days, Country: France")
        expect(page.locator("#chart-table")).to_be_visible()
        expect(page.locator(".fine").first).to_be_visible()
        assert page.locator("button:visible, summary:visible, .button:visible").count() == 0
        assert not visit.is_cut()


def test_a_page_in_french(visiting: Visitor) -> None:
    """Chosen in the header, kept on the next page; the chart's own words are French, too."""
    with visiting("ada", fresh=True, viewport={"width": 1240, "height": 900}) as visit:
        page = visit.page
        visit.go("/?tenant=riverside")
        page.locator("summary", has_text="Language:").click()
        page.get_by_role("button", name="Français").click()
        expect(page.locator("html")).to_have_attribute("lang", "fr")
        expect(page).to_have_url(re.compile("tenant=riverside"))
        box = page.locator(".plot .u-over").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 29.5 / 30, box["y"] + 40)
        expect(page.locator(".tip p").first).to_contain_text("dim. 15 mars (jusqu’ici)")
        page.get_by_role("link", name="Collecte").click()
        expect(page.get_by_role("heading", name="Sources")).to_contain_text("les dernières 24 heures")


def test_this_moment_is_renewed_by_itself(visiting: Visitor, statistics: Pages) -> None:
    """Within seconds, and nothing else of the page is touched; a fault is no reason to leave the page."""
    totals = LiveTotals(statistics.engine)
    with visiting("ada") as visit:
        page = visit.page
        visit.go("/?tenant=riverside")
        live = page.locator("#live")
        expect(live).to_contain_text("40 people 15:10–15:15")
        expect(live).to_contain_text("12,345 requests")
        page.evaluate("document.querySelector('.cards').dataset.same = '1'")
        totals.put(TODAY, live_cells({"riverside": 12_400}), ["riverside"])
        expect(live).to_contain_text("12,400 requests")
        expect(page.locator(".cards[data-same]")).to_have_count(1)
        page.route("**/live?*", lambda route: route.abort())
        expect(page.locator("#live.stale")).to_contain_text("12,400 requests")
        page.unroute("**/live?*")
        expect(page.locator("#live.stale")).to_have_count(0)
        assert page.url.endswith("/?tenant=riverside")
        assert all("htmx:" in each or "net::ERR_FAILED" in each for each in visit.complaints)  # of what was cut off
        visit.complaints.clear()
    totals.put(TODAY, live_cells({"riverside": 12_345}), ["riverside"])


def test_the_collection_page_says_who_loses_data(visiting: Visitor) -> None:
    """Without scripts: one click from the overview, the alert with what to run, each source with its figures."""
    with visiting("ada", java_script_enabled=False) as visit:
        page = visit.page
        visit.go("/")
        page.get_by_role("link", name="Collection").click()
        expect(page).to_have_url(re.compile("/sources"))
        alert = page.get_by_role("alert").first
        expect(alert).to_contain_text("Source riverside-api: 312 requests refused since 11:05: their key was revoked.")
        expect(alert.locator("code")).to_have_text("voile source rotate-key riverside-api")
        expect(page.locator(".sources tbody tr")).to_have_count(4)
        small = page.locator(".sources tbody tr", has_text="chess-web")
        expect(small).to_contain_text("about 10 minutes ago")
        expect(small.locator("td").nth(2)).to_have_text("38")


@pytest.mark.parametrize("look", LOOKS)
def test_a_viewer_sees_the_sources_of_their_tenant(visiting: Visitor, look: str) -> None:
    """And nothing of the others; one source and no alert is a page as well."""
    with visiting("ben", **LOOKS[look]) as visit:
        visit.go("/sources")
        visit.shoot(f"statistics-sources-of-one-{look}")
        expect(visit.page.locator(".sources tbody tr")).to_have_count(1)
        assert "riverside" not in visit.page.content()
        assert visit.faults() == []
        assert not visit.is_cut()


def test_what_strangers_wrote_is_shown_as_text(visiting: Visitor) -> None:
    """Paths from access logs hold scripts and markup: they are read, never run."""
    with visiting("ada") as visit:
        visit.go(PAGES["list"])
        shown = visit.page.locator(".ranked .label").all_inner_texts()
        assert set(HOSTILE) <= set(shown)
        visit.page.get_by_role("link", name=HOSTILE[0]).click()
        expect(visit.page.locator("#filter")).to_contain_text(HOSTILE[0])
        for label in visit.page.locator(".ranked .label").all()[:20]:
            label.hover()


def test_an_ended_session_leads_to_the_way_in(visiting: Visitor, statistics: Pages) -> None:
    """Also in the middle of a page: a click after the end shows how to sign in."""
    with visiting("ben", fresh=True) as visit:
        visit.go("/")
        statistics.sessions.remove_user("ben")
        visit.page.keyboard.press("w")
        expect(visit.page.get_by_role("heading", name="Sign in")).to_be_visible()
    statistics.sessions.put_user("ben", ["viewer"], ["chess-club"])
