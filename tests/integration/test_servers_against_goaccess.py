"""Real servers under load: what Voile accepts of their logs, by file and by network, is what GoAccess counts in them.

Compared are the accepted accesses, before anything is disclosed or rounded: requests and bytes of each status.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from tests.parts.edge import opened, published
from tests.parts.processes import free_ports
from tests.parts.webservers.apache import apache
from tests.parts.webservers.caddy import caddy
from tests.parts.webservers.edge import TENANT, Edge, running_edge
from tests.parts.webservers.goaccess import Count, Report, goaccess
from tests.parts.webservers.haproxy import haproxy
from tests.parts.webservers.load import Answers, DatagramQueue, load
from tests.parts.webservers.nginx import nginx

REQUESTS = 8_000
WRITTEN_S_MAX = 20
CAPTURED = Path(__file__).parents[1] / "fixtures" / "nginx-combined-1000.log"

pytestmark = [pytest.mark.servers, pytest.mark.senders]


@dataclass(frozen=True, slots=True)
class Server:
    """`run(folder, port of syslog)` logs to `log` in the folder and to the port. `goaccess`: how GoAccess reads it.
    `paced`: by UDP, where what comes too fast is lost."""

    run: Callable[[Path, int], AbstractContextManager[int]]
    log: str
    format: str
    goaccess: Sequence[str]
    paced: bool = False
    logs_malformed: bool = True


def _nginx(folder: Path, port: int) -> AbstractContextManager[int]:
    """It sends syslog by UDP alone."""
    sends = f"access_log syslog:server=127.0.0.1:{port},tag=nginx,nohostname combined;"
    return nginx(folder, f"access_log {folder}/access.log combined; {sends}", "if_modified_since before;")


def _apache(folder: Path, port: int) -> AbstractContextManager[int]:
    """It sends nothing itself, but pipes lines to a program."""
    logger = f"/usr/bin/logger --server 127.0.0.1 --port {port} --tcp --octet-count --size 65535 --tag apache"
    return apache(folder, f'CustomLog {folder}/access.log combined\nCustomLog "|{logger}" combined')


def _haproxy(folder: Path, port: int) -> AbstractContextManager[int]:
    """To its standard output, as in a container, and by TCP from a ring in its memory. One thread, so that no two
    write to the standard output at once: with two, a line of 8 210 was once missing there; why is not proved."""
    return haproxy(
        folder,
        of_global="nbthread 1\nlog stdout format raw local0\nlog ring@voile len 65535 local0",
        sections=f"ring voile\nformat rfc5424\nmaxlen 65535\nsize 8388608\ntimeout connect 5s\ntimeout server 10s\n"
        f"server voile 127.0.0.1:{port} log-proto octet-count",
        of_frontend="log global\noption httplog",
    )


def _caddy(folder: Path, port: int) -> AbstractContextManager[int]:
    """By TCP, a line of JSON each, without any header of syslog."""
    also = f"log voile {{\noutput net 127.0.0.1:{port}\nformat json\ninclude http.log.access\n}}"
    return caddy(folder, f"log {{\noutput file {folder}/access.log\n}}", also)


_HTTPLOG = (  # its %b is HAProxy's %B, which counts headers too; so does Voile, which calls all of them response bytes
    '--log-format=%h:%^ [%d:%t.%^] %^ %^ %^/%^/%^/%^/%L %s %b %^ "%r"',
    "--date-format=%d/%b/%Y",
    "--time-format=%H:%M:%S",
)
SERVERS: Mapping[str, Server] = {
    "nginx": Server(_nginx, "access.log", "combined", ["--log-format=COMBINED"], paced=True),
    "apache": Server(_apache, "access.log", "combined", ["--log-format=COMBINED"]),
    "haproxy": Server(_haproxy, "haproxy.out", "haproxy_http", _HTTPLOG),
    # Go's server answers what is no HTTP by itself: no handler of Caddy's, and so no log, ever sees it.
    "caddy": Server(_caddy, "access.log", "caddy", ["--log-format=CADDY"], logs_malformed=False),
}


@pytest.fixture(scope="module")
def ports() -> Mapping[str, int]:
    """Of syslog, one for each server."""
    return dict(zip(SERVERS, free_ports(len(SERVERS)), strict=True))


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, ports: Mapping[str, int]) -> Iterator[Edge]:
    """A source for each server and way."""
    rules = [f'[[ingest.syslog]]\nsource = "{n}-network"\nlisten = "127.0.0.1:{port}"\n' for n, port in ports.items()]
    declare = [
        ["source", "add", f"{name}-{way}", "--tenant", TENANT, "--format", server.format]
        for name, server in SERVERS.items()
        for way in ("file", "network")
    ]
    with running_edge(tmp_path_factory.mktemp("voile"), "".join(rules), declare) as running:
        yield running


@pytest.mark.parametrize("name", SERVERS)
def test_totals_are_those_of_goaccess(edge: Edge, ports: Mapping[str, int], tmp_path: Path, name: str) -> None:
    """By status: requests and bytes, and the requests are those that clients saw answered."""
    server, folder = SERVERS[name], tmp_path / name
    queue = DatagramQueue(port := ports[name])
    with server.run(folder, port) as listening, _taking(edge, name, folder / server.log):
        answers = load(listening, REQUESTS, seed=len(name), wait=queue.wait if server.paced else lambda: None)
        lines = _until_written(folder / server.log, _logged(server, answers))
        by_network = edge.until_taken(f"{name}-network", lines)
    assert not server.paced or queue.lost() == 0, "the kernel dropped datagrams: pace the load more"
    report = goaccess(folder / server.log, *server.goaccess)
    _agree(report, answers, server)
    _same(report, by_network)
    _same(report, edge.rows(f"{name}-file"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[text.index(b"\n") + 1 :],
        lambda text: text.replace(b'" 200 ', b'" 201 ', 1),
        lambda text: text.replace(b'" 200 ', b'" 200 1', 1),
        lambda text: text + text[: text.index(b"\n") + 1],
    ],
    ids=["a line lost", "another status", "other bytes", "a line twice"],
)
def test_the_comparison_notices(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    """Of a thousand lines one is spoiled on its way to Voile: it fails then, and without that it does not."""
    report = goaccess(CAPTURED, "--log-format=COMBINED")
    spoiled = tmp_path / "spoiled.log"
    spoiled.write_bytes(spoil(CAPTURED.read_bytes()))
    with opened(tmp_path / "whole") as ingest:
        ingest.import_file(CAPTURED, "web")
        _same(report, published(ingest.log))
    with opened(tmp_path / "data") as ingest:
        ingest.import_file(spoiled, "web")
        with pytest.raises(AssertionError, match="by status"):
            _same(report, published(ingest.log))


def _same(report: Report, rows: pl.DataFrame) -> None:
    counted = rows.group_by("status").agg(pl.len(), pl.col("response_bytes").sum()).sort("status")
    by_status = {status: Count(requests, sent) for status, requests, sent in counted.iter_rows()}
    assert by_status == report.by_status, "by status, Voile and GoAccess differ"
    assert (rows.height, rows["response_bytes"].sum()) == (report.requests, report.bytes)


def _agree(report: Report, answers: Answers, server: Server) -> None:
    """GoAccess read every line, and they are the requests that were made."""
    assert report.failed == 0
    assert report.requests == _logged(server, answers)
    malformed = answers.malformed if server.logs_malformed else 0
    for status in set(report.by_status) | set(answers.statuses):
        seen = answers.statuses[status] + (malformed if status == 400 else 0)
        assert report.by_status[status].requests == seen, f"status {status}"
    assert len(report.by_status) >= 8


def _logged(server: Server, answers: Answers) -> int:
    return sum(answers.statuses.values()) + (answers.malformed if server.logs_malformed else 0)


def _until_written(log: Path, count: int) -> int:
    """Its lines; a server may write one a moment after the answer."""
    deadline = time.monotonic() + WRITTEN_S_MAX
    while (found := log.read_bytes().count(b"\n")) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found == count, f"{log.name} has {found} lines of {count} requests"
    return found


@contextlib.contextmanager
def _taking(edge: Edge, name: str, log: Path) -> Iterator[None]:
    """The file goes in: nginx's is followed while it grows, the others are imported at the end."""
    source = f"{name}-file"
    if name == "nginx":
        with _followed(edge, source, log):
            yield
            edge.until_taken(source, log.read_bytes().count(b"\n"))
    else:
        yield
        summary = edge.made.json("import", str(log), "--source", source)
        assert summary["accepted"] == summary["lines"]


@contextlib.contextmanager
def _followed(edge: Edge, source: str, log: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "services.cli.main", "import", "--follow", str(log), "--source", source, "--json"]
    process = subprocess.Popen(command, env={**os.environ, **edge.made.env}, stdout=subprocess.PIPE)
    try:
        yield
        process.send_signal(signal.SIGTERM)
        summary = json.loads(process.communicate(timeout=20)[0])
        assert summary["accepted"] == summary["lines"], summary
    finally:
        process.kill()
        process.communicate()
