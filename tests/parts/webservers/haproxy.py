"""HAProxy, with what a test says in `global`, beside it (sections of their own), and in the frontend."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from tests.parts.processes import free_ports
from tests.parts.webservers.program import FILES, lay_out, serving

__all__ = ["haproxy"]

_CONFIG = """\
global
  stats socket {folder}/stats.sock
{of_global}
{sections}
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
  retries 0
  option dontlognull
frontend www
  bind 127.0.0.1:{port}
{of_frontend}
  acl unchanged req.hdr(If-Modified-Since) -m found
  http-request return status 304 if {{ path -m beg /page- }} unchanged
  http-request return status 204 if {{ path /nothing }}
  http-request redirect code 301 location /page-1.txt if {{ path /moved }}
  http-request deny deny_status 403 if {{ path /secret }}
  http-request return status 500 content-type text/plain string broken if {{ path /broken }}
{files}
  http-request return status 404 content-type text/plain string missing if !{{ path /away }}
  default_backend none
backend none
  server none 127.0.0.1:1
"""


@contextlib.contextmanager
def haproxy(folder: Path, *, of_global: str = "", sections: str = "", of_frontend: str = "") -> Iterator[int]:
    """Its port. What it writes to its standard output is in `haproxy.out`."""
    root = lay_out(folder / "www")
    (port,) = free_ports(1)
    small = [name for name, size in FILES.items() if 0 < size < 12_000]  # HAProxy answers from one buffer of 16 kB
    files = "\n".join(
        f"  http-request return status 200 content-type text/plain file {root / name} if {{ path,url_dec /{name} }}"
        for name in small
    )
    config = folder / "haproxy.cfg"
    config.write_text(
        _CONFIG.format(
            folder=folder, port=port, of_global=of_global, sections=sections, of_frontend=of_frontend, files=files
        )
    )
    env = {**os.environ, "TZ": "UTC"}  # the times of `option httplog` carry no zone
    with serving(["haproxy", "-db", "-f", config], port, env=env, out=folder / "haproxy.out"):
        try:
            yield port
        except BaseException:
            print(f"HAProxy itself says: {_dropped(folder / 'stats.sock')}")  # pytest shows it with the failure
            raise


def _dropped(stats: Path) -> str:
    """How many log lines it dropped, by its own count."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(stats))
        asking.sendall(b"show info\n")
        said = asking.makefile().read()
    return next(line for line in said.splitlines() if line.startswith("DroppedLogs"))
