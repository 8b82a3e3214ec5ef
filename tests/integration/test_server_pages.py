"""docs/ingest/: what each server's page says is run as it stands there; one request comes in with all its fields.

Only ports, paths, and the source's name are replaced, which is each test's own here. Servers that cannot run here
have their pages' commands run on the fixtures of their formats.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.formats import reading
from tests.parts.pages import block, blocks, commands, replaced
from tests.parts.processes import free_ports
from tests.parts.webservers.edge import Edge, running_edge
from tests.parts.webservers.pasted import PAGES, Page, Place, until

pytestmark = [pytest.mark.servers, pytest.mark.senders]

AGENT, REFERRER, HOST = "Mozilla/5.0 (X11; Linux x86_64)", "https://www.example.org/found", "www.chess.example"


@dataclass(frozen=True, slots=True)
class OnFixture:
    """A way of a page whose server does not run here: its commands on lines of tests/fixtures/formats/."""

    name: str
    way: str
    fixture: str
    file: str
    does: Sequence[str] = ("declare", "test", "import")

    @property
    def source(self) -> str:
        return f"{self.name.removesuffix('.md')}-{self.way.replace('_', '-')}"


ON_FIXTURES = [
    OnFixture("iis.md", "w3c", "iis_w3c-documented", "u_ex261102.log"),
    OnFixture("traefik.md", "json", "traefik_json-documented", "access.log", does=("declare", "import")),
    OnFixture("traefik.md", "clf", "traefik_clf-documented", "access.log", does=("test",)),
    OnFixture("envoy.md", "text", "envoy-documented", "access.log"),
    OnFixture("envoy.md", "json", "custom-envoy-json", "access.log", does=("declare", "import")),
    *(
        OnFixture("aws.md", name, f"{name}-documented", "access.log.gz")
        for name in ("aws_alb", "aws_elb", "cloudfront", "s3_access")
    ),
]


@pytest.fixture(scope="module")
def ports() -> Mapping[str, int]:
    """Of syslog, one for each way that has it."""
    by_network = [page.source for page in PAGES if not page.log]
    return dict(zip(by_network, free_ports(len(by_network)), strict=True))


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, ports: Mapping[str, int]) -> Iterator[Edge]:
    """One ingest for all pages: its voile.toml is theirs, one after the other."""
    by_network = [page for page in PAGES if not page.log]
    config = "\n".join(_rule(page, ports[page.source]) for page in by_network)
    declare = [_declare(page) for page in by_network]
    with running_edge(tmp_path_factory.mktemp("voile"), config, declare) as running:
        yield running


def _rule(page: Page, port: int) -> str:
    found = block(page.name, "toml", way=page.declared or page.way, file="voile.toml")
    return replaced(found, {"chess-web": page.source, "127.0.0.1:5514": f"127.0.0.1:{port}"})


def _declare(page: Page) -> Sequence[str]:
    return _command(page, "declare", {"chess-web": page.source})


def _command(page: Page | OnFixture, do: str, changes: Mapping[str, str]) -> Sequence[str]:
    """The one command of a block of shell, without the word `voile`."""
    way = getattr(page, "declared", "") or page.way
    shared = page.name == "python.md" and do == "import"
    found = block(page.name, "sh", way="any" if shared else way, do=do)
    if page.name == "python.md":
        changes = {"chess-app" if old == "chess-web" else old: new for old, new in changes.items()}
    ((program, *words),) = commands(replaced(found, changes))
    assert program == "voile"
    return words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.source)
def test_a_request_comes_in_as_the_page_says(edge: Edge, ports: Mapping[str, int], tmp_path: Path, page: Page) -> None:
    """Exactly one access, with every field that this way has."""
    place = Place(tmp_path / "server", ports.get(page.source, 0))
    with page.run(page, place) as port:
        size = _ask(port)
        if page.log:
            log = place.folder / Path(page.log).name
            until(lambda: b"page-3" in log.read_bytes())
            take = _command(page, "import", {"chess-web": page.source, page.log: str(log)})
            edge.made.each([_declare(page), take], at_once=1)
        (row,) = edge.until_taken(page.source, 1).to_dicts()
    _complete(row, page, size)


def _ask(port: int) -> int:
    """One request, with what may be logged of it; the size of the answer's body."""
    headers = {"Host": HOST, "User-Agent": AGENT, "Referer": f"{REFERRER}?q=a"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/page-3.txt?token=s3cret", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200
        return len(answer.read())


def _complete(row: Mapping[str, Any], page: Page, size: int) -> None:
    asked = {
        "client_address": "127.0.0.1",
        "method": "GET",
        "path": "/page-3.txt",
        "status": 200,
        "host": HOST,
        "user_agent": AGENT,
        "referrer": REFERRER,
    }
    wanted = {name: value for name, value in asked.items() if name not in page.lacks}
    assert {name: row[name] for name in wanted} == wanted
    for name in page.lacks:
        assert row[name] is None, f"the page's table or test says that there is no {name}"
    assert "response_bytes" in page.lacks or row["response_bytes"] >= size  # some count the head too
    assert "duration_ms" in page.lacks or 0 <= row["duration_ms"] < 5000
    assert abs((row["timestamp"] - row["received_at"]).total_seconds()) < 30
    assert row["site"] == HOST or row["host"] == HOST


@pytest.mark.parametrize("lost", ["user_agent", "response_bytes"])
def test_an_incomplete_access_is_noticed(lost: str) -> None:
    """The switch: a field that the server did not log fails the page."""
    stamp = datetime(2026, 11, 23, 12)
    row = {"client_address": "127.0.0.1", "method": "GET", "path": "/page-3.txt", "status": 200, "host": HOST}
    row |= {"user_agent": AGENT, "referrer": REFERRER, "response_bytes": 10, "duration_ms": 1, "site": HOST}
    row |= {"timestamp": stamp, "received_at": stamp}
    page = next(page for page in PAGES if page.source == "nginx-json")
    _complete(row, page, 10)
    with pytest.raises((AssertionError, TypeError)):
        _complete(row | {lost: None}, page, 10)


@pytest.mark.parametrize("page", ON_FIXTURES, ids=lambda page: page.source)
def test_a_page_whose_server_does_not_run_here(edge: Edge, tmp_path: Path, page: OnFixture) -> None:
    """Its commands, on the well-formed lines of its format's fixture: all are accepted, with their statuses."""
    edge.made.each(list(_commands(page, tmp_path / page.file)), at_once=1)
    if "import" in page.does:
        assert edge.rows(page.source)["status"].to_list() == _statuses(page.fixture) != []


def _commands(page: OnFixture, file: Path) -> Iterator[Sequence[str]]:
    text = b"".join(line + b"\n" for line, _ in _well_formed(page.fixture))
    file.write_bytes(gzip.compress(text) if file.suffix == ".gz" else text)
    source, path = {"chess-web": page.source}, {page.file: str(file)}
    for do in page.does:
        yield _command(page, do, {"declare": source, "test": path, "import": source | path}[do])


def _statuses(name: str) -> Sequence[int | None]:
    said = [fields.get("status") for _, fields in _well_formed(name) if fields]
    return [int(status) if status else None for status in said]


def _well_formed(name: str) -> Iterator[tuple[bytes, Mapping[str, Any]]]:
    """Lines, each with the fields it must give; a directive has none."""
    expected = iter(reading.expected(name))
    for line in reading.lines_of(name).splitlines():
        if line.startswith(b"#"):
            yield line, {}
        elif "reject" not in (fields := next(expected)):
            yield line, fields


def test_no_block_is_left_out() -> None:
    """Each block of each page is part of a way that is run; Envoy's own configuration alone is not."""
    run = {(p.name, p.way) for p in PAGES} | {(p.name, p.way) for p in ON_FIXTURES} | {("python.md", "any")}
    found = {(name, b.said.get("way", "")) for name in sorted({page for page, _ in run}) for b in blocks(name)}
    assert found - run == {("envoy.md", "")}


def test_a_page_cannot_drift_from_its_test() -> None:
    """What is to be replaced and is not there any more fails."""
    found = block("caddy.md", "caddyfile", way="syslog")
    assert "127.0.0.1:9" in replaced(found, {"127.0.0.1:5514": "127.0.0.1:9"})
    with pytest.raises(AssertionError, match="5515"):
        replaced(found, {"127.0.0.1:5515": "127.0.0.1:9"})
