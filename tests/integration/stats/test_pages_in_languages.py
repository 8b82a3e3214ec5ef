"""Every word of a statistics page comes from the catalogue: shown by a language in which each text is marked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from gettext import NullTranslations
from html.parser import HTMLParser

import httpx
import pytest

from services.runtime.settings import Settings
from services.runtime.web import pages as shell
from services.runtime.web.languages import Language, language
from services.stats.dashboard import trust
from services.stats.dashboard.policies import Policies
from services.stats.dashboard.privacy import Facts, policy_of
from services.stats.dashboard.sources import REASON_WORDS
from tests.parts.dashboard import Pages, a_dashboard
from tests.parts.figures import VALUES

PAGES = {
    "/?tenant=riverside": 200,
    "/?tenant=riverside&period=day": 200,
    "/?tenant=riverside&filter=visit:country&value=FR&technology=visit:os&sources=visit:channel": 200,
    "/?tenant=riverside&period=7d&date=2024-01-01": 200,
    "/list?tenant=riverside&of=event:bot_class": 200,
    "/list?tenant=riverside&of=event:page&q=nothing-like-it": 200,
    "/quality?tenant=riverside": 200,
    "/quality?tenant=riverside&period=day": 200,
    "/quality?tenant=riverside&filter=event:page&value=/": 200,
    "/quality?tenant=riverside&filter=event:status_class&value=5xx&sort=failing": 200,
    "/events?tenant=riverside": 200,
    "/events?tenant=riverside&period=7d&date=2024-01-01": 200,
    "/live?tenant=riverside": 200,
    "/sources": 200,
    "/account": 200,
    "/account/set-up": 200,
    "/keys": 403,
    "/privacy": 200,
    "/privacy?version=1": 200,
    "/privacy?version=9": 404,
    "/nothing-here": 404,
    "/?period=fortnight": 400,
    "/?tenant=riverside&period=custom&from=2026-03-02&to=2026-03-01": 400,
    "/?tenant=nobody": 404,
}
ATTRIBUTES = ("title", "aria-label", "placeholder", "alt", "data-now", "data-then")
# What is no text: names of the fixture, and signs of units.
DATA = {
    *(value for values in VALUES.values() for value in values),
    "riverside",
    "chess-club",
    "ada",
    "Europe/Paris",
    "UTC",
}
DATA |= {"riverside-web", "riverside-api", "riverside-old", "chess-web", "CSV", "EN", "FR", "English", "Français"}
DATA |= {*REASON_WORDS, "revoked_key", "busy"}  # codes, as titles
UNITS = {"m", "s", "ms", "M", "pt", "d", "w", "y", "c", "t", "x"}
CODE = {"code", "kbd", "pre", "script", "style"}


class Marked(NullTranslations):
    """Puts marks around every text that is asked for."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"⟦{msgid2}⟧"


@dataclass(frozen=True)
class MarkedLanguage(Language):
    """With dates and countries marked, too."""

    def day(self, day: date) -> str:
        return "⟦day⟧"

    def weekday(self, day: date, *, year: bool = False) -> str:
        return "⟦weekday⟧"

    def weekday_name(self, day: date) -> str:
        return "⟦weekday⟧"

    def days(self, first: date, last: date) -> str:
        return "⟦days⟧"

    def month(self, day: date) -> str:
        return "⟦month⟧"

    def country(self, code: str) -> str:
        return "⟦country⟧"


