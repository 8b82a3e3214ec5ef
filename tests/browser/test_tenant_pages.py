"""Retention and tenants in Chromium: a term is changed and a tenant's life decided by clicks, on pages that read well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from services.runtime.clock import SystemClock
from tests.browser.conftest import LOOKS, a_visit
from tests.browser.test_console_pages import sign_in
from tests.parts.console import Console, a_console
from tests.parts.identity import TENANT

pytestmark = pytest.mark.browser

REASON = "agreed with the client in writing"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with a_console(tmp_path_factory.mktemp("console"), SystemClock()) as running:
        running.identity.retention.run()
        yield running


@pytest.mark.parametrize("look", LOOKS)
def test_pages_are_readable(console: Console, browser: Browser, look: str) -> None:
    """In light, in dark, at 320 px and then in French: axe finds nothing serious, nothing is cut."""
    options = LOOKS[look] | ({"locale": "fr-FR"} if look == "narrow" else {})
    with a_visit(browser, console.url, **options) as visit:
        visit.go(f"/login/{console.access.sessions.login_link('olga')}")
        visit.page.click("main button")
        for name in ("retention", "tenants"):
            assert visit.go(f"/{name}") == 200
            visit.shoot(f"console-{name}-{look}")
            assert visit.faults() == [], name
            assert not visit.is_cut(), name


def test_a_term_is_changed_with_a_reason(console: Console, browser: Any) -> None:
    page = sign_in(browser, console, "olga")
    page.goto("/retention")
    page.select_option("[name=tenant]", TENANT)
    page.select_option("[name=kind]", "linked")
    page.fill("[name=days]", "21")
    page.fill("[name=reason]", REASON)
    page.click("form[action='/retention'] button")
    page.wait_for_load_state()
    console.identity.registry.follow()
    known = console.identity.registry.get(TENANT)
    assert known is not None
    assert known.retention["linked"] == 21
    assert page.trouble == []
