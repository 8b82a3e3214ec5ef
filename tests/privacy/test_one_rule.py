"""Every output goes through the one rule: what is kept, written or shown as a figure is a published cell.

Three ways, each with what it would find: the type of cells and who makes it; what the pages' code may read; and all
answers of the server, which must not change when everything but the published cells does.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi.routing import APIRoute

from services.runtime.clickhouse import sql
from services.runtime.database import open_records
from services.runtime.settings import Settings
from services.runtime.web.sessions import EVERY_TENANT
from services.stats.days.states import Days, TenantDay
from services.stats.figures import cells
from services.stats.queries import answers as queries
from services.stats.queries.answers import as_csv
from services.stats.queries.metrics import METRICS
from services.stats.queries.request import DIMENSIONS, TIMES
from services.stats.today.live import LiveTotals
from tests.parts.closing import crowd, rows
from tests.parts.dashboard import Pages, a_dashboard
from tests.parts.figures import TODAY

ROOT = Path(__file__).parents[2]
STATS = ROOT / "services" / "stats"
MODULES = sorted(m for m in STATS.rglob("*.py") if "migrations" not in m.parts)
# What holds rows of people. `{rows}`, `{names}`, ...: the working tables of a closing, and what is counted into them.
PERSONAL = re.compile(
    r"\b(?:FROM|JOIN|INTO|TABLE(?: IF NOT EXISTS)?|UPDATE)\s+(?:events|active_accounts|\{\w+:Identifier\})",
    re.IGNORECASE,
)
CELLS = re.compile(r"\b(?:INTO|TABLE(?: IF NOT EXISTS)?)\s+cells(?:_staging)?\b", re.IGNORECASE)


def _calls(module: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(module.read_text("utf-8"))) if isinstance(node, ast.Call))


def _name(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def _texts(call: ast.Call) -> set[str]:
    return {a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)}


def _modules_that(does: str, *words: str) -> set[str]:
    """Modules with a call of the function `does`, with one of `words` among its arguments when there are any."""
    return {
        module.relative_to(STATS).as_posix()
        for module in MODULES
        for call in _calls(module)
        if _name(call) == does and (not words or _texts(call) & set(words))
    }


def test_only_the_rule_makes_cells() -> None:
    """And what reads back the cells that were kept. The type checker does the rest: nothing else may be kept, written
    or replaced."""
    assert _modules_that("PublishedCells") == {"figures/disclosure.py", "figures/cells.py"}
    for writer in (cells.keep_cells, cells.publish_cells, cells.replace_provisional, LiveTotals.put):
        assert writer.__annotations__["cells"] == "PublishedCells"


def test_only_one_module_writes_cells() -> None:
    """The tables of figures, and the records in which a closed day's are kept."""
    assert _modules_that("insert", "cells", "cells_staging") == {"figures/cells.py"}
    statements = {path.stem for path in STATS.glob("sql/*.sql") if CELLS.search(path.read_text("utf-8"))}
    assert _modules_that("sql", *statements - {"create_cells"}) == {"figures/cells.py"}
    naming = {m.relative_to(STATS).as_posix() for m in MODULES if "day_cells" in m.read_text("utf-8")}
    assert naming == {"figures/cells.py", "records.py"}


# What shows figures: the pages, the API, files and commands, and what they ask.
SHOWING = ("dashboard/", "queries/", "web", "collection/", "operations")


def test_what_shows_figures_names_no_statement_about_people() -> None:
    """No statement that it runs reads events or the working tables of a closing, and it has none of its own."""
    about_people = {path.stem for path in STATS.rglob("*.sql") if PERSONAL.search(path.read_text("utf-8"))}
    assert {"count_events", "gather_rows", "now_people", "cell_sums", "count_active"} < about_people
    showing = {m for m in MODULES if m.relative_to(STATS).as_posix().startswith(SHOWING)}
    assert len(showing) > 10
    run = {
        text
        for module in showing
        for call in _calls(module)
        if _name(call) in {"sql", "_read"}
        for text in _texts(call)
    }
    assert "select_visible_cells" in run
    assert run & about_people == set()
    for module in showing:
        assert not PERSONAL.search(module.read_text("utf-8")), module


def test_the_scan_finds_a_statement_about_people() -> None:
    """Its patterns recognise what they are for."""
    assert PERSONAL.search("SELECT uniq(visitor) FROM events")
    assert PERSONAL.search("SELECT 1 FROM {rows:Identifier}")
    assert not PERSONAL.search("SELECT value FROM cells WHERE cube = {cube:String}")
    assert CELLS.search("INSERT INTO cells SELECT * FROM somewhere")


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    with a_dashboard(tmp_path) as running:
        yield running


# Declared figures that are no cells: the process's own, and what is settled before it can be asked for.
NOT_FIGURES = {"/metrics", "/login/{token}", "/static/{path:path}"}
PARAMETERS = {"tenant": "riverside", "source": "web", "language": "fr"}
SKIPPED = ("/assets", "/logout", "/healthz", "/readyz", "/account")  # the last: one's own sign-ins, and a fresh secret
_HREF = re.compile(r'(?:href|hx-get|data-url|action)="(/[^"#]*)"')
_ONCE = re.compile(r"[A-Za-z0-9_-]{24,}|[0-9a-f]{16}")  # nonces, forms' tokens, requests' numbers


