"""A real nginx on 127.0.0.1, asked by many made-up visitors; its log is what tests import."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.parts.processes import free_ports

__all__ = ["AGENTS", "Nginx", "Visit", "running_nginx", "visits"]

AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
)
_PAGES = (
    "/",
    "/agenda",
    "/agenda/2026/autumn",
    "/news",
    "/news/42",
    "/members/1001",
    "/contact",
    "/missing",
    "/logo.png",
)
_REFERRERS = (
    "",
    "",
    "https://www.google.com/",
    "https://www.riverside.example/",
    "https://news.example.org/a?u=bob@example.org",
)
_CONFIG = """\
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log; {user}
events {{ worker_connections 256; }}
http {{
  access_log off; default_type text/html;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;
  log_format voile_json escape=json '{{"time_iso8601":"$time_iso8601","remote_addr":"$remote_addr",'
    '"remote_user":"$remote_user","host":"$host","request_method":"$request_method","request_uri":"$request_uri",'
    '"server_protocol":"$server_protocol","status":"$status","body_bytes_sent":"$body_bytes_sent",'
    '"request_time":"$request_time","http_referer":"$http_referer","http_user_agent":"$http_user_agent"}}';
  server {{
    listen 127.0.0.1:{port}; root {folder}/www;
    access_log {folder}/access.log combined; access_log {folder}/access.json voile_json; {more}
    location / {{ try_files $uri /index.html; }}
    location /missing {{ return 404; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Visit:
    address: str
    agent: str
    path: str
    referrer: str
    account: str


@dataclass(frozen=True, slots=True)
class Nginx:
    folder: Path
    port: int

    @property
    def combined_log(self) -> Path:
        return self.folder / "access.log"

    @property
    def json_log(self) -> Path:
        return self.folder / "access.json"

    def serve(self, wanted: Sequence[Visit]) -> None:
        """Ask for every visit, over one kept-alive connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        for visit in wanted:
            connection.request("GET", visit.path, headers=_headers(visit))
            connection.getresponse().read()
        connection.close()


def visits(count: int, seed: int) -> list[Visit]:
    """`count` requests by about a sixth as many people, some of whom are logged in."""
    rng = random.Random(seed)
    people = [_person(rng, number) for number in range(max(1, count // 6))]
    return [_visit(rng, *rng.choice(people)) for _ in range(count)]


def _person(rng: random.Random, number: int) -> tuple[str, str, str]:
    address = f"{rng.choice((81, 82, 90, 91, 109))}.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
    return address, rng.choice(AGENTS), f"m-{1000 + number}" if number % 4 == 0 else ""


def _visit(rng: random.Random, address: str, agent: str, account: str) -> Visit:
    return Visit(address, agent, rng.choice(_PAGES), rng.choice(_REFERRERS), account)


def _headers(visit: Visit) -> dict[str, str]:
    headers = {"X-Forwarded-For": visit.address, "User-Agent": visit.agent, "Host": "www.riverside.example"}
    if visit.referrer:
        headers["Referer"] = visit.referrer
    if visit.account:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{visit.account}:x".encode()).decode()
    return headers


@contextlib.contextmanager
def running_nginx(folder: Path, more: str = "") -> Iterator[Nginx]:
    """Starts nginx with its logs in `folder`; stops it, by its process id, at the end. `more`: further directives."""
    (folder / "www").mkdir(parents=True)
    (folder / "www" / "index.html").write_text("<!doctype html><title>Riverside</title>hello\n")
    (folder / "www" / "logo.png").write_bytes(b"\x89PNG\r\n")
    (port,) = free_ports(1)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_CONFIG.format(folder=folder, port=port, user=user, more=more))
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen(
        [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    )
    try:
        _wait_for(port, process)
        yield Nginx(folder, port)
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    raise RuntimeError("nginx did not start; its error.log says why")
