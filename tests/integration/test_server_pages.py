"""docs/ingest/: what each server's page says is run as it stands there; one request comes in with all its fields.

Only ports, paths, and the source's name are replaced, which is each test's own here. Servers that cannot run here
have their pages' commands run on the fixtures of their formats.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.formats import reading
from tests.parts.pages import Block, block, blocks, commands, replaced
from tests.parts.processes import find_program, free_ports
from tests.parts.webservers.apache import apache
from tests.parts.webservers.caddy import caddy
from tests.parts.webservers.edge import Edge, running_edge
from tests.parts.webservers.haproxy import haproxy
from tests.parts.webservers.nginx import nginx
from tests.parts.webservers.program import serving

pytestmark = [pytest.mark.servers, pytest.mark.senders]

AGENT, REFERRER, HOST = "Mozilla/5.0 (X11; Linux x86_64)", "https://www.example.org/found", "www.chess.example"
WRITTEN_S_MAX = 20
PROGRAMS = Path(sys.executable).parent  # where pip puts servers


@dataclass(frozen=True, slots=True)
class Place:
    """Where one test runs: `syslog` is the port of its source's own, `folder` stands for the page's folders."""

    folder: Path
    syslog: int


Run = Callable[["Page", Place], AbstractContextManager[int]]


@dataclass(frozen=True, slots=True)
class Page:
    """One way of a page. `log`: the file that it imports, as the page names it; empty: it comes by syslog.
    `lacks`: the fields that such a line does not have. `declared`: another way whose source this one's is."""

    name: str
    way: str
    run: Run
    log: str = ""
    lacks: Sequence[str] = ()
    declared: str = ""

    @property
    def source(self) -> str:
        return f"{self.name.removesuffix('.md')}-{self.way}"

    def block(self, language: str, **said: str) -> Block:
        return block(self.name, language, way=self.way, **said)


# --- the servers, as their pages say ------------------------------------------------------------------------------


def _nginx(page: Page, place: Place) -> AbstractContextManager[int]:
    if page.way == "file":  # nothing to paste: this is Debian's nginx.conf
        return nginx(place.folder, f"access_log {place.folder}/access.log;")
    return nginx(place.folder, _pasted(page, "nginx", place))


def _apache(page: Page, place: Place) -> AbstractContextManager[int]:
    return apache(place.folder, _pasted(page, "apache", place))


def _caddy(page: Page, place: Place) -> AbstractContextManager[int]:
    return caddy(place.folder, _pasted(page, "caddyfile", place))


def _caddy_both(page: Page, place: Place) -> AbstractContextManager[int]:
    """The second log beside the file's."""
    file = replaced(block(page.name, "caddyfile", way="file"), {"/var/log/caddy": str(place.folder)})
    return caddy(place.folder, file, _pasted(page, "caddyfile", place))


@contextlib.contextmanager
def _haproxy(page: Page, place: Place) -> Iterator[int]:
    frontend = page.block("haproxy", part="frontend").text
    with contextlib.ExitStack() as opened:
        if page.way == "file":
            socket = opened.enter_context(_rsyslog(page, place))
            sections = replaced(page.block("haproxy", part="global"), {"/dev/log": socket})
        else:
            sections = _with_port(page.block("haproxy", part="global"), place)
        yield opened.enter_context(haproxy(place.folder, sections=sections, of_frontend=frontend))


@contextlib.contextmanager
def _rsyslog(page: Page, place: Place) -> Iterator[str]:
    """It listens to a socket as /dev/log is one; its name."""
    with tempfile.TemporaryDirectory() as name:  # a socket's path has 107 characters at most
        socket = Path(name) / "log"
        changes = {"/var/lib/haproxy/dev/log": str(socket), "/var/log": str(place.folder)}
        config = Path(name) / "rsyslog.conf"
        loads = f'global(workDirectory="{name}")\nmodule(load="imuxsock" SysSock.Use="off")\n'
        config.write_text(loads + replaced(page.block("rsyslog"), changes))
        program = str(find_program("rsyslogd"))
        process = subprocess.Popen([program, "-n", "-f", str(config), "-i", f"{name}/pid"])
        try:
            _until(socket.exists)
            yield str(socket)
        finally:
            process.terminate()
            process.wait(10)


_APP = """
def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"hello\\n"]

async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
    await send({"type": "http.response.body", "body": b"hello\\n"})
"""


@contextlib.contextmanager
def _python(page: Page, place: Place) -> Iterator[int]:
    """Its files of configuration beside the application, and the command of the page."""
    place.folder.mkdir()
    (place.folder / "app.py").write_text(_APP)
    for one in blocks(page.name):
        if one.said.get("way") == page.way and "file" in one.said:
            (place.folder / one.said["file"]).write_text(replaced(one, {"/var/log/app": str(place.folder)}))
    (port,) = free_ports(1)
    serve = page.block("sh", do="serve")
    changes = {"8000": str(port)} | ({"/var/log/app": str(place.folder)} if "/var/log/app" in serve.text else {})
    env = {**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "HOME": str(place.folder)}
    command = ["sh", "-c", f"exec {replaced(serve, changes)}"]
    with serving(command, port, env=env, folder=place.folder, out=place.folder / "server.out"):
        yield port


