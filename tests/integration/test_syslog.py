"""Syslog from the programs that people run: each line is in the log, for the right source."""

from __future__ import annotations

import contextlib
import http.client
import logging
import logging.handlers
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from services.ingest.committer import Committer
from services.ingest.plane import open_syslog
from services.ingest.publisher import Publisher
from services.ingest.receivers import syslog, syslog_batches
from services.ingest.receivers.syslog import serving_syslog
from services.ingest.service import Ingest
from services.runtime.errors import Fatal
from services.runtime.metrics import INGEST_LINES, SYSLOG_DROPPED
from services.runtime.settings import SyslogFrom
from tests.parts.edge import SOURCE, AwayLog, combined, opened, published, register
from tests.parts.nginx import running_nginx, visits
from tests.parts.processes import die_with_parent, find_program, free_ports

WAIT_S_MAX = 20
LINES = [combined(n) for n in range(200)]


@dataclass
class Site:
    """Ingest with a syslog receiver; `log` is the real one behind a switch."""

    ingest: Ingest
    log: AwayLog
    ports: Sequence[int]

    def paths(self) -> list[str]:
        return published(self.ingest.log)["path"].to_list()

    def dropped(self, reason: str) -> float:
        return self.ingest.meters.metrics.value(SYSLOG_DROPPED, reason=reason)

    def until(self, met: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S_MAX
        while not met():
            assert time.monotonic() < deadline, sorted(self.paths())[:20]
            time.sleep(0.05)

    def until_taken(self, count: int) -> list[str]:
        self.until(lambda: len(self.paths()) >= count)
        return self.paths()

    @contextmanager
    def tcp(self, number: int = 0) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.ports[number])) as connection:
            yield connection


@contextmanager
def _site(folder: Path, *rules: SyslogFrom) -> Iterator[Site]:
    with opened(folder) as ingest:
        log = AwayLog(ingest.log)
        committer = Committer(ingest.request_claims, Publisher(log), ingest.clock)
        wanted = rules or (SyslogFrom(source="web", listen="127.0.0.1:0"),)
        try:
            with serving_syslog(wanted, open_syslog(ingest, committer)) as bound:
                yield Site(ingest, log, [port for _, port in bound])
        finally:
            committer.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with _site(tmp_path) as running:
        yield running


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_pythons_own_handler(site: Site, kind: socket.SocketKind) -> None:
    """`logging.handlers.SysLogHandler`, by UDP and TCP, as it is: it ends messages with NUL."""
    handler = logging.handlers.SysLogHandler(("127.0.0.1", site.ports[0]), socktype=kind)
    handler.setFormatter(logging.Formatter("app: %(message)s"))
    with contextlib.closing(handler):
        for line in LINES:
            handler.handle(logging.makeLogRecord({"msg": line, "levelno": logging.INFO, "levelname": "INFO"}))
    assert sorted(site.until_taken(200)) == sorted(f"/pages/{n}" for n in range(200))


def test_positions_go_on_and_the_origin_is_this_starts(site: Site) -> None:
    """One number a message; a line that is rejected is counted by its reason."""
    with site.tcp() as sender:
        for part in (LINES[:50], ["no log line"], LINES[50:60]):
            sender.sendall("".join(f"<13>{line}\n" for line in part).encode())
            time.sleep(0.2)
    site.until_taken(60)
    rows = published(site.ingest.log)
    assert rows["position"].to_list() == [*range(50), *range(51, 61)]
    assert rows["origin"].n_unique() == 1
    assert site.ingest.meters.metrics.value(INGEST_LINES, outcome="unknown_shape") == 1


def test_the_source_is_told_by_port_and_peer(tmp_path: Path) -> None:
    """The first rule that fits; a peer that none names is counted and dropped, by UDP and TCP."""
    port, other = free_ports(2)
    rules = [
        SyslogFrom(source="web", listen=f"127.0.0.1:{port}", cidr="192.0.2.0/24"),
        SyslogFrom(source="shop", listen=f"127.0.0.1:{port}", cidr="127.0.0.0/8"),
        SyslogFrom(source="web", listen=f"127.0.0.1:{other}", cidr="192.0.2.0/24"),
    ]
    with _site(tmp_path, *rules) as site:
        site.ingest.add_source(replace(SOURCE, name="shop"))
        site.ingest.clock.sleep(2)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, site.tcp(1) as refused:
            sender.sendto(LINES[0].encode(), ("127.0.0.1", port))
            sender.sendto(LINES[1].encode(), ("127.0.0.1", other))
            assert refused.recv(1) == b""
        site.until(lambda: site.dropped("unknown_peer") == 2)
        site.until_taken(1)
        assert published(site.ingest.log)["source"].to_list() == ["shop"]


