"""From a crowded prefix to a proposal, and from its acceptance to the next day's routes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import polars as pl
import pytest

from services.runtime.database import open_records
from services.runtime.settings import Settings
from services.stats.closing.close import close_through
from services.stats.closing.prefixes import CHILDREN_MAX
from services.stats.closing.proposals import ACCEPTED, PROPOSED, Proposals
from services.stats.days.states import TenantDay
from services.stats.figures.cells import kept_cells
from services.stats.figures.disclosure import PUBLISHED, PublishedCells
from tests.parts.closing import FIRST, World, crowd, rows
from tests.parts.dashboard import Pages, a_dashboard
from tests.parts.figures import TODAY

CHILDREN = [f"/blog/nina-fournier-{n}" for n in range(CHILDREN_MAX + 10)]


def _many_pages(world: World, readers: int) -> pl.DataFrame:
    """So many people that each read one of the many pages, beside a crowd on the front page."""
    read = [{**person, "route": CHILDREN[n % len(CHILDREN)]} for n, person in enumerate(crowd(readers))]
    return rows("a", FIRST, [*read, *crowd(40, 9000)])


def test_a_crowded_prefix_is_proposed_without_a_path_of_anybody(world: World) -> None:
    """What stands in the records is the template; no word of a page is in any column."""
    world.put(_many_pages(world, len(CHILDREN)))
    close_through(world.closer, FIRST)
    (found,) = Proposals(world.closer.records).listed()
    assert (found.tenant, found.template, found.state, found.proposed_on) == ("a", "/blog/{name}", PROPOSED, FIRST)
    assert b"nina" not in (world.folder / "records.db").read_bytes()


def test_what_few_people_saw_is_not_proposed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many pages under a prefix, read by nine people. Read off the events, not the published cells, it would be."""
    world.put(rows("a", FIRST, [*_nine_readers(), *crowd(40, 9000)]))
    close_through(world.closer, FIRST)
    proposals = Proposals(world.closer.records)
    assert proposals.listed() == []
    told = kept_cells(world.closer.records, [TenantDay("a", FIRST)])
    raw = told.head(1).with_columns(cube=pl.lit("route"), dim1=pl.lit("/blog/{*}"))
    proposals.propose(PublishedCells(raw.select(list(PUBLISHED))))
    assert [p.template for p in proposals.listed()] == ["/blog/{name}"]


def _nine_readers() -> list[dict[str, object]]:
    return [{"visitor": n % 9, "network": n % 9, "route": route} for n, route in enumerate(CHILDREN)]


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    with a_dashboard(tmp_path) as running:
        yield running


def _propose(folder: Path, *tenants: str) -> Proposals:
    settings = Settings(data=folder)
    proposals = Proposals(open_records(settings.url(settings.statistics.records)))
    cells = [(tenant, TODAY, "route", "/blog/{*}", "", "visitors", 20) for tenant in tenants]
    proposals.propose(PublishedCells(pl.DataFrame(cells, schema=dict(PUBLISHED), orient="row")))
    return proposals


def test_an_administrator_accepts_on_the_page(pages: Pages, tmp_path: Path) -> None:
    """Of their own tenants; a viewer does not come to it; a form of another session is not taken."""
    proposals = _propose(tmp_path, "chess-club", "riverside")
    pages.sessions.put_user("eve", ["viewer", "admin"], ["chess-club"])
    form = {"tenant": "chess-club", "template": "/blog/{name}", "decision": "accept"}
    with _signed_in(pages, "ben") as viewer:
        assert viewer.get("/routes").status_code == 403
        token = {"csrf": _csrf(viewer.get("/").text)}
        assert viewer.post("/routes", data={**form, **token}).status_code == 403
    with _signed_in(pages, "eve") as admin:
        shown = admin.get("/routes").text
        assert "/blog/{name}" in shown
        assert "riverside" not in shown
        token = {"csrf": _csrf(shown)}
        assert admin.post("/routes", data=form).status_code == 403
        assert admin.post("/routes", data={**form, **token, "tenant": "riverside"}).status_code == 404
        assert admin.post("/routes", data={**form, **token, "template": "/other"}).status_code == 404
        assert admin.post("/routes", data={**form, **token, "decision": "burn"}).status_code == 400
        assert {p.state for p in proposals.listed()} == {PROPOSED}
        answer = admin.post("/routes", data={**form, **token}, follow_redirects=True)
        following = TODAY + timedelta(days=1)
        assert f"accepted, holds from {following.day} {following:%b} {following.year} on" in answer.text
        assert f"{following.day} mars {following.year}" in admin.get("/routes?lang=fr").text
    assert {p.tenant: p.state for p in proposals.listed()} == {"chess-club": ACCEPTED, "riverside": PROPOSED}


@contextlib.contextmanager
def _signed_in(pages: Pages, user: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=pages.url, headers={"accept": "text/html", "origin": pages.url}) as client:
        assert client.post(pages.login(user)).status_code == 303
        yield client


def _csrf(page: str) -> str:
    return page.split('name="csrf" value="')[1].split('"', maxsplit=1)[0]
