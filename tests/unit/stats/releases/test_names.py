"""Names are written so that spreadsheets run none and readers take none for a number or a missing value."""

from __future__ import annotations

import pycountry
import pytest

from services.stats.counting.location import UNKNOWN
from services.stats.releases.catalogues import fixed_names
from services.stats.releases.names import written


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
@pytest.mark.parametrize("column", ["route", "device"])
def test_no_text_starts_a_formula(column: str, start: str) -> None:
    """Spreadsheets run what starts so."""
    assert written(column, f"{start}cmd|'/c calc'!A1") == f"'{start}cmd|'/c calc'!A1"
    assert written(column, "/members/{id}") == "/members/{id}"


@pytest.mark.parametrize(
    "name", ["NA", "null", "None", "n/a", " nan ", "TRUE", "T", "404", "1e3", ".5", "inf", "", "'NA"]
)
def test_what_the_application_names_is_a_text(name: str) -> None:
    """Not a missing value, a truth or a number; an apostrophe makes it one."""
    assert written("route", name) == written("tenant", name) == f"'{name}"
    assert written("route", f"/{name}") == f"/{name}"


def test_countries_are_alpha_3_as_iso_has_them() -> None:
    """Held against Debian's list; Namibia is no missing value, and who is unknown has a code that nobody gets."""
    told = {country: written("country", country) for country in fixed_names()["country"]}
    assert told.pop(UNKNOWN) == "ZZZ"
    assert told == {country.alpha_2: country.alpha_3 for country in pycountry.countries}
    assert told["NA"] == "NAM"
    assert "NA" not in told.values()


def test_our_own_names_stay_as_they_are() -> None:
    """Classes of latency are texts because one of them is a word, in every package."""
    for column in ("device", "referrer_class", "latency_class"):
        assert [written(column, name) for name in fixed_names()[column]] == list(fixed_names()[column])
    assert "more" in fixed_names()["latency_class"]
