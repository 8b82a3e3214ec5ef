"""A real browser on real pages: Debian's Chromium, which may talk to this machine alone."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, expect, sync_playwright

from tests.parts.dashboard import Pages, a_dashboard

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
AXE = Path(__file__).parent / "assets" / "axe.min.js"
EXPECT_MS_MAX = 30_000  # a machine with much to do; what holds is noticed at once all the same
SHOTS = Path(__file__).parents[2] / "build" / "screenshots"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1240, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1240, "height": 900}, "color_scheme": "dark"},
    "narrow": {"viewport": {"width": 320, "height": 800}, "color_scheme": "light"},
}


@dataclass
class Visit:
    """A page of one browser context, and whatever it complained about."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def go(self, path: str) -> int:
        """The status of the page at `path`."""
        response = self.page.goto(self.url + path)
        assert response is not None
        return response.status

    def faults(self, *rules: str) -> list[str]:
        """What axe finds that is serious or critical, as "rule: elements"; by these rules alone when there are any."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text("utf-8"))
        options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
        found = self.page.evaluate("options => axe.run(document, options)", options)
        return [
            f"{rule['id']}: {[node['html'][:120] for node in rule['nodes'][:3]]}"
            for rule in found["violations"]
            if rule["impact"] in {"serious", "critical"}
        ]

    def turn_dark(self) -> None:
        """As the machine's owner may while the page is open; what would fade has its new colour at once."""
        self.page.emulate_media(color_scheme="dark", reduced_motion="reduce")

    def is_cut(self) -> bool:
        """Whether one must scroll sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))

    def shoot(self, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.wait_for_timeout(100)  # the chart draws with the next frame
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One a module: while it runs, its event loop is this thread's."""
    expect.set_options(timeout=EXPECT_MS_MAX)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def statistics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """One a module: a process has one embedded store open."""
    with a_dashboard(tmp_path_factory.mktemp("statistics")) as pages:
        yield pages


@contextlib.contextmanager
def a_visit(browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    """Fails at its end when the page complained (a script error, a breach of the content policy) or loaded anything
    from elsewhere. Error pages are asked for on purpose: their own line in the console is not a complaint."""
    context = browser.new_context(**options)
    visit = Visit(context.new_page(), url)
    _watch(context, visit)
    try:
        yield visit
        assert visit.complaints == []
        assert visit.elsewhere == []
    finally:
        context.close()


def _watch(context: BrowserContext, visit: Visit) -> None:
    def listen(page: Page) -> None:
        page.on("pageerror", lambda error: visit.complaints.append(f"script: {error}"))
        page.on("dialog", lambda dialog: _dismiss(visit, dialog))
        page.on("console", lambda message: _note(visit, message.type, message.text))

    listen(visit.page)
    context.on("page", listen)
    context.on("request", lambda request: _check(visit, request.url))


def _dismiss(visit: Visit, dialog: Dialog) -> None:
    visit.complaints.append(f"dialog: {dialog.message}")
    dialog.dismiss()


def _note(visit: Visit, kind: str, text: str) -> None:
    asked_for = re.match(r"(Failed to load resource: the server responded with a s|Response S)tatus .*4\d\d", text)
    if kind in {"error", "warning"} and not asked_for:
        visit.complaints.append(f"{kind}: {text}")


def _check(visit: Visit, url: str) -> None:
    if not url.startswith((visit.url + "/", "data:")):
        visit.elsewhere.append(url)


Visitor = Callable[..., contextlib.AbstractContextManager[Visit]]


@pytest.fixture(scope="module")
def visiting(browser: Browser, statistics: Pages) -> Visitor:
    """`with visiting("ada", **context options) as visit`: signed in by a one-time link, as a person does it.

    The session is kept for later tests; with `fresh` it is the test's own, to be ended by it.
    """
    kept: dict[str, Any] = {}

    @contextlib.contextmanager
    def visiting(user: str = "", fresh: bool = False, **options: Any) -> Iterator[Visit]:
        state = None if fresh else kept.get(user)
        with a_visit(browser, statistics.url, storage_state=state, **options) as visit:
            if user and state is None:
                visit.page.goto(statistics.login(user))
                visit.page.get_by_role("button", name="Sign in").click()
                visit.page.wait_for_url(lambda url: "/login" not in url)  # partners are led on to their releases
                if not fresh:
                    kept[user] = visit.page.context.storage_state()
            yield visit

    return visiting
