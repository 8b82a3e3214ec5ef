"""A page's state is its address."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from urllib.parse import parse_qsl, urlsplit

import pytest

from services.runtime.web.languages import language
from services.runtime.web.problems import Problem
from services.stats.dashboard.panels import GROUPS
from services.stats.dashboard.view import Filter, View, read_view

TODAY = date(2026, 3, 15)
TENANTS = ["chess-club", "riverside"]


def view_at(address: str) -> View:
    return read_view(dict(parse_qsl(urlsplit(address).query)), TENANTS, TODAY, language("en"))


@pytest.mark.parametrize(
    "address",
    [
        "/",
        "/?tenant=riverside&period=7d&date=2026-03-01&compare=year&metric=pageviews",
        "/?tenant=riverside&period=custom&from=2026-01-01&to=2026-01-31&compare=none",
        "/?filter=event:page&value=%2Fa%26b%3Dc%23d%20%C3%A9%22%3C&pages=visit:exit_page&technology=visit:os",
    ],
)
def test_a_view_and_its_address_say_the_same(address: str) -> None:
    """Whatever stands in a filter: reading the address of a view gives the view."""
    view = view_at(address)
    assert view_at(view.href()) == view


def test_the_first_tenant_is_shown_when_none_is_named() -> None:
    """And who may see none sees none."""
    assert view_at("/").tenant == "chess-club"
    with pytest.raises(Problem) as caught:
        read_view({}, [], TODAY, language("en"))
    assert caught.value.status_code == 404


def test_a_tab_is_in_the_address_only_when_it_is_not_the_first() -> None:
    """Short addresses for what most people see."""
    view, pages = view_at("/"), GROUPS[0]
    exits = view.with_tab(pages, "visit:exit_page")
    assert exits.tab(pages) == "visit:exit_page"
    assert "pages=" in exits.href()
    assert exits.with_tab(pages, "event:page").href() == view.href()


def test_a_filter_replaces_a_filter() -> None:
    """One at a time, in the address as in the view."""
    view = replace(view_at("/?filter=visit:country&value=FR"), filter=Filter("visit:os", "Linux"))
    assert view.href().count("filter=") == 1
