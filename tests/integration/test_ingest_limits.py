"""What a hostile sender costs, over the real code in a process of its own and over a real server with real sockets."""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from services.ingest.receivers import arrivals
from services.ingest.receivers.arrivals import Arrivals
from services.runtime.web import server
from tests.parts.edge import combined, text_of
from tests.parts.ingest_site import Site, running

BOMB_BYTES_MAX = 64 * 1024 * 1024
BOMB_S_MAX = 0.2
SLOW = 1000  # senders, more than the server has places
GOOD_LINES = 400  # more bytes than one slow body holds, so that it finds room only where some is made
SOON_S_MAX = 60.0
GOOD_S_MAX = 30.0  # a shared machine is slow at times; without the mechanism it is never, or refused at once

BOMBS = [
    *((kind, encoding) for kind in ("zeros", "gzip in gzip", "empty members") for encoding in ("gzip", "zstd")),
    *(("zeros", "deflate"), ("gzip in gzip", "deflate")),
    # What grows no more than is allowed: as if it came as it is.
    *((kind, "") for kind in ("line ends", "one long line", "deep JSON", "JSON of numbers", "JSON of lists")),
    *((kind, "") for kind in ("a line of lists", "deep msgpack", "a list of msgpack lists")),
    *((kind, "") for kind in ("empty resources", "empty scopes", "empty attributes", "JSON of resources")),
]


@pytest.mark.parametrize(("kind", "encoding"), BOMBS)
def test_a_bomb_costs_64_mb_and_200_ms_at_most(kind: str, encoding: str) -> None:
    """Peak resident memory beyond what the process held before, and CPU time; from unpacking to the last step."""
    command = [sys.executable, "-m", "tests.parts.bomb_process", kind, encoding]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    cost = json.loads(done.stdout)
    assert cost["bytes"] < BOMB_BYTES_MAX
    assert cost["cpu_s"] < BOMB_S_MAX


def _head(site: Site, size: int) -> bytes:
    auth = site.client.headers["authorization"]
    lines = ("POST /api/v1/ingest/web HTTP/1.1", "Host: x", f"Authorization: {auth}", "Content-Type: text/plain")
    return "\r\n".join((*lines, f"Content-Length: {size}", "", "")).encode()


@contextlib.contextmanager
def _slow(site: Site, sent: bytes, count: int = SLOW) -> Iterator[list[socket.socket]]:
    """Many connections on which `sent` came, and then nothing more."""
    address = (site.client.base_url.host, site.client.base_url.port or 0)
    with contextlib.ExitStack() as opened:
        found = []
        for _ in range(count):
            connection = opened.enter_context(socket.create_connection(address))
            with contextlib.suppress(OSError):  # it was closed to make place
                connection.sendall(sent)
            found.append(connection)
        yield found


def _closed(connections: list[socket.socket]) -> int:
    """How many the server has closed or answered."""
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
        return len(selector.select(timeout=0))


def _good(site: Site, bodies: int = 5) -> list[int]:
    """Statuses of a sender with a new connection for each of some bodies."""
    found = []
    begun = time.monotonic()
    for n in range(bodies):
        answer = httpx.post(
            f"{site.client.base_url}/api/v1/ingest/web",
            content=text_of([combined(1000 * n + m) for m in range(GOOD_LINES)]),
            headers={"authorization": site.client.headers["authorization"], "content-type": "text/plain"},
            timeout=GOOD_S_MAX,
        )
        found.append(answer.status_code)
    assert time.monotonic() - begun < GOOD_S_MAX
    return found


def _soon(holds: Callable[[], bool]) -> bool:
    """What was sent is not yet what the server has read, on a slow machine least of all."""
    deadline = time.monotonic() + SOON_S_MAX
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _as_uvicorn_would(app: Any) -> uvicorn.Config:
    """The switch: nobody is closed to make place, whoever comes late is refused."""
    return uvicorn.Config(
        app, ws="none", lifespan="off", access_log=False, log_config=None, limit_concurrency=server.CONNECTIONS_MAX
    )


@pytest.mark.parametrize("mended", [True, False])
def test_slow_heads_do_not_stop_a_good_sender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mended: bool) -> None:
    """A thousand of them have more connections than there are places; without the mechanism it is refused."""
    if not mended:
        monkeypatch.setattr(server, "_config", _as_uvicorn_would)
    with running(tmp_path) as site, _slow(site, _head(site, 10)[:60]) as slow:
        assert _good(site) == [200 if mended else 503] * 5
        if mended:
            assert _soon(lambda: _closed(slow) >= SLOW - server.CONNECTIONS_MAX)
        else:
            assert _closed(slow) == 0


@pytest.mark.parametrize("mended", [True, False])
def test_slow_bodies_do_not_stop_a_good_sender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mended: bool) -> None:
    """They hold what they have sent; the oldest is dropped for the newest. Without the mechanism it is refused."""
    monkeypatch.setattr(arrivals, "BYTES_HELD_MAX", 10 * 1024 * 1024)
    if not mended:
        monkeypatch.setattr(Arrivals, "_oldest", lambda *_: None)
    count = SLOW if mended else server.CONNECTIONS_MAX - 100  # else some are closed for their number
    with running(tmp_path) as site, _slow(site, _head(site, 50_000) + b"x" * 20_000, count) as slow:
        if not mended:
            room_for = arrivals.BYTES_HELD_MAX // 20_000
            assert _soon(lambda: _closed(slow) >= count - room_for)
        assert _good(site) == [200 if mended else 503] * 5


def test_a_head_that_never_ends_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when a byte comes now and then."""
    monkeypatch.setattr(server, "HEADERS_S_MAX", 0.5)
    with (
        running(tmp_path) as site,
        socket.create_connection((site.client.base_url.host, site.client.base_url.port or 0)) as slow,
    ):
        slow.sendall(b"POST /v1/logs HTTP/1.1\r\nX-Slow: ")
        begun = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - begun < GOOD_S_MAX:
                slow.sendall(b"x")
                time.sleep(0.1)
        assert time.monotonic() - begun < GOOD_S_MAX / 2


def test_a_body_that_nobody_reads_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a 401 a sender cannot hold the connection by dripping the rest."""
    monkeypatch.setattr(server, "MESSAGE_S_MAX", 0.5)
    with (
        running(tmp_path) as site,
        socket.create_connection((site.client.base_url.host, site.client.base_url.port or 0)) as slow,
    ):
        slow.sendall(b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        assert slow.recv(1000).startswith(b"HTTP/1.1 401")
        begun = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - begun < GOOD_S_MAX:
                slow.sendall(b"x")
                time.sleep(0.1)
        assert time.monotonic() - begun < GOOD_S_MAX / 2


def test_bodies_held_are_forgotten_when_they_are_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many times what may be held at once, one after the other; and a refused one leaves nothing behind either."""
    monkeypatch.setattr(arrivals, "BYTES_HELD_MAX", 4096)
    with running(tmp_path, body_bytes_max=2048) as site:
        for _ in range(10):
            assert site.send(text_of([combined(n) for n in range(5)])).status_code == 200
            assert site.send(b"x" * 2049).status_code == 413
