"""One hostile body through unpacking, reading and preparing, in a process of its own: `python -m ... KIND ENCODING`.

Prints JSON: the answer's status, the memory beyond what the process held before (bytes) and the CPU time (s).
"""

from __future__ import annotations

import gzip
import json
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import zstandard

from services.ingest.preparing import prepare
from services.ingest.receivers.bodies import body_lines
from services.ingest.receivers.http import Reader
from services.ingest.receivers.otlp import JSON, PROTOBUF, log_records
from services.ingest.receivers.refusals import Refusal
from services.ingest.receivers.unpacking import decompressor
from tests.parts.edge import NOW, POLICY, SOURCE

LIMIT = 16 * 1024 * 1024  # the setting's default
_BOMB = 200_000_000
_PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    "gzip": lambda data: gzip.compress(data, 9),
    "deflate": lambda data: zlib.compress(data, 9),
    "zstd": lambda data: zstandard.compress(data, 19),
}
_EMPTY_SCOPES = b"\x12\x00" * (LIMIT // 2 - 8)
_EMPTY_PAIRS = b"\x32\x00" * (LIMIT // 2 - 16)


def _field(number: int, data: bytes) -> bytes:
    size, prefix = len(data), bytearray([number << 3 | 2])
    while size > 0x7F:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*prefix, size]) + data


# What is in the body once it is unpacked, and its media type.
_BODIES: dict[str, Callable[[], tuple[bytes, str]]] = {
    "zeros": lambda: (bytes(_BOMB), "text/plain"),
    "gzip in gzip": lambda: (gzip.compress(bytes(_BOMB), 9), "text/plain"),
    "empty members": lambda: (b"", "text/plain"),
    "line ends": lambda: (b"\n" * LIMIT, "text/plain"),
    "one long line": lambda: (b"x" * LIMIT, "text/plain"),
    "deep JSON": lambda: (b"[" * LIMIT, "application/json"),
    "JSON of numbers": lambda: (b"[" + b"1," * (LIMIT // 2 - 2) + b"1]", "application/json"),
    "JSON of lists": lambda: (b'{"a":[' + b"[]," * (LIMIT // 3 - 6) + b"[]]}", "application/json"),
    "a line of lists": lambda: (b'{"a":[' + b"[]," * (LIMIT // 3 - 6) + b"[]]}", "application/x-ndjson"),
    "deep msgpack": lambda: (b"\x91" * LIMIT, "application/msgpack"),
    "msgpack of lists": lambda: (b"\xdd\x00\x0f\x00\x00" + b"\x90" * 0x0F0000, "application/msgpack"),
    "a list of msgpack lists": lambda: (b"\x91" + b"\xdd\x00\x0f\x00\x00" + b"\x90" * 0x0F0000, "application/msgpack"),
    "empty resources": lambda: (b"\x0a\x00" * (LIMIT // 2), PROTOBUF),
    "empty scopes": lambda: (_field(1, _EMPTY_SCOPES), PROTOBUF),
    "empty attributes": lambda: (_field(1, _field(2, _field(2, _EMPTY_PAIRS))), PROTOBUF),
    "JSON of resources": lambda: (b'{"resourceLogs":[' + b"{}," * (LIMIT // 3 - 9) + b"{}]}", JSON),
}


def main(kind: str, encoding: str) -> None:
    text, media = _BODIES[kind]()
    body = _PACKERS[encoding](text)
    if kind == "empty members":
        body = _PACKERS[encoding](b"") * (LIMIT // 40)
    del text
    read = log_records if kind in _OTLP else body_lines
    held, begun = _reset(), time.process_time()
    status = _status(body, encoding, media, read)
    print(json.dumps({"status": status, "bytes": _peak() - held, "cpu_s": time.process_time() - begun}))


def _status(body: bytes, encoding: str, media: str, read: Reader) -> int:
    try:
        text = decompressor(encoding)(body, LIMIT)
        lines, format_ = read(text, media, SOURCE)
        prepare(lines, format_, SOURCE, POLICY, NOW)
    except Refusal as refusal:
        return refusal.status
    return 200


_OTLP = {"empty resources", "empty scopes", "empty attributes", "JSON of resources"}


def _reset() -> int:
    """Forget the peak so far (proc(5), clear_refs); returns what is held now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