def _crawl(pages: Pages) -> dict[str, str]:
    """Every page and file that a person who sees everything can come to, and every metric by every dimension."""
    with httpx.Client(base_url=pages.url, headers={"accept": "text/html"}, follow_redirects=True, timeout=60) as client:
        assert client.post(pages.login("ada")).status_code == 200
        found = _follow(client, [_path(route) for route in _routes(pages.app.routes)])
    return found | _ask_everything(pages)


def _path(route: APIRoute) -> str:
    """What has no value here leads to an answer too: that there is none."""
    return re.sub(r"\{(\w+)(:\w+)?\}", lambda match: PARAMETERS.get(match[1], "none"), route.path)


def _routes(routes: Sequence[object]) -> Iterator[APIRoute]:
    """FastAPI keeps a router that was included as one route."""
    for route in routes:
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()) and route.path not in NOT_FIGURES:
            yield route
        elif (included := getattr(route, "original_router", None)) is not None:
            yield from _routes(included.routes)


def _follow(client: httpx.Client, start: Sequence[str]) -> dict[str, str]:
    """Those, and what they lead to: of addresses that differ in values alone, the first."""
    found = _pages(client, start)
    kinds = {_kind(path): path for path in sorted(set(_links(found)), reverse=True)}
    return _pages(client, kinds.values()) | found


def _pages(client: httpx.Client, paths: Iterable[str]) -> dict[str, str]:
    found = {}
    for path in paths:
        if not path.startswith(SKIPPED):
            answer = client.get(path)
            assert answer.status_code < 500, path
            found[path] = _ONCE.sub("", answer.text)
    return found


def _links(pages: Mapping[str, str]) -> Iterator[str]:
    return (link.replace("&amp;", "&") for text in pages.values() for link in _HREF.findall(text))


def _kind(path: str) -> tuple[str, ...]:
    return (urlsplit(path).path, *sorted(parse_qs(urlsplit(path).query)))


def _ask_everything(pages: Pages) -> dict[str, str]:
    key = pages.keys.add("crawl", [EVERY_TENANT])
    range_ = [(TODAY - timedelta(days=3)).isoformat(), TODAY.isoformat()]
    found = {}
    with httpx.Client(base_url=pages.url, headers={"authorization": f"Bearer {key}"}, timeout=60) as client:
        for dimension in ("", *DIMENSIONS, *TIMES):
            body = {"site_id": "riverside", "date_range": range_, "dimensions": [dimension] if dimension else []}
            answer = client.post("/api/v1/query", json={**body, "metrics": list(METRICS)})
            if answer.status_code == 400:  # it says which there are by this dimension
                answer = client.post("/api/v1/query", json={**body, "metrics": answer.json()["choices"]})
            assert answer.status_code == 200, answer.text
            found[f"API by {dimension}"] = _ONCE.sub("", answer.text)
            found[f"CSV by {dimension}"] = as_csv(answer.json())
    return found


def _change_all_but_cells(pages: Pages, folder: Path) -> None:
    """Rows of people of open and of closed days; the records' counts of rows, of late and of objected ones."""
    settings = Settings(data=folder)
    records = open_records(settings.url(settings.statistics.records))
    for number, day in enumerate((TODAY, TODAY - timedelta(days=1), TODAY - timedelta(days=200))):
        people = [
            {**person, "route": "/only-here", "event": "only-here"} for person in crowd(200, first=1 + 1000 * number)
        ]
        pages.analytics.insert("events", rows("riverside", day, people))
        Days(records).seen([TenantDay("riverside", day)], pages.clock.now())
        for column in ("rows", "objected", "late"):
            Days(records).put(column, {TenantDay("riverside", day): 12_345})
    records.dispose()


def test_no_answer_depends_on_anything_but_published_cells(pages: Pages, tmp_path: Path) -> None:
    """Some hundred answers, before and after everything about people has changed in the store and the records. When a
    statement reads people, they differ."""
    before = _crawl(pages)
    assert len([place for place in before if place.startswith("/")]) > 20
    _change_all_but_cells(pages, tmp_path)
    assert _changed(before, _crawl(pages)) == set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queries, "sql", _counting_people)
        assert len(_changed(before, _ask_everything(pages))) > 10


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    return {place for place, text in after.items() if before.get(place) != text}


def _counting_people(package: str, name: str) -> str:
    """The switch: figures with the people of today among them."""
    return sql(package, name).replace("sum(value) AS total", "sum(value) + (SELECT uniq(visitor) FROM events) AS total")


def test_what_the_status_tells_is_declared() -> None:
    """Its counts are of rows and days, of all tenants together; a figure about people does not belong there."""
    told = {node.value for node in ast.walk(_function("operations.py", "status")) if isinstance(node, ast.Constant)}
    assert told & {"visitors", "accounts"} == set()
    assert {"lag", "days", "closed_through", "rows_counted", "rows_objected", "rows_late", "cells_published"} <= told


def _function(module: str, name: str) -> ast.FunctionDef:
    tree = ast.parse((STATS / module).read_text("utf-8"))
    return next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name)