def test_while_nothing_is_writable_udp_is_dropped_and_tcp_waits(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded; what TCP held comes in when the log is back, each line once."""
    size = sum(map(len, LINES))
    monkeypatch.setattr(syslog_batches, "HELD_BYTES_MAX", 4 * size)
    monkeypatch.setattr(syslog, "PAUSE_BYTES", 2 * size)
    monkeypatch.setattr(syslog_batches, "RETRY_S_MAX", 0.1)
    site.log.away = True
    text = "".join(f"{line}\n" for line in LINES).encode()
    with site.tcp() as sender, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        sender.settimeout(1)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 100_000_000:
                sent += sender.send(text[sent % len(text) :])
        assert sent < 100_000_000, "it was read without a bound"
        for line in LINES * 20:
            datagrams.sendto(line.encode(), ("127.0.0.1", site.ports[0]))
        site.until(lambda: site.dropped("too_many") > 0)
        site.log.away = False
        sender.settimeout(WAIT_S_MAX)
        sender.sendall(text[sent % len(text) :])
        sent += len(text) - sent % len(text)
    whole = sent // len(text) * len(LINES)
    taken_by_udp = len(LINES) * 20 - site.dropped("too_many")
    site.until(lambda: len(site.paths()) >= whole + taken_by_udp)
    assert len(site.paths()) == whole + taken_by_udp


def test_a_suspended_tenants_lines_are_dropped_and_counted(site: Site) -> None:
    """As its keys are refused over HTTP."""
    register(site.ingest.log, "acme", "suspended")
    site.ingest.clock.sleep(2)
    with site.tcp() as sender:
        sender.sendall(f"{LINES[0]}\n".encode())
    site.until(lambda: site.dropped("inactive") == 1)
    assert site.paths() == []


def test_connections_are_bounded_and_slow_ones_end(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unfinished message holds memory for nothing."""
    monkeypatch.setattr(syslog, "CONNECTIONS_MAX", 1)
    monkeypatch.setattr(syslog, "UNFINISHED_S_MAX", 0.3)
    with site.tcp() as slow:
        slow.sendall(b"<13>never")
        time.sleep(0.1)
        with site.tcp() as second:
            assert second.recv(1) == b""
        slow.settimeout(5)
        assert slow.recv(1) == b""
    site.until(lambda: site.dropped("unfinished") == 1)
    assert site.dropped("too_many") == 1


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    """With the setting to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Fatal, match=r"ingest\.syslog"), _site(tmp_path, SyslogFrom(source="web", listen=listen)):
            pass


def test_what_was_taken_is_durable_after_a_stop(tmp_path: Path) -> None:
    """SIGTERM loses nothing that was read."""
    with opened(tmp_path) as ingest:
        committer = Committer(ingest.request_claims, ingest.publisher, ingest.clock)
        with serving_syslog([SyslogFrom(source="web", listen="127.0.0.1:0")], open_syslog(ingest, committer)) as bound:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(LINES[0].encode(), bound[0])
            time.sleep(0.02)
        committer.close()
        assert published(ingest.log)["path"].to_list() == ["/pages/0"]


# --- real senders ------------------------------------------------------------------------------------------------


@contextmanager
def _program(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([str(find_program(command[0])), *command[1:]], preexec_fn=die_with_parent)  # noqa: PLW1509
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


_RSYSLOG = """\
global(workDirectory="{folder}")
module(load="imfile" mode="inotify")
input(type="imfile" File="{folder}/access.log" Tag="nginx:" freshStartTail="off")
action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" TCP_Framing="{framing}" template="{template}")
"""


@pytest.mark.senders
@pytest.mark.parametrize(
    ("framing", "template"),
    [("octet-counted", "RSYSLOG_SyslogProtocol23Format"), ("traditional", "RSYSLOG_ForwardFormat")],
)
def test_rsyslog_forwards_a_file(site: Site, tmp_path: Path, framing: str, template: str) -> None:
    """imfile and omfwd: RFC 5424 counted, RFC 3164 by lines."""
    (tmp_path / "access.log").write_text("".join(f"{line}\n" for line in LINES))
    config = tmp_path / "rsyslog.conf"
    config.write_text(_RSYSLOG.format(folder=tmp_path, port=site.ports[0], framing=framing, template=template))
    with _program("rsyslogd", "-n", "-f", str(config), "-i", str(tmp_path / "pid")):
        assert site.until_taken(200) == [f"/pages/{n}" for n in range(200)]


@pytest.mark.servers
def test_nginx_sends_its_log_itself(site: Site, tmp_path: Path) -> None:
    """`access_log syslog:` by UDP; the same lines as in its file."""
    directive = f"access_log syslog:server=127.0.0.1:{site.ports[0]},tag=nginx combined;"
    with running_nginx(tmp_path / "nginx", directive) as nginx:
        nginx.serve(visits(200, seed=1))
        site.until_taken(200)
        assert len(nginx.combined_log.read_text().splitlines()) == len(site.paths()) == 200


_HAPROXY = """\
global
  log 127.0.0.1:{port} len 65535 format {format} local0
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend in
  bind 127.0.0.1:{listen}
  log global
  log-format '%ci - - [%trl] "%HM %HP HTTP/1.1" %ST %B "-" "-"'
  http-request return status 200 content-type text/plain string ok
"""


@pytest.mark.senders
@pytest.mark.parametrize("format_", ["rfc3164", "rfc5424"])
def test_haproxy_sends_its_log(site: Site, tmp_path: Path, format_: str) -> None:
    """By UDP, with a log-format of the source's format."""
    (listen,) = free_ports(1)
    config = tmp_path / "haproxy.cfg"
    config.write_text(_HAPROXY.format(port=site.ports[0], listen=listen, format=format_))
    with _program("haproxy", "-db", "-f", str(config)):
        for number in range(50):
            _get(listen, f"/asked/{number}")
        assert sorted(site.until_taken(50)) == sorted(f"/asked/{n}" for n in range(50))


def _get(port: int, path: str) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            assert connection.getresponse().read() == b"ok"
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            connection.close()
            return
