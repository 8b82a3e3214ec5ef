"""The servers as their pages in docs/ingest/ say: each page's blocks pasted into a real server, that then runs."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.parts.pages import Block, block, blocks, replaced
from tests.parts.processes import find_program, free_ports
from tests.parts.webservers.apache import apache
from tests.parts.webservers.caddy import caddy
from tests.parts.webservers.haproxy import haproxy
from tests.parts.webservers.nginx import nginx
from tests.parts.webservers.program import serving

__all__ = ["PAGES", "Page", "Place", "until"]

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
            until(socket.exists)
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
]


def until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WRITTEN_S_MAX
    while True:
        with contextlib.suppress(FileNotFoundError):
            if met():
                return
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.05)
