"""Many requests over several kept-alive connections at once, and what came back."""

from __future__ import annotations

import http.client
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import format_datetime
from pathlib import Path

from tests.parts.webservers.program import FILES, MODIFIED

__all__ = ["Answers", "DatagramQueue", "load"]

CONNECTIONS = 8
_REQUESTS_A_CONNECTION = 40  # then it is closed and made anew
_ADDED_BY = 100  # one in so many is no HTTP
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    'say "hi" \\ there',
    "Mozilla/5.0 (compatible; Café/1.0)",
    "curl/8.5.0",
)
_REFERRERS = ("", "https://www.example.org/search?q=a%20b", 'https://www.example.org/"quoted"', "https://café.example/")
_MALFORMED = (
    b"not http\r\n\r\n",
    b"GET /page-1.txt HTTP/x.y\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
)
_PAGES = [f"/{name}" for name in FILES if name.startswith("page-")]
_PATHS = (
    "/nothing",
    "/moved",
    "/secret",
    "/missing",
    "/broken",
    "/away",
    '/say"quoted"',
    "/caf\u00e9.txt",
    "/a?b=c&d=%22",
)


@dataclass
class Answers:
    """`statuses`: of well-formed requests; `malformed`: requests that were no HTTP, whatever came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    malformed: int = 0

    def __iadd__(self, other: Answers) -> Answers:
        self.statuses += other.statuses
        self.malformed += other.malformed
        return self


def load(port: int, count: int, seed: int, wait: Callable[[], None] = lambda: None) -> Answers:
    """`count` requests, by `CONNECTIONS` clients. `wait` is called before each, to be slow where a log needs it."""
    answers = [Answers() for _ in range(CONNECTIONS)]
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            _Client(port, random.Random(seed * 1000 + number), answers[number], wait).ask(count // CONNECTIONS)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    total = Answers()
    for one in answers:
        total += one
    return total


class _Client:
    def __init__(self, port: int, draw: random.Random, answers: Answers, wait: Callable[[], None]) -> None:
        self._port, self._draw, self._answers, self._wait = port, draw, answers, wait

    def ask(self, count: int) -> None:
        left = count
        while left:
            several = min(left, _REQUESTS_A_CONNECTION)
            with socket.create_connection(("127.0.0.1", self._port), 10) as connection:
                for request, method in self._requests(several):
                    self._wait()
                    connection.sendall(request)
                    if self._read(connection, method):
                        break
            if self._draw.random() < several / _ADDED_BY:
                self._malformed()
            left = count - sum(self._answers.statuses.values())

    def _requests(self, count: int) -> Iterator[tuple[bytes, str]]:
        for _ in range(count):
            method = self._draw.choice(("GET", "GET", "GET", "GET", "HEAD", "POST"))
            path = self._draw.choice(_PAGES if self._draw.random() < 0.6 else _PATHS)
            yield self._request("GET" if path in _PAGES and method == "POST" else method, path), method

    def _request(self, method: str, path: str) -> bytes:
        head = [f"{method} {path} HTTP/1.1", "Host: www.riverside.example", f"User-Agent: {self._draw.choice(_AGENTS)}"]
        if referrer := self._draw.choice(_REFERRERS):
            head.append(f"Referer: {referrer}")
        if path in _PAGES and self._draw.random() < 0.2:
            head.append(f"If-Modified-Since: {format_datetime(MODIFIED, usegmt=True)}")
        body = "a=b" * self._draw.randrange(400) if method == "POST" else ""
        if method == "POST":
            head.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*head, "", body]).encode()

    def _read(self, connection: socket.socket, method: str) -> bool:
        """Whether the server closes the connection."""
        answer = http.client.HTTPResponse(connection, method=method)
        answer.begin()
        answer.read()
        self._answers.statuses[answer.status] += 1
        return answer.will_close

    def _malformed(self) -> None:
        self._wait()
        with socket.create_connection(("127.0.0.1", self._port), 10) as connection:
            connection.sendall(self._draw.choice(_MALFORMED))
            while connection.recv(65536):
                pass
        self._answers.malformed += 1


@dataclass(frozen=True, slots=True)
class DatagramQueue:
    """What waits in the kernel for who listens to UDP at a port: a full queue loses. Read from Linux's /proc."""

    port: int
    bytes_max: int = 32 * 1024  # of at least 208 kB that a socket has

    def wait(self) -> None:
        """Until little waits."""
        while self._columns()[0] > self.bytes_max:
            time.sleep(0.001)

    def lost(self) -> int:
        """Datagrams, since the socket was opened."""
        return self._columns()[1]

    def _columns(self) -> tuple[int, int]:
        for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
            words = line.split()
            if words[1].endswith(f":{self.port:04X}"):
                return int(words[4].partition(":")[2], 16), int(words[-1])
        raise AssertionError(f"nobody listens to UDP at {self.port}")
