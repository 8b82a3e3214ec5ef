"""Pages in several languages: which one somebody gets, and that every catalogue is whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

import pytest
from babel.messages.catalog import Catalog
from starlette.requests import Request

from services.runtime.web.languages import LANGUAGES, chosen_language, language
from tests.parts.messages import read_catalogue, texts

TRANSLATED = sorted(set(LANGUAGES) - {"en"})
_PLACEHOLDER = re.compile(r"\{\w*\}")
_MARKUP = re.compile(r"</?\w+>")


def asking(query: str = "", cookie: str = "", header: str = "") -> Request:
    headers = {"cookie": f"voile_language={cookie}" if cookie else "", "accept-language": header}
    raw = [(name.encode(), value.encode()) for name, value in headers.items() if value]
    return Request({"type": "http", "headers": raw, "query_string": query.encode()})


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (asking(), "en"),
        (asking(header="fr-CA,fr;q=0.9,en;q=0.8"), "fr"),
        (asking(header="de,en;q=0.4,fr;q=0.7"), "fr"),
        (asking(header="fr;q=0,en;q=0.1"), "en"),
        (asking(header="fr;q=much, *;q=0.5,,;"), "en"),
        (asking(header="en", cookie="fr"), "fr"),
        (asking(cookie="fr", query="lang=en"), "en"),
        (asking(cookie="<script>", query="lang=../../etc", header="fr"), "fr"),
    ],
)
def test_a_page_is_in_the_language_that_was_asked_for(request_: Request, code: str) -> None:
    """The address first, then what was chosen before, then the browser; what is not offered is passed over."""
    assert chosen_language(request_, ["en", "fr"]).code == code


def test_a_service_offers_only_what_its_pages_are_in() -> None:
    """Pages in English alone stay whole: no half of one is in French."""
    assert chosen_language(asking(cookie="fr", header="fr"), ["en"]).code == "en"


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_text_is_translated(code: str) -> None:
    """Each text of the code and the templates is in the catalogue, and nothing that is not theirs."""
    catalogue = read_catalogue(code)
    known = {message.id: message.string for message in catalogue if message.id}
    assert set(known) == set(texts()), "run: python -m tests.parts.messages"
    assert [text for text, said in known.items() if not all(said if isinstance(said, tuple) else [said])] == []
    assert not [message.id for message in catalogue if message.id and message.fuzzy]


def _pairs(catalogue: Catalog) -> Iterator[tuple[str, str]]:
    """(text, translation), for a count the last of each."""
    for message in catalogue:
        if message.id:
            text, said = message.id, message.string
            yield str(text if isinstance(text, str) else text[-1]), str(said[-1] if isinstance(said, tuple) else said)


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_fills_in_the_same_values(code: str) -> None:
    """The same placeholders and the same markup as the text: none is lost, none is made up."""
    for text, said in _pairs(read_catalogue(code)):
        assert set(_PLACEHOLDER.findall(said)) == set(_PLACEHOLDER.findall(text)), text
        assert _MARKUP.findall(said) == _MARKUP.findall(text), text


def test_languages_count_in_their_own_way() -> None:
    """Zero is singular in French, plural in English."""
    one, more = "{n} day ago", "{n} days ago"
    assert language("en").many(one, more, 0) == "0 days ago"
    assert language("fr").many(one, more, 0) == "il y a 0 jour"
    assert language("fr").many(one, more, 2) == "il y a 2 jours"


def test_days_and_countries_are_said_as_the_language_does() -> None:
    """By Babel, for the locale of the pages."""
    day = date(2026, 3, 15)
    assert (language("en").weekday(day), language("fr").weekday(day)) == ("Sun 15 Mar", "dim. 15 mars")
    assert (language("en").country("DE"), language("fr").country("DE")) == ("Germany", "Allemagne")
    assert language("fr").country("??") == "??"


def test_what_is_filled_in_is_never_read_as_a_text() -> None:
    """Braces and texts in a value stand as they are."""
    assert language("fr").say("{label}: show only this", label="{0} Close") == "{0} Close : ne montrer que cela"
