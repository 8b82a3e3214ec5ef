"""The identity console in Chromium: it works, it is cut off, it reads well for everybody."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from services.runtime.clock import SystemClock
from tests.browser.conftest import LOOKS, Visit, a_visit
from tests.parts.console import CLEAR, Console, a_console

pytestmark = pytest.mark.browser

CUT_MS_MAX = 5000  # an open page is taken away this soon after its grant is over


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with a_console(tmp_path_factory.mktemp("console"), SystemClock()) as running:
        yield running


@contextlib.contextmanager
def signed_in(browser: Browser, console: Console, user: str, **options: Any) -> Iterator[Visit]:
    with a_visit(browser, console.url, **options) as visit:
        visit.page.goto(f"{console.url}/login/{console.access.sessions.login_link(user)}")
        visit.page.click("main button")
        visit.page.wait_for_url(f"{console.url}/")
        yield visit


def ask(visit: Visit) -> str:
    """Fill in the look-up form; the path of the new grant."""
    page = visit.page
    visit.go("/")
    page.select_option("[name=tenant]", "chess-club")
    page.fill("[name=value]", "42")
    page.fill("[name=ticket]", "SUP-1")
    page.fill("[name=reason]", "cannot open the invoice")
    page.click("main form button")
    page.wait_for_url("**/grants/*")
    return page.url.removeprefix(visit.url)


def reveal(page: Page, where: str, number: int) -> None:
    """Open the form of the `number`th masked field of `where`, give a reason, send it."""
    page.click(f"{where} details.reveal summary >> nth={number}")
    page.fill(f"{where} details.reveal[open] [name=reason]", "compare with their report")
    page.click(f"{where} details.reveal[open] button")
    page.wait_for_selector(f"{where} .clear")


def clear_values(page: Page) -> list[str]:
    return [value for value in CLEAR if value in page.content()]


def test_a_field_is_revealed_in_place_and_masked_by_the_next_look(browser: Browser, console: Console) -> None:
    with signed_in(browser, console, "sam") as visit:
        path = ask(visit)
        assert clear_values(visit.page) == []
        reveal(visit.page, "section.visit", 0)
        assert visit.page.url == visit.url + path
        assert clear_values(visit.page) == ["203.0.113.7"]
        visit.page.reload()
        assert clear_values(visit.page) == []


@pytest.mark.parametrize("scripts", [True, False])
def test_it_works_without_scripts(browser: Browser, console: Console, scripts: bool) -> None:
    """Ask, reveal and end by plain forms and links; the countdown alone needs a script."""
    with signed_in(browser, console, "sam", java_script_enabled=scripts) as visit:
        ask(visit)
        reveal(visit.page, "#person", 1)
        assert clear_values(visit.page) == ["anna@example.org"]
        assert visit.page.locator(".banner [data-until]").is_visible() is scripts
        visit.page.click("text=End now")
        visit.page.wait_for_url("**/grants")


def test_ending_a_grant_cuts_the_open_page(browser: Browser, console: Console) -> None:
    """Elsewhere, by the same person; within seconds nothing of the person is on the screen any more."""
    with signed_in(browser, console, "sam") as visit:
        path = ask(visit)
        other = visit.page.context.new_page()
        other.goto(f"{visit.url}/grants")
        other.click(f"form[action='{path}/end'] button")
        visit.page.wait_for_selector("text=The access is over", timeout=CUT_MS_MAX)
        assert "/invoices" not in visit.page.content()


@pytest.mark.parametrize("look", LOOKS)
def test_pages_have_no_serious_accessibility_problem(browser: Browser, console: Console, look: str) -> None:
    """axe on every page, light, dark and on a phone, with a screenshot of each; nothing wider than the screen."""
    with signed_in(browser, console, "dora", **LOOKS[look]) as visit:
        pages = {"look-up": "/", "timeline": ask(visit), "grants": "/grants", "audit": "/audit", "refused": "/grants/0"}
        for name, path in pages.items():
            assert visit.go(path) == (403 if name == "refused" else 200)
            assert visit.faults() == [], name
            assert not visit.is_cut(), name
            visit.shoot(f"identity-{name}-{look}")
