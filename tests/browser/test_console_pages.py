"""The identity console in Chromium: it works, it is cut off, it reads well for everybody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from services.runtime.clock import SystemClock
from tests.browser.conftest import LOOKS, a_visit
from tests.parts.console import CLEAR, Console, a_console

pytestmark = pytest.mark.browser

CUT_MS_MAX = 5000  # an open page is taken away this soon after its grant is over


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with a_console(tmp_path_factory.mktemp("console"), SystemClock()) as running:
        yield running


def sign_in(browser: Any, console: Console, user: str, **options: Any) -> Any:
    """A page of a context of its own, signed in by the link's button; fails the test on a script error or a breach of
    the content security policy."""
    page = browser.new_context(base_url=console.url, **options).new_page()
    page.trouble = []
    page.on("pageerror", lambda error: page.trouble.append(str(error)))
    page.on("console", lambda told: page.trouble.append(told.text) if "Content Security Policy" in told.text else None)
    page.goto(f"/login/{console.access.sessions.login_link(user)}")
    page.click("main button")
    return page


def ask(page: Any, url: str = "") -> str:
    page.goto(url + "/")
    page.select_option("[name=tenant]", "chess-club")
    page.fill("[name=value]", "42")
    page.fill("[name=ticket]", "SUP-1")
    page.fill("[name=reason]", "cannot open the invoice")
    page.click("main form button")
    page.wait_for_url("**/grants/*")
    return str(page.url)


def test_a_field_is_revealed_in_place_and_masked_by_the_next_look(console: Console, browser: Any) -> None:
    page = sign_in(browser, console, "sam")
    address = ask(page)
    assert not [value for value in CLEAR if value in page.content()]
    page.click("section.visit details.reveal summary >> nth=0")
    page.fill("section.visit details.reveal[open] [name=reason]", "compare the address")
    page.click("section.visit details.reveal[open] button")
    page.wait_for_selector(".visit-head .clear")
    assert page.url == address
    assert [value for value in CLEAR if value in page.content()] == ["203.0.113.7"]
    page.reload()
    assert not [value for value in CLEAR if value in page.content()]
    assert page.trouble == []


@pytest.mark.parametrize("scripts", [True, False])
def test_it_works_without_scripts(console: Console, browser: Any, scripts: bool) -> None:
    """Ask, reveal and end by plain forms and links; the countdown alone needs a script."""
    page = sign_in(browser, console, "sam", java_script_enabled=scripts)
    ask(page)
    page.click("#person details.reveal summary >> nth=1")
    page.fill("#person details.reveal[open] [name=reason]", "compare the e-mail")
    page.click("#person details.reveal[open] button")
    page.wait_for_selector("#person .clear")
    assert [value for value in CLEAR if value in page.content()] == ["anna@example.org"]
    assert page.is_visible("[data-until]") is scripts
    page.click("text=End now")
    page.wait_for_url("**/grants")


def test_ending_a_grant_cuts_the_open_page(console: Console, browser: Any) -> None:
    page = sign_in(browser, console, "sam")
    address = ask(page)
    other = page.context.new_page()
    other.goto("/grants")
    other.click(f"form[action='{address.removeprefix(console.url)}/end'] button")
    page.wait_for_selector("text=The access is over", timeout=CUT_MS_MAX)
    assert "/invoices" not in page.content()


@pytest.mark.parametrize("look", LOOKS)
def test_pages_are_readable(console: Console, browser: Browser, look: str) -> None:
    """In light, in dark and at 320 px: axe finds nothing serious, nothing is cut, nothing breaks the policy."""
    with a_visit(browser, console.url, **LOOKS[look]) as visit:
        page = visit.page
        visit.go(f"/login/{console.access.sessions.login_link('dora')}")
        page.click("main button")
        address = ask(page, console.url).removeprefix(console.url)
        paths = {"look-up": "/", "timeline": address, "grants": "/grants", "audit": "/audit", "none": "/grants/none"}
        for name, path in paths.items():
            visit.go(path)
            visit.shoot(f"console-{name}-{look}")
            assert visit.faults() == [], path
            assert not visit.is_cut(), path
