"""Stands before ingest and makes each answer of the contract happen once: ingest itself refuses what was spoiled on
its way, the log is away, the quota is used up, or a good answer is lost. What comes again passes as it is."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from tests.parts.edge import register
from tests.parts.receiving import NAME, Receiving

__all__ = ["ANSWERS", "LOST", "Front", "standing"]

LOST = 0  # taken and durable, and the sender never learns it
ANSWERS: Sequence[int] = (401, 403, 429, 503, LOST, 400, 413, 415)
QUOTA = 60  # lines a minute: the next is free after a second
TIMEOUT_S = 40
_BOMB = gzip.compress(bytes(40_000_000))

Headers = dict[str, str]
Spoilt = tuple[Headers, bytes]
SPOIL: Mapping[int, Callable[[Headers, bytes], Spoilt]] = {
    400: lambda headers, body: (headers | {"content-encoding": "gzip"}, b"no gzip"),
    401: lambda headers, body: (headers | {"authorization": "Bearer vsk_wrong"}, body),
    413: lambda headers, body: (headers | {"content-encoding": "gzip"}, _BOMB),
    415: lambda headers, body: (headers | {"content-encoding": "br"}, body),
}


class Front:
    """`seen` is what was answered to each body, in order of their first coming. Body `n` gets `faults[n]` at first."""

    def __init__(self, site: Receiving, faults: Sequence[int] = ANSWERS) -> None:
        self._site, self._faults = site, faults
        self._lock = threading.Lock()
        self._bodies: dict[bytes, list[int]] = {}

    @property
    def seen(self) -> Sequence[Sequence[int]]:
        return list(self._bodies.values())

    def pass_on(self, path: str, headers: Headers, body: bytes) -> httpx.Response | None:
        """None: the answer is lost."""
        with self._lock:
            statuses = self._bodies.setdefault(body, [])
            number = list(self._bodies).index(body)
            fault = self._faults[number] if not statuses and number < len(self._faults) else None
            answer = self._faulty(fault, path, headers, body)
            assert fault in {None, LOST, answer.status_code}, (fault, answer.status_code, answer.text)
            statuses.append(LOST if fault == LOST else answer.status_code)
            return None if fault == LOST else answer

    def _faulty(self, fault: int | None, path: str, headers: Headers, body: bytes) -> httpx.Response:
        with self._world(fault):
            if fault is not None and fault in SPOIL:
                headers, body = SPOIL[fault](headers, body)
            return httpx.post(f"http://{self._site.http}{path}", headers=headers, content=body, timeout=TIMEOUT_S)

    @contextmanager
    def _world(self, fault: int | None) -> Iterator[None]:
        """As it is while the request comes, and good again afterwards."""
        self._site.log.away = fault == 503
        if fault == 403:
            self._suspend("suspended")
        if fault == 429:
            self._use_up()
        try:
            yield
        finally:
            self._mend(fault)

    def _mend(self, fault: int | None) -> None:
        self._site.log.away = False
        if fault == 403:
            self._suspend("active")
        if fault == 429:
            self._site.ingest.sources.set_quota(NAME, None)
            self._site.settle()

    def _suspend(self, status: str) -> None:
        register(self._site.ingest.log, "acme", status)
        self._site.settle()

    def _use_up(self) -> None:
        """By lines that are none."""
        self._site.ingest.sources.set_quota(NAME, QUOTA)
        self._site.settle()
        headers = {"authorization": f"Bearer {self._site.key}", "content-type": "text/plain"}
        url = f"http://{self._site.http}/api/v1/ingest/{NAME}"
        assert httpx.post(url, headers=headers, content=b"-\n" * QUOTA).status_code == 200


@contextmanager
def standing(site: Receiving, faults: Sequence[int] = ANSWERS) -> Iterator[tuple[str, Front]]:
    """host:port to send to, and what was seen there."""
    front = Front(site, faults)
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: _Handler(front, *args))
    thread = threading.Thread(target=server.serve_forever, name="front")
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", front
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, front: Front, *args: object) -> None:
        self._front = front
        super().__init__(*args)  # type: ignore[arg-type]  # as http.server calls it

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        hop = {"host", "connection", "content-length", "expect"}
        headers = {name.lower(): value for name, value in self.headers.items() if name.lower() not in hop}
        answer = self._front.pass_on(self.path, headers, body)
        self.close_connection = True
        if answer is not None:
            self._relay(answer)

    def _relay(self, answer: httpx.Response) -> None:
        self.send_response(answer.status_code)
        for name in {"content-type", "retry-after"} & set(answer.headers):
            self.send_header(name, answer.headers[name])
        self.send_header("content-length", str(len(answer.content)))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_: object) -> None:
        """The test says what it saw."""
