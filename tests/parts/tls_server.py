"""An HTTPS server on this machine with a certificate for one name, that keeps what it was sent."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

__all__ = ["Received", "TlsServer", "tls_server"]


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class TlsServer:
    """`answers`: the statuses of the next requests; afterwards 202. `drip_s`: waits so long before each byte of a header."""

    port: int
    trusted: ssl.SSLContext
    received: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    drip_s: float = 0.0


@contextlib.contextmanager
def tls_server(folder: Path, name: str) -> Iterator[TlsServer]:
    certificate = _write_certificate(folder, name)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            headers = {key.lower(): value for key, value in self.headers.items()}
            told.received.append(Received(self.path, headers, self.rfile.read(length)))
            status = told.answers.pop(0) if told.answers else 202
            self.send_response(status)
            if told.drip_s:
                self.drip()
            if status == 302:
                self.send_header("location", f"https://{name}:{told.port}/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def drip(self) -> None:
            with contextlib.suppress(OSError):  # the sender has given up
                for byte in b"HTTP/1.1 202 Accepted\r\nX-Slow: " + b"x" * 100:
                    self.wfile.write(bytes([byte]))
                    time.sleep(told.drip_s)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    told = TlsServer(server.server_port, ssl.create_default_context(cafile=str(certificate)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _write_certificate(folder: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    valid = (now - timedelta(days=1), now + timedelta(days=1))
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), *valid)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    file = folder / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + builder.sign(key, SHA256()).public_bytes(Encoding.PEM))
    return file
