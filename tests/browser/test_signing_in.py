"""Signing in, in a real browser: the invitation, password and code, the account page, and a provider on another site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect
from pydantic import SecretStr

from services.runtime.settings import Login, Oidc, OidcGroup
from services.runtime.web.sessions import EVERY_TENANT
from tests.browser.conftest import LOOKS, Visit, a_visit
from tests.parts.oidc import an_oidc_provider
from tests.parts.web import Service, a_service

pytestmark = pytest.mark.browser

PASSWORD = "seven green lamps"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with a_service(tmp_path) as running:
        yield running


def invited(visit: Visit, service: Service) -> str:
    """At the page where a password is chosen: the secret it shows, as one types it off."""
    visit.go(f"/login/{service.sessions.login_link('ada')}?to=account/set-up")
    visit.page.locator("main button").click()
    visit.page.wait_for_url("**/account/set-up")
    return visit.page.locator("code.secret").inner_text().replace(" ", "")


def code(service: Service, secret: str, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(service.clock.now() + timedelta(seconds=30 * steps))


def set_up(visit: Visit, service: Service) -> str:
    secret = invited(visit, service)
    visit.page.get_by_label("Password, 12").fill(PASSWORD)
    visit.page.get_by_label("Give the code").fill(code(service, secret))
    visit.page.get_by_role("button", name="Set both up").click()
    expect(visit.page.get_by_role("heading", name="Your recovery codes")).to_be_visible()
    return secret


def sign_in(page: Page, password: str, given: str) -> None:
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(password)
    page.get_by_label("Code of your authenticator").fill(given)
    page.locator("main").get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize("scripts", [True, False])
def test_from_the_invitation_to_the_next_sign_in(service: Service, browser: Browser, scripts: bool) -> None:
    """By forms alone: choose a password, keep the codes, sign out, sign in; a wrong try is said."""
    with a_visit(browser, service.url, java_script_enabled=scripts) as visit:
        secret, page = set_up(visit, service), visit.page
        page.get_by_role("link", name="I have kept them").click()
        page.locator("details.menu summary", has_text="ada").click()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/login")
        sign_in(page, "another password", code(service, secret, 1))
        expect(page.get_by_role("alert")).to_contain_text("That did not fit together")
        assert page.get_by_label("Password").input_value() == ""
        sign_in(page, PASSWORD, code(service, secret, 1))
        page.wait_for_url(f"{service.url}/")
        visit.go("/account")
        expect(page.get_by_text("10 recovery codes left")).to_be_visible()
        expect(page.get_by_text("this one", exact=True)).to_be_visible()


@pytest.mark.parametrize("look", LOOKS)
def test_its_pages_are_readable(service: Service, browser: Browser, look: str) -> None:
    """In light, in dark and at 320 px: axe finds nothing serious, nothing is cut, nothing breaks the policy."""

    def check(name: str) -> None:
        visit.shoot(f"signing-in-{name}-{look}")
        assert visit.faults() == [], name
        assert not visit.is_cut(), name

    with a_visit(browser, service.url, **LOOKS[look]) as visit:
        secret = invited(visit, service)
        check("set-up")
        visit.page.get_by_label("Password, 12").fill("password1234")
        visit.page.get_by_label("Give the code").fill("000000")
        visit.page.get_by_role("button", name="Set both up").click()
        expect(visit.page.get_by_role("alert")).to_be_visible()
        assert visit.page.locator("code.secret").inner_text().replace(" ", "") == secret
        check("set-up-refused")
        set_up(visit, service)
        check("recovery-codes")
        service.sessions.begin("ada", "link")
        for path in ("/account", "/account/factor"):
            visit.go(path)
            check(path.replace("/account/", "").strip("/"))
        visit.page.context.clear_cookies()
        visit.go("/login")
        check("login")
        visit.page.locator("main details summary").click()
        sign_in(visit.page, "x", "x")
        check("login-refused")


def test_the_picture_can_be_read_by_a_camera(service: Service, browser: Browser) -> None:
    """It is drawn in full, dark on light also in the dark theme: modules of some pixels, and a quiet edge around."""
    with a_visit(browser, service.url, **LOOKS["dark"]) as visit:
        invited(visit, service)
        box = visit.page.locator(".qr-frame svg").bounding_box()
        assert box is not None
        size = visit.page.locator(".qr-frame svg").get_attribute("viewBox")
        assert size is not None
        modules = int(size.split()[2])
        assert modules >= 29 + 8  # of the smallest that fits, with its edge
        assert box["width"] == box["height"]
        assert box["width"] / modules >= 3
        paths = visit.page.locator(".qr-frame svg path")
        assert [paths.nth(i).get_attribute("fill") or paths.nth(i).get_attribute("stroke") for i in range(2)] == [
            "#fff",
            "#000",
        ]


@pytest.fixture
def organisation(tmp_path: Path) -> Iterator[tuple[Service, str]]:
    """A service with strict cookies under one name and a provider under another: two sites, for a browser."""
    with an_oidc_provider() as provider:
        provider.person("nora", preferred_username="nora", groups=["staff"])
        rule = OidcGroup(group="staff", service="statistics", role="viewer", tenants=(EVERY_TENANT,))
        oidc = Oidc(issuer=provider.url, client_id="voile", client_secret=SecretStr("x"), groups=(rule,), title="Staff")
        with a_service(tmp_path, Login(oidc=oidc)) as service:
            service.clock.advance(datetime.now(UTC) - service.clock.now())
            yield service, f"http://localhost:{service.port}"


@pytest.mark.parametrize("scripts", [True, False])
def test_there_and_back_over_another_site(organisation: tuple[Service, str], browser: Browser, scripts: bool) -> None:
    """The policy lets the link lead there; after the way back the strict cookie is sent, and the person is in."""
    service, url = organisation
    assert service.door.same_site == "strict"
    context = browser.new_context(java_script_enabled=scripts)
    page, told = context.new_page(), list[Any]()
    page.on("console", lambda message: told.append(message.text) if "Content Security" in message.text else None)
    page.goto(f"{url}/login")
    page.get_by_role("link", name="Sign in with Staff").click()
    page.wait_for_url(re.compile("/oauth2/authorize"))
    page.locator("input[name=sub]").fill("nora")
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url(f"{url}/")
    expect(page.locator("details.menu summary", has_text="nora")).to_be_visible()
    cookies = {cookie["name"]: cookie for cookie in context.cookies(url)}
    assert cookies["voile_test"]["sameSite"] == "Strict"
    assert "voile_test_oidc" not in cookies
    page.locator("details.menu summary", has_text="nora").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Sign out there, too").click()
    page.wait_for_url(re.compile("end_session"))
    assert told == []
    context.close()
