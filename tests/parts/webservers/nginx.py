"""nginx, with what a test says at the level of `http`, where a file in conf.d stands."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tests.parts.processes import free_ports
from tests.parts.webservers.program import lay_out, serving

__all__ = ["nginx"]

_CONFIG = """\
daemon off; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/error.log; {user}
events {{ worker_connections 256; }}
http {{
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5; default_type text/plain; etag off;
  {logging}
  server {{
    listen 127.0.0.1:{port}; root {folder}/www; {more}
    location = /nothing {{ return 204; }}
    location = /moved {{ return 301 /page-1.txt; }}
    location = /secret {{ deny all; }}
    location = /broken {{ return 500 broken; }}
    location = /away {{ proxy_pass http://127.0.0.1:1; }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path, logging: str, more: str = "") -> Iterator[int]:
    """Its port. `logging`: directives of `http`; `more`: of `server`."""
    lay_out(folder / "www")
    (port,) = free_ports(1)
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, port=port, user=user, logging=logging, more=more))
    with serving(["nginx", "-p", folder, "-c", config, "-e", folder / "error.log"], port):
        yield port
