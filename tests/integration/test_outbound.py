"""Sending to addresses that others chose, over real sockets and TLS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.runtime.web import outbound
from services.runtime.web.outbound import NotSent, Sender
from tests.parts.tls_server import TlsServer, tls_server

NAME = "hooks.example"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TlsServer]:
    with tls_server(tmp_path, NAME) as running:
        yield running


def here(server: TlsServer) -> Sender:
    """For which this machine is a public address."""
    return Sender(lambda *_: ["127.0.0.1"], lambda _: True, server.trusted)


def test_what_is_sent_arrives_under_its_name(server: TlsServer) -> None:
    """The certificate is checked for the name, although the connection goes to an address."""
    assert here(server).post(f"https://{NAME}:{server.port}/x?y=1", b"{}", {"x-a": "b"}) == 202
    (got,) = server.received
    assert (got.path, got.body, got.headers["x-a"]) == ("/x?y=1", b"{}", "b")
    assert got.headers["host"] == f"{NAME}:{server.port}"


def test_the_connection_goes_to_what_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not to what the name points to a moment later; the name stands in TLS and in the request alone."""
    asked: list[httpx.Request] = []

    async def handle(_transport: object, request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(302, headers={"location": "http://127.0.0.1/"})

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle)
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    assert Sender(lambda *_: next(answers)).post("https://hooks.example:8443/x?y=1#z", b"{}", {"x-a": "b"}) == 302
    (request,) = asked
    assert str(request.url) == "https://93.184.216.34:8443/x?y=1"
    assert request.headers["host"] == "hooks.example:8443"
    assert request.extensions["sni_hostname"] == "hooks.example"


def test_a_certificate_of_another_name_is_refused(server: TlsServer) -> None:
    """Whoever answers at the address must be who was named."""
    with pytest.raises(NotSent):
        here(server).post(f"https://other.example:{server.port}/", b"{}", {})
    assert server.received == []


def test_a_redirect_is_not_followed(server: TlsServer) -> None:
    """It could lead to where the check would have refused."""
    server.answers.append(302)
    assert here(server).post(f"https://{NAME}:{server.port}/", b"{}", {}) == 302
    assert len(server.received) == 1


def test_an_answer_that_drips_is_given_up(server: TlsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then would hold who sends for as long as the other side likes."""
    monkeypatch.setattr(outbound, "TIMEOUT_S", 0.5)
    server.drip_s = 0.1
    started = time.monotonic()
    with pytest.raises(NotSent, match="TimeoutError"):
        here(server).post(f"https://{NAME}:{server.port}/", b"{}", {})
    assert time.monotonic() - started < 5


def test_this_machine_is_not_reached_unless_the_test_says_so(server: TlsServer) -> None:
    """In every spelling that resolvers take; the server, which listens there, hears nothing."""
    for host in ("127.0.0.1", "127.1", "0x7f000001", "2130706433", "[::1]", "localhost"):
        with pytest.raises(NotSent):
            Sender(trusted=server.trusted).post(f"https://{host}:{server.port}/", b"{}", {})
    assert server.received == []
