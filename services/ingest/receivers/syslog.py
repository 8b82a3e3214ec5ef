"""Syslog over UDP and TCP: each message carries one line of a declared source.

Best effort, as the protocol is: a sender gets no answer. UDP that comes while memory is full is dropped and
counted; over TCP reading stops instead, and the sender holds its messages. What was taken is durable a commit
later; a kill in between loses it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from services.ingest.hops import parse_address
from services.ingest.receivers.syslog_batches import HELD_BYTES_MAX, SyslogBatches
from services.ingest.receivers.syslog_messages import MESSAGE_BYTES_MAX, Frames
from services.runtime.errors import Fatal
from services.runtime.logs import get_logger
from services.runtime.settings import SyslogFrom

__all__ = ["Bound", "serving_syslog"]

CONNECTIONS_MAX = 256  # with 64 kB of an unfinished message each: 16 MB
PAUSE_BYTES = HELD_BYTES_MAX // 2  # above it TCP is not read: what is on its way then must still fit
UNFINISHED_S_MAX = 60.0  # a message that takes longer holds memory for nothing
IDLE_S_MAX = 3600.0  # a quiet site's night; a sender may lose a message when its connection is closed
SWEEP_S = 0.2  # between two looks at the connections
PEERS_KEPT_MAX = 4096  # addresses whose source is remembered
RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024  # of the kernel, for bursts of UDP (as far as it allows)
STOP_S_MAX = 10.0  # what is held is made durable by then; a service has 15 s to stop

SourceOf = Callable[[str], str | None]  # a peer's address -> its source, None for one that nobody declared


class Bound(NamedTuple):
    """Where it listens, by UDP and by TCP."""

    host: str
    port: int


@contextlib.contextmanager
def serving_syslog(rules: Sequence[SyslogFrom], batches: SyslogBatches) -> Iterator[Sequence[Bound]]:
    """Listens in a thread of its own, at each address of `rules` in their order; port 0 is any free one. At the end
    what was taken is made durable. Raises `Fatal` when an address is not to be had."""
    by_address: dict[str, list[SyslogFrom]] = {}
    for rule in rules:
        by_address.setdefault(rule.listen, []).append(rule)
    with contextlib.ExitStack() as opened:
        pairs = [(_open(address, opened), source_of(found)) for address, found in by_address.items()]
        up = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(_serve(pairs, batches, up)), name="syslog")
        thread.start()
        try:
            while not up.wait(0.1):
                if not thread.is_alive():
                    raise Fatal("Syslog could not be started; the error is in the service's log.")
            yield [Bound(*tcp.getsockname()[:2]) for (_, tcp), _ in pairs]
        finally:
            batches.stopping = True
            thread.join(STOP_S_MAX)


def source_of(rules: Sequence[SyslogFrom]) -> SourceOf:
    """The first rule that knows the peer."""
    known = [(ipaddress.ip_network(rule.cidr) if rule.cidr else None, rule.source) for rule in rules]

    @functools.lru_cache(PEERS_KEPT_MAX)
    def find(peer: str) -> str | None:
        address = parse_address(peer)
        return next((s for network, s in known if network is None or (address and address in network)), None)

    return find


def _open(address: str, opened: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    """(UDP, TCP) at the same port."""
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    udp, tcp = (opened.enter_context(socket.socket(family, kind)) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
    try:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind((host.strip("[]"), int(port)))
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        udp.bind((host.strip("[]"), tcp.getsockname()[1]))
    except OSError as error:
        raise Fatal(f"Syslog cannot listen on {address}: {error.strerror}; set another `ingest.syslog`.") from error
    udp.setblocking(False)
    tcp.setblocking(False)
    return udp, tcp


async def _serve(pairs: Sequence[Any], batches: SyslogBatches, up: threading.Event) -> None:
    """Until `batches.stopping`, which also ends `work`."""
    loop = asyncio.get_running_loop()
    connections: set[_Connection] = set()
    listeners: list[asyncio.BaseTransport | asyncio.Server] = []
    with ThreadPoolExecutor(1, "syslog") as pool:
        for (udp, tcp), source in pairs:
            make = functools.partial(_Datagrams, source, batches)
            listeners.append((await loop.create_datagram_endpoint(make, sock=udp))[0])
            listeners.append(
                await loop.create_server(functools.partial(_Connection, source, batches, connections), sock=tcp)
            )
        up.set()
        sweeping = asyncio.create_task(_sweep(connections, batches))
        await batches.work(pool)
        sweeping.cancel()
        for listener in listeners:
            listener.close()
        for connection in list(connections):
            connection.close()
        await asyncio.sleep(0)  # closed transports tell their protocols


async def _sweep(connections: set[_Connection], batches: SyslogBatches) -> None:
    while True:
        for connection in list(connections):
            connection.look(batches.held_bytes >= PAUSE_BYTES)
        await asyncio.sleep(SWEEP_S)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, source: SourceOf, batches: SyslogBatches) -> None:
        self._source, self._batches = source, batches

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        if len(data) > MESSAGE_BYTES_MAX:
            self._batches.dropped("too_long", 1)
        else:
            self._batches.take(self._source(addr[0]), [data.rstrip(b"\r\n\0")])


class _Connection(asyncio.Protocol):
    """One sender by TCP."""

    def __init__(self, source: SourceOf, batches: SyslogBatches, connections: set[_Connection]) -> None:
        self._source_of, self._batches, self._connections = source, batches, connections
        self._frames = Frames()
        self._heard_at = time.monotonic()
        self._transport: asyncio.Transport | None = None
        self._source: str | None = None
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._source = self._source_of(transport.get_extra_info("peername")[0])
        if self._source is None or len(self._connections) >= CONNECTIONS_MAX:
            self._batches.dropped("unknown_peer" if self._source is None else "too_many", 1)
            transport.abort()
            return
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        before = self._frames.too_long
        messages = self._frames.feed(data)
        self._batches.dropped("too_long", self._frames.too_long - before)
        if messages or not self._frames.unfinished:
            self._heard_at = time.monotonic()
        self._batches.take(self._source, messages)
        if self._batches.held_bytes >= PAUSE_BYTES:
            self._pause(True)

    def eof_received(self) -> bool:
        self._batches.take(self._source, self._frames.end())
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self._connections.discard(self)
        self._batches.dropped("unfinished", int(self._frames.unfinished))

    def look(self, full: bool) -> None:
        """From time to time: read on or not, and close what says nothing."""
        self._pause(full)
        quiet_s = time.monotonic() - self._heard_at
        if not full and quiet_s > (UNFINISHED_S_MAX if self._frames.unfinished else IDLE_S_MAX):
            get_logger().info("syslog connection closed", reason="idle")
            self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _pause(self, full: bool) -> None:
        if full == self._paused or self._transport is None or self._transport.is_closing():
            return
        self._paused = full
        (self._transport.pause_reading if full else self._transport.resume_reading)()
