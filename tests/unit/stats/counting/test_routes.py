"""Routes: templates in which nobody can be found."""

from __future__ import annotations

import string
import uuid
from urllib.parse import quote

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.stats.counting.routes import SEGMENTS_MAX, Routes, RouteTable, Templater
from services.stats.tenants.registry import Tenant, Tenants

TEMPLATER = Templater()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("", "/"),
        ("/rules/openings/", "/rules/openings"),
        ("//Rules//Openings", "/rules/openings"),
        ("/orders/1234", "/orders/{number}"),
        ("/archive/2024-05-17/photos", "/archive/{date}/photos"),
        ("/archive/20240517", "/archive/{date}"),
        ("/a/3f2504e0-4f89-11d3-9a0c-0305e82c3301", "/a/{id}"),
        ("/a/3F2504E04F8911D39A0C0305E82C3301", "/a/{id}"),
        ("/commit/deadbeef01", "/commit/{id}"),
        ("/reset/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "/reset/{id}"),
        ("/confirm/kJhGtRfVbNmKlOpQ", "/confirm/{token}"),
        ("/invite/xkcdqwrtzpsdfgh", "/invite/{token}"),
        ("/mail/nina@example.org", "/mail/{email}"),
        ("/@nina", "/{name}"),
        ("/~nina/notes", "/{name}/notes"),
        ("/members/nina", "/members/{name}"),
        ("/membres/quentin-lefevre/profil", "/membres/{name}/profil"),
        ("/u/nina.fournier", "/u/{name}"),
        ("/blog/nina.fournier", "/blog/{name}"),
        ("/Mitglieder/Jürgen", "/mitglieder/{name}"),
        ("/members/42", "/members/{number}"),
        ("/members/login", "/members/login"),
        ("/search/nina fournier", "/search/{text}"),
        ("/a/b/c/d/e/f/g/h", "/a/b/c/d/e/f/…"),
        ("/docs/a-rather-long-title-that-nobody-would-call-an-identifier", "/docs/{long}"),
        ("/docs/getting-started", "/docs/getting-started"),
        ("/index.html", "/index.html"),
        ("/static/app.css", "/static/app.css"),
        ("/products/chess-set-32", "/products/chess-set-32"),
        ("/page;jsessionid=AB12CD34EF/x", "/page/x"),
        ("/page?email=nina@example.org", "/page"),
        ("/a/../b", "/a/b"),
        ("/a/{nina}", "/a/{text}"),
        ("/a/{id}", "/a/{id}"),
    ],
)
def test_paths_become_templates(path: str, expected: str) -> None:
    """What tells pages apart stays, what tells people or things apart becomes a placeholder."""
    assert TEMPLATER.template(path) == expected


NAMES = ("nina", "quentin-lefevre", "José", "marie_curie", "Müller", "o'brien", "anna.schmidt", "li-wei", "zoë")
PREFIXES = (
    "members",
    "users",
    "u",
    "profile",
    "membres",
    "adherents",
    "miembros",
    "Mitglieder",
    "utenti",
    "leden",
    "klanci",
)


def words() -> st.SearchStrategy[str]:
    return st.sampled_from(["rules", "news", "shop", "help", "about-us", "openings", "team"])


@st.composite
def identifiers(draw: st.DrawFn) -> str:
    """A marked identifier of any class that Voile promises to keep out of routes."""
    mark = "canary"
    kind = draw(st.integers(0, 7))
    letters = draw(st.text(string.ascii_letters, min_size=6, max_size=10))
    number = draw(st.integers(10**5, 10**12))
    return [
        f"{mark}{letters}@example.org",
        str(draw(st.uuids())),
        f"{mark}{number}",
        str(number),
        f"{draw(st.integers(16**8, 16**15)):x}0",
        f"eyJ{mark}{number}.{letters}.{letters}",
        f"+{number}",
        f"{letters.lower()}.{mark}",
    ][kind]


@given(st.lists(words(), max_size=3), identifiers(), st.lists(words(), max_size=2), st.integers(0, 3))
def test_no_identifier_comes_through(before: list[str], identifier: str, after: list[str], times_encoded: int) -> None:
    """Wherever it stands and however often it is percent-encoded (up to three times)."""
    segment = identifier
    for _ in range(times_encoded):
        segment = quote(segment, safe="")
    shown = TEMPLATER.template("/" + "/".join([*before, segment, *after]))
    assert identifier.lower() not in shown
    assert "canary" not in shown


