"""Caddy, with what a test says among the global options and in the site."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tests.parts.processes import free_ports
from tests.parts.webservers.program import lay_out, serving

__all__ = ["caddy"]

_CONFIG = """\
{{
  admin off
  auto_https off
  {of_all}
}}
http://:{port} {{
  bind 127.0.0.1
  root * {folder}/www
  respond /nothing 204
  redir /moved /page-1.txt 301
  respond /secret 403
  respond /broken broken 500
  reverse_proxy /away 127.0.0.1:1
  file_server
  {of_site}
}}
"""


@contextlib.contextmanager
def caddy(folder: Path, of_site: str, of_all: str = "") -> Iterator[int]:
    """Its port."""
    lay_out(folder / "www")
    (port,) = free_ports(1)
    config = folder / "Caddyfile"
    config.write_text(_CONFIG.format(folder=folder, port=port, of_site=of_site, of_all=of_all))
    env = {**os.environ, "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    command: list[str | Path] = ["caddy", "run", "--config", config, "--adapter", "caddyfile"]
    with serving(command, port, env=env, out=folder / "caddy.out"):
        yield port