@contextlib.contextmanager
def _traefik(page: Page, place: Place) -> Iterator[int]:
    """Before Caddy, by a route that any host takes."""
    port, own = free_ports(2)
    place.folder.mkdir()
    pasted = replaced(block(page.name, "yaml"), {"/var/log/traefik": str(place.folder)})
    routes = place.folder / "routes.yml"
    static = f'{pasted}\nentryPoints: {{web: {{address: "127.0.0.1:{port}"}}, traefik: {{address: "127.0.0.1:{own}"}}}}\napi: {{insecure: true}}\n'
    static += (
        f"providers: {{file: {{filename: {routes}}}}}\nglobal: {{checkNewVersion: false, sendAnonymousUsage: false}}\n"
    )
    (place.folder / "traefik.yml").write_text(static)
    with caddy(place.folder / "behind", "") as behind:
        routes.write_text(
            'http: {routers: {all: {rule: "PathPrefix(`/`)", service: behind}}, '
            f'services: {{behind: {{loadBalancer: {{servers: [{{url: "http://127.0.0.1:{behind}"}}]}}}}}}}}\n'
        )
        command: list[str | Path] = [PROGRAMS / "traefik", f"--configFile={place.folder}/traefik.yml"]
        with serving(command, port, out=place.folder / "traefik.out"):
            _until(lambda: _answers(own, "/api/http/routers/all@file"))
            yield port


def _answers(port: int, path: str) -> bool:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path)
        return connection.getresponse().status == 200


def _pasted(page: Page, language: str, place: Place) -> str:
    """A block with the test's own port, or its own folder for the page's."""
    found = page.block(language)
    return replaced(found, {str(Path(page.log).parent): str(place.folder)}) if page.log else _with_port(found, place)


def _with_port(found: Block, place: Place) -> str:
    old = "--port 5514" if "--port 5514" in found.text else "127.0.0.1:5514"
    return replaced(found, {old: old.replace("5514", str(place.syslog))})


_HTTPLOG_LACKS = ("host", "user_agent", "referrer")
PAGES = [
    Page("nginx.md", "file", _nginx, "/var/log/nginx/access.log", lacks=("host", "duration_ms")),
    Page("nginx.md", "json", _nginx, "/var/log/nginx/voile.log"),
    Page("nginx.md", "syslog", _nginx),
    Page("apache.md", "file", _apache, "/var/log/apache2/access.log", lacks=("host", "duration_ms")),
    Page("apache.md", "syslog", _apache),
    Page("haproxy.md", "file", _haproxy, "/var/log/haproxy.log", lacks=_HTTPLOG_LACKS),
    Page("haproxy.md", "syslog", _haproxy),
    Page("caddy.md", "file", _caddy, "/var/log/caddy/access.log"),
    Page("caddy.md", "syslog", _caddy),
    Page("caddy.md", "both", _caddy_both, declared="syslog"),
    Page("python.md", "gunicorn", _python, "/var/log/app/access.log"),
    Page("python.md", "hypercorn", _python, "/var/log/app/access.log"),
    Page(
        "python.md",
        "granian",
        _python,
        "/var/log/app/access.log",
        lacks=("host", "user_agent", "referrer", "response_bytes"),
    ),
    Page(
        "python.md",
        "uvicorn",
        _python,
        "/var/log/app/access.log",
        lacks=("host", "user_agent", "referrer", "response_bytes", "duration_ms"),
    ),
    Page("traefik.md", "json", _traefik, "/var/log/traefik/access.log"),
]


# --- what they are held to ----------------------------------------------------------------------------------------


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
    way = page.declared or page.way if isinstance(page, Page) else page.way
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
            _until(lambda: b"page-3" in log.read_bytes())
            take = _command(page, "import", {"chess-web": page.source, page.log: str(log)})
            edge.made.each([_declare(page), take])
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


def _until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WRITTEN_S_MAX
    while True:
        with contextlib.suppress(FileNotFoundError):
            if met():
                return
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.05)


@pytest.mark.parametrize("lost", ["user_agent", "response_bytes"])
def test_an_incomplete_access_is_noticed(lost: str) -> None:
    """The switch: a field that the server did not log fails the page."""
    stamp = datetime(2026, 11, 23, 12)
    row = {"client_address": "127.0.0.1", "method": "GET", "path": "/page-3.txt", "status": 200, "host": HOST}
    row |= {"user_agent": AGENT, "referrer": REFERRER, "response_bytes": 10, "duration_ms": 1, "site": HOST}
    row |= {"timestamp": stamp, "received_at": stamp}
    page = Page("nginx.md", "json", _nginx)
    _complete(row, page, 10)
    with pytest.raises((AssertionError, TypeError)):
        _complete(row | {lost: None}, page, 10)


@pytest.mark.parametrize("page", ON_FIXTURES, ids=lambda page: page.source)
def test_a_page_whose_server_does_not_run_here(edge: Edge, tmp_path: Path, page: OnFixture) -> None:
    """Its commands, on the well-formed lines of its format's fixture: all are accepted, with their statuses."""
    edge.made.each(list(_commands(page, tmp_path / page.file)))
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
    run = {(page.name, page.way) for page in (*PAGES, *ON_FIXTURES)} | {("python.md", "any")}
    found = {(name, b.said.get("way", "")) for name in sorted({page for page, _ in run}) for b in blocks(name)}
    assert found - run == {("envoy.md", "")}


def test_a_page_cannot_drift_from_its_test() -> None:
    """What is to be replaced and is not there any more fails."""
    found = block("caddy.md", "caddyfile", way="syslog")
    assert "127.0.0.1:9" in replaced(found, {"127.0.0.1:5514": "127.0.0.1:9"})
    with pytest.raises(AssertionError, match="5515"):
        replaced(found, {"127.0.0.1:5515": "127.0.0.1:9"})
