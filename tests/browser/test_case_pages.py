"""The officer's cases in Chromium: the whole way by clicks, and pages that read well for everybody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from services.runtime.clock import SystemClock
from tests.browser.conftest import LOOKS, a_visit
from tests.browser.test_console_pages import sign_in
from tests.parts.cases import present
from tests.parts.console import Console, a_console
from tests.parts.identity import TENANT

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with a_console(tmp_path_factory.mktemp("cases"), SystemClock()) as running:
        yield running


CLICKS_MAX = 10  # of both people together, from an e-mail to the certificate


class Hand:
    """Clicks, and counts them."""

    def __init__(self) -> None:
        self.clicks = 0

    def click(self, page: Any, what: str) -> None:
        self.clicks += 1
        page.click(what)


def take_in(page: Any, hand: Hand, kind: str = "erasure") -> str:
    """By an e-mail, as it came; the number on the receipt."""
    hand.click(page, "nav >> text=Cases")
    page.select_option("[name=tenant]", TENANT)
    page.select_option("[name=by]", "email")
    page.fill("[name=value]", "anna@example.org")
    page.select_option("[name=kind]", kind)
    page.fill("[name=note]", "wrote an e-mail on Monday")
    hand.click(page, "main form button")
    return str(page.inner_text("main strong"))


def test_from_the_letter_to_the_certificate_by_clicks(console: Console, browser: Any) -> None:
    """Support takes the request in; the officer checks, approves and carries it out, in ten clicks. Nothing on the way
    breaks the content security policy."""
    hand = Hand()
    page = sign_in(browser, console, "sam")
    case = take_in(page, hand)
    with console.signed_in("sam") as sam:
        assert sam.get(f"/cases/{case}").status_code == 403
    officer = sign_in(browser, console, "dora")
    hand.click(officer, "nav >> text=Cases")
    hand.click(officer, f"a[href='/cases/{case}']")
    officer.select_option("[name=how]", "known-contact")
    hand.click(officer, "text=Identity is checked")
    officer.fill("[name=reason] >> nth=0", "answered at the address we know")
    hand.click(officer, "button:has-text('Approve')")
    hand.click(officer, "button:has-text('Carry it out')")
    officer.wait_for_selector("text=certificate issued")
    with officer.expect_download() as download:
        hand.click(officer, "a:has-text('issued.txt') >> nth=0")
    assert download.value.suggested_filename == f"certificate-{case}-issued.txt"
    assert hand.clicks <= CLICKS_MAX
    assert (page.trouble, officer.trouble) == ([], [])


@pytest.mark.parametrize("look", LOOKS)
def test_pages_of_cases_are_readable(console: Console, browser: Browser, look: str) -> None:
    """In light, in dark, at 320 px and then in French: axe finds nothing serious, nothing is cut."""
    options = LOOKS[look] | ({"locale": "fr-FR"} if look == "narrow" else {})
    with a_visit(browser, console.url, **options) as visit:
        page = visit.page
        present(console.identity, "stats/one", "ingest/edge")
        visit.go(f"/login/{console.access.sessions.login_link('dora')}")
        page.click("main button")
        visit.go("/cases/new")
        visit.shoot(f"console-case-new-{look}")
        page.select_option("[name=tenant]", TENANT)
        page.fill("[name=value]", "42")
        page.select_option("[name=kind]", "withdrawal")
        page.fill("[name=note]", "wrote an e-mail on Monday")
        page.click("main form button")
        address = page.get_attribute("main a.button.main", "href") or ""
        page.click("main a.button.main")
        page.select_option("[name=how]", "document")
        page.click("main form button >> nth=0")
        page.click(f"form[action='{address}/execute'] button")
        page.wait_for_selector(f"form[action='{address}/without']")
        console.identity.holds.place(TENANT, "43", "0" * 32, "dora", "court order 12 C 34/26")
        for name, path in {"cases": "/cases", "case": address, "cases-closed": "/cases?closed=true"}.items():
            visit.go(path)
            visit.shoot(f"console-{name}-{look}")
            assert visit.faults() == [], path
            assert not visit.is_cut(), path
