"""A support person's ticket, done in a real browser by somebody who reads the page: from an e-mail to the answer.

python -m tests.parts.support_day     prints clicks and seconds, and takes the pictures of docs/support.md
"""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import ViewportSize, sync_playwright

from services.runtime.clock import SystemClock
from tests.parts.console import Console, a_console
from tests.parts.identity import access, batch, link, send

__all__ = ["Answer", "Hand", "a_ticket", "fill_a_week"]

PICTURES = Path(__file__).parents[2] / "docs" / "images"
# Keystroke-level model (Card, Moran, Newell, 1980): what an average person takes.
KEY_S = 0.28
POINT_AND_CLICK_S = 1.2
THINK_S = 1.35
READ_S = 8.0  # to find the red panel and read its first line: thirty words at the usual 240 a minute


@dataclass
class Hand:
    """Does what a person does on a page, and counts it; `machine_s` is what they wait for pages."""

    page: Any
    clicks: int = 0
    keys: int = 0
    machine_s: float = 0.0
    thoughts: int = field(default=0)

    def click(self, target: str) -> None:
        began = time.monotonic()
        self.page.click(target)
        self.page.wait_for_load_state()
        self.machine_s += time.monotonic() - began
        self.clicks, self.thoughts = self.clicks + 1, self.thoughts + 1

    def choose(self, target: str, value: str) -> None:
        """Opening a list and taking an entry."""
        self.page.select_option(target, value)
        self.clicks, self.thoughts = self.clicks + 2, self.thoughts + 1

    def write(self, target: str, text: str) -> None:
        self.page.click(target)
        self.page.fill(target, text)
        self.clicks, self.keys, self.thoughts = self.clicks + 1, self.keys + len(text), self.thoughts + 1

    @property
    def seconds(self) -> float:
        hands = self.keys * KEY_S + self.clicks * POINT_AND_CLICK_S + self.thoughts * THINK_S
        return hands + self.machine_s + READ_S


@dataclass(frozen=True)
class Answer:
    """What the page says about the ticket, and what it took."""

    what: str
    clicks: int
    seconds: float


def fill_a_week(console: Console) -> None:
    """A member who pays her invoices without trouble until today."""
    now = console.clock.now()
    rows = []
    for days in range(7):
        start = now - timedelta(days=days, minutes=20)
        for minute, path in enumerate(("/login", "/agenda", "/invoices", "/invoices/7")):
            rows.append(access("42", path, at=start + timedelta(minutes=minute), duration_ms=80 + 13 * minute))
    broken = {"status": 500, "duration_ms": 2310, "route": "/invoices/{id}/pay", "method": "POST"}
    for minute in (4, 5, 7):
        rows.append(access("42", "/invoices/7/pay", at=now - timedelta(minutes=20 - minute), **broken))
    send(console.identity, batch(rows, origin="file-2"))
    link(console.identity)


def a_ticket(page: Any, shoot: Any = None) -> Answer:
    """SUP-1234: "I cannot pay my invoice. Anna, anna@example.org". The look-up page is open."""
    hand = Hand(page)
    hand.choose("[name=tenant]", "chess-club")
    hand.write("[name=value]", "anna@example.org")
    hand.write("[name=ticket]", "SUP-1234")
    hand.write("[name=reason]", "Cannot pay her invoice")
    if shoot:
        shoot("support-look-up")
    hand.click("main form button >> nth=0")
    what = page.inner_text("section.errors tbody tr >> nth=0")
    if shoot:
        shoot("support-timeline")
    hand.click("section.errors p a >> nth=0")
    return Answer(" ".join(what.split()), hand.clicks, hand.seconds)


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    with a_console(folder, SystemClock()) as console, sync_playwright() as playwright:
        fill_a_week(console)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        size: ViewportSize = {"width": 1000, "height": 720}
        page = browser.new_context(base_url=console.url, viewport=size, timezone_id="Europe/Paris").new_page()
        page.goto(f"/login/{console.access.sessions.login_link('sam')}")
        page.click("main button")
        page.goto("/")
        answer = a_ticket(page, lambda name: page.screenshot(path=PICTURES / f"{name}.png"))
        print(f"{answer.what}\n{answer.clicks} clicks, {answer.seconds:.0f} s")
        browser.close()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