class Words(HTMLParser):
    """What a reader sees or hears of a page, piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ATTRIBUTES and value]
        if tag in CODE:
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._inside and tag == self._inside[-1]:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if not self._inside and data.strip():
            self.found.append(data.strip())


def unmarked(page: str) -> list[str]:
    """Pieces with a word outside the marks that is no data."""
    words = Words()
    words.feed(page)
    return [piece for piece in words.found if set(_rest(piece))]


def _rest(piece: str) -> Iterator[str]:
    before = ""
    while before != piece:  # marks within marks
        before, piece = piece, re.sub(r"⟦[^⟦⟧]*⟧", " ", piece)
    for data in sorted(DATA, key=len, reverse=True):
        piece = piece.replace(data, " ")
    return (word for word in re.findall(r"[^\W\d_]+", piece) if word not in UNITS)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    with a_dashboard(tmp_path_factory.mktemp("languages")) as running:
        yield running


@pytest.fixture
def marked(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    plain = language("en")
    wanted = MarkedLanguage("en", plain.name, plain.locale, Marked())
    monkeypatch.setattr(shell, "chosen_language", lambda _request, _offered: wanted)
    # what is kept was said before the marks
    policy = asdict(policy_of(Settings(), Facts(releases=True, linked_days=(30, 60)), wanted))
    monkeypatch.setattr(Policies, "texts", lambda _self, number: {"en": policy} if number < 3 else None)
    with httpx.Client(base_url=pages.url, headers={"accept": "text/html"}, follow_redirects=True, timeout=60) as client:
        assert client.post(pages.login("ada")).status_code == 200
        yield client


@pytest.mark.parametrize(("address", "status"), PAGES.items())
def test_no_page_shows_a_text_that_is_not_in_the_catalogue(marked: httpx.Client, address: str, status: int) -> None:
    """Text, titles and labels; what is left is data of the installation."""
    answer = marked.get(address)
    assert answer.status_code == status
    assert "⟦" in answer.text
    assert unmarked(answer.text) == []


def test_the_way_in_is_in_the_catalogue(pages: Pages, marked: httpx.Client) -> None:
    """Signed out: how to sign in, a good link and a used one."""
    marked.cookies.clear()
    for address in ["/", "/login", f"/login/{pages.sessions.login_link('ada')}", "/login/used-up"]:
        assert unmarked(marked.get(address).text) == []


def test_an_administrators_keys_are_in_the_catalogue(pages: Pages, marked: httpx.Client) -> None:
    """None yet, one just made, and one to be revoked."""
    pages.sessions.put_user("ada", ["admin"], ["chess-club"])
    assert unmarked(marked.get("/keys").text) == []
    csrf = marked.get("/keys").text.partition('"X-CSRF-Token": "')[2].partition('"')[0]
    made = marked.post("/keys", data={"tenant": "chess-club", "label": "7"}, headers={"x-csrf-token": csrf})
    assert made.status_code == 200
    assert unmarked(made.text) == []
    pages.sessions.put_user("ada", ["viewer"], ["*"])


def test_a_text_past_the_catalogue_would_be_found(marked: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch: a line that is said without the language is seen by the test above."""
    monkeypatch.setattr(trust, "_rule", lambda _privacy, _language: trust.Line("shield", "Said past the catalogue"))
    assert unmarked(marked.get("/?tenant=riverside").text) == ["Said past the catalogue"]


def test_a_page_says_its_language_and_keeps_it(pages: Pages) -> None:
    """`?lang=` is remembered; the switch of the page wins over it afterwards and leads back to the same page."""
    with httpx.Client(base_url=pages.url, headers={"accept": "text/html"}, timeout=60) as client:
        first = client.get("/privacy?lang=fr")
        assert '<html lang="fr"' in first.text
        assert "Ce qui est collecté" in first.text
        assert '<html lang="fr"' in client.get("/privacy").text
        referer = {"referer": f"{pages.url}/privacy?lang=fr&x=1"}
        switched = client.post("/language", data={"lang": "en"}, headers=referer)
        assert (switched.status_code, switched.headers["location"]) == (303, "/privacy?x=1")
        assert '<html lang="en"' in client.get("/privacy").text
        assert client.post("/language", data={"lang": "tlh"}).status_code == 400


def test_programs_get_english(pages: Pages) -> None:
    """Problems as JSON do not change with the reader's language."""
    headers = {"accept": "application/json", "accept-language": "fr"}
    assert httpx.get(f"{pages.url}/nothing-here", headers=headers).json()["title"] == "There is no such page"