@given(st.sampled_from(PREFIXES[:-1]), st.sampled_from(NAMES), st.booleans())
def test_no_name_follows_a_person_like_word(prefix: str, name: str, encoded: bool) -> None:
    """In every language of the list."""
    path = f"/club/{prefix}/{quote(name) if encoded else name}/orders"
    shown = TEMPLATER.template(path)
    assert shown.split("/")[3].startswith("{")
    assert shown.endswith("/orders")


def test_an_unknown_word_lets_a_name_through() -> None:
    """The limit that the documentation states: patterns cannot know every language. Route tables can."""
    assert TEMPLATER.template(f"/{PREFIXES[-1]}/nina") == f"/{PREFIXES[-1]}/nina"
    assert RouteTable([f"/{PREFIXES[-1]}/{{name}}"]).match(f"/{PREFIXES[-1]}/nina") == f"/{PREFIXES[-1]}/{{name}}"


@given(st.text(max_size=80))
def test_any_text_gives_a_short_clean_route(path: str) -> None:
    """No path makes it fail; what comes out is lower case, has at most 6 segments and no odd character."""
    shown = TEMPLATER.template(path)
    assert shown.startswith("/")
    assert len([s for s in shown.split("/") if s]) <= SEGMENTS_MAX + 1
    assert not set("@?#%; \t\n'\"<>\\") & set(shown)


@given(st.text(max_size=60))
def test_a_template_is_a_fixed_point(path: str) -> None:
    """Templating what was templated changes nothing, so placeholders of one step survive the next."""
    once = TEMPLATER.template(path)
    assert TEMPLATER.template(once) == once


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/members/nina", "/members/{id}"),
        ("/members/me", "/members/me"),
        ("/members/%6eina/", "/members/{id}"),
        ("/members/nina/orders", None),
        ("/clubs/paris", None),
    ],
)
def test_the_most_literal_template_of_the_table_wins(path: str, expected: str | None) -> None:
    """Only whole paths match."""
    assert RouteTable(["/members/{id}", "/members/me"]).match(path) == expected


def frame(*rows: tuple[str, str | None, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"tenant": pl.String, "route": pl.String, "path": pl.String}, orient="row")


def routed(routes: Routes, *rows: tuple[str, str | None, str]) -> list[str]:
    return routes.put_route(frame(*rows))["route"].to_list()


def test_the_application_comes_first_then_the_table_then_the_path() -> None:
    """And a tenant's table is its own."""
    routes = Routes(Tenants([Tenant("club", "Club", routes=("/teams/{team}",))]))
    assert routed(
        routes,
        ("club", "teams.show", "/teams/nina"),
        ("club", None, "/teams/nina"),
        ("choir", None, "/teams/nina"),
    ) == ["teams.show", "/teams/{team}", "/teams/nina"]


def test_an_application_cannot_put_an_identifier_into_its_route() -> None:
    """Its words stand, what looks like an identifier does not."""
    routes = Routes(Tenants())
    named = [f"/members/{uuid.UUID(int=7)}", "/members/{id}", "members.show", "/mail/nina@example.org", "/users/list"]
    assert routed(routes, *(("club", name, "/x") for name in named)) == [
        "/members/{id}", "/members/{id}", "members.show", "/mail/{email}", "/users/list",
    ]  # fmt: skip


def test_a_new_table_is_used_at_once() -> None:
    """What the registry changes counts for the next batch, also for paths seen before."""
    tenants = Tenants()
    routes = Routes(tenants)
    assert routed(routes, ("club", None, "/teams/nina")) == ["/teams/nina"]
    tenants._known["club"] = Tenant("club", "Club", routes=("/teams/{team}",))
    tenants.version += 1
    assert routed(routes, ("club", None, "/teams/nina")) == ["/teams/{team}"]


def test_assets_are_told_by_their_ending() -> None:
    """A page with a dot is none."""
    paths = ["/app.CSS", "/img/logo.png", "/index.html", "/rules", "/v1.2/rules"]
    found = Routes(Tenants()).put_route(frame(*(("club", None, p) for p in paths)))
    assert found["asset"].to_list() == [True, True, False, False, False]
