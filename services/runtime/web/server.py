"""The web server of a plane: uvicorn in a thread, with deadlines, bound before anybody is told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.runtime.errors import Fatal
from services.runtime.stop import DRAIN_S_MAX

__all__ = ["serving"]

HEADERS_S_MAX = 10.0  # uvicorn alone waits for ever for a head that comes byte by byte
MESSAGE_S_MAX = 40.0  # for what nobody reads, such as the body after a refusal; above every route's own term
KEEP_ALIVE_S = 20
CONNECTIONS_MAX = 800  # below the usual 1024 open files of a process, which stores and logs need too
BACKLOG = 1024  # of connections that wait to be accepted: a burst of slow senders must not fill it
_START_S_MAX = 30.0


def _impatient_protocol() -> type[HttpToolsProtocol]:
    """uvicorn's protocol, for one server. It closes a connection whose request is not complete in time; and, when
    there are too many, the one that has been waiting longest for the rest of a request or for the next one, so
    that those who say nothing cannot keep out those who do. A request that is complete is always answered."""
    waiting: dict[HttpToolsProtocol, None] = {}  # the longest first

    class Impatient(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            waiting[self] = None
            self._allow(HEADERS_S_MAX)
            if len(self.connections) > CONNECTIONS_MAX and waiting:
                next(iter(waiting)).transport.close()

        def on_message_begin(self) -> None:
            self._allow(HEADERS_S_MAX)
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._allow(MESSAGE_S_MAX)
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._disarm()
            if not self.cycle.response_complete:
                waiting.pop(self, None)
            super().on_message_complete()

        def on_response_complete(self) -> None:
            waiting.setdefault(self)
            super().on_response_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            waiting.pop(self, None)
            self._disarm()
            super().connection_lost(exc)

        def _allow(self, seconds: float) -> None:
            self._disarm()
            self._timer = self.loop.call_later(seconds, self.transport.close)

        def _disarm(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return Impatient


@contextlib.contextmanager
def serving(app: ASGIApp, listen: str) -> Iterator[tuple[str, int]]:
    """Serve `app` at `host:port` (port 0: any free one) while the block runs; yields what was bound.

    Requests under way get `DRAIN_S_MAX` to end. Raises `Fatal` when the address cannot be had.
    """
    listener = _bind(listen)
    server = uvicorn.Server(_config(app))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True, name="web")
    thread.start()
    try:
        _wait_until_started(server, thread)
        host, port = listener.getsockname()[:2]
        yield host, port
    finally:
        server.should_exit = True
        thread.join(DRAIN_S_MAX + 1)
        listener.close()


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_impatient_protocol(),
        ws="none",
        lifespan="off",
        access_log=False,  # an access log of Voile's own pages would name people
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(DRAIN_S_MAX),
        backlog=BACKLOG,
    )


def _bind(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), int(port)))
    except OSError as error:
        listener.close()
        raise Fatal(
            f"Cannot listen on {listen} ({error.strerror}); stop what uses it or set another `listen`."
        ) from None
    return listener


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _START_S_MAX
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise Fatal("The web server did not start; look at the log above.")
        time.sleep(0.01)
