"""How a command reaches the process that owns a store: one JSON line each way over a Unix socket (0600).

Only the embedded statistics store needs it (one process a path); who may open the socket is who owns
the data folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from services.runtime.errors import Fatal, Transient, VoileError
from services.runtime.logs import get_logger

__all__ = ["Operation", "call", "serve"]

REQUEST_BYTES_MAX = 1 << 20  # a query or a date; anything longer is a mistake
SOCKET_PATH_BYTES_MAX = 107  # sun_path of unix(7), less its final NUL
ANSWER_S_MAX = 3600  # closing many days is the longest operation

Operation = Callable[[Mapping[str, Any]], Any]


def socket_path(data: Path, service: str) -> Path:
    return data.absolute() / f"{service}.sock"


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """What `bind` and `connect` take: the kernel allows 107 bytes, a data folder's path may be longer."""
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


@contextlib.contextmanager
def serve(data: Path, service: str, operations: Mapping[str, Operation]) -> Iterator[None]:
    """Answer `call`s while the block runs. The caller already owns the store, so a left-over socket is stale."""
    path = socket_path(data, service)
    path.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        with _address(path) as address:
            server = _Server(address, operations)
    finally:
        os.umask(before)
    thread = threading.Thread(target=server.serve_forever, daemon=True, name=f"{service}-control")
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        path.unlink(missing_ok=True)


def call(data: Path, service: str, operation: str, arguments: Mapping[str, Any]) -> tuple[bool, Any]:
    """(True, answer) from the running service, or (False, None) when none runs: then open the store.

    Raises `Fatal` with the service's own sentence when it refused, `Transient` when a part that it needs is away.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _address(socket_path(data, service)) as address:
            connection.connect(address)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return False, None
    with connection:
        connection.settimeout(ANSWER_S_MAX)
        connection.sendall(json.dumps({"operation": operation, "arguments": arguments}).encode() + b"\n")
        with connection.makefile("rb") as stream:
            line = stream.readline()
    if not line:
        raise Fatal(f"The running {service} service ended before it answered; look at its log and try again.")
    answer = json.loads(line)
    if "error" in answer:
        raise (Transient if answer.get("passing") else Fatal)(answer["error"])
    return True, answer["result"]


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str, operations: Mapping[str, Operation]) -> None:
        self.operations = operations
        super().__init__(path, _Handler)


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        request = json.loads(self.rfile.readline(REQUEST_BYTES_MAX))
        operation = self.server.operations.get(request["operation"])
        try:
            if operation is None:
                raise Fatal(f"The running service does not know {request['operation']!r}; is it an older version?")
            answer = {"result": operation(request["arguments"])}
        except VoileError as error:
            answer = {"error": str(error), "passing": isinstance(error, Transient)}
        except Exception as error:  # the default is a traceback in the log, with what was asked, and no answer
            get_logger().error("operation failed", exc_info=error)
            answer = {"error": f"internal error {type(error).__name__} in the running service. Stored data is safe."}
        self.wfile.write(json.dumps(answer, default=str).encode() + b"\n")
