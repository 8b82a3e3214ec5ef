"""A running ingest with both of its doors, HTTP and syslog, that can be shut for a while and opened again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from services.ingest.committer import Committer
from services.ingest.plane import missing, open_receiver, open_syslog
from services.ingest.publisher import Publisher
from services.ingest.receivers.http import ingest_app
from services.ingest.receivers.syslog import serving_syslog
from services.ingest.service import Ingest
from services.runtime.settings import SyslogFrom
from services.runtime.web.server import serving
from tests.parts.edge import SOURCE, AwayLog, absorbed, opened
from tests.parts.processes import free_ports

__all__ = ["NAME", "Receiving", "receiving"]

NAME = "chess-web"  # as the pages call their source
WAIT_S_MAX = 30
AWAY_S = 1.5


@dataclass
class Receiving:
    """`key` is `NAME`'s. `log` is the real event log behind a switch."""

    ingest: Ingest
    log: AwayLog
    key: str
    http_port: int
    syslog_port: int
    _doors: ExitStack = field(default_factory=ExitStack)

    @property
    def http(self) -> str:
        return f"127.0.0.1:{self.http_port}"

    @property
    def syslog(self) -> str:
        return f"127.0.0.1:{self.syslog_port}"

    def open(self) -> None:
        ingest = self.ingest
        committer = Committer(ingest.request_claims, Publisher(self.log), ingest.clock)
        self._doors.callback(committer.close)
        app = ingest_app(open_receiver(ingest, committer), lambda: missing(ingest))
        self._doors.enter_context(serving(app, self.http))
        rules = [SyslogFrom(source=NAME, listen=self.syslog)]
        self._doors.enter_context(serving_syslog(rules, open_syslog(ingest, committer)))

    def shut(self) -> None:
        """What was accepted is durable; nobody listens any more."""
        self._doors.close()

    @contextmanager
    def closed_meanwhile(self) -> Iterator[None]:
        """Away, at least for as long as a sender notices, and back at the same ports."""
        self.shut()
        yield
        time.sleep(AWAY_S)
        self.open()

    def settle(self) -> None:
        """What was declared or changed is known to the receivers, which look once a second."""
        self.ingest.clock.sleep(2)

    def paths(self) -> list[str]:
        """What a consumer keeps, in order of the path's number."""
        return sorted(absorbed(self.ingest.log)["path"].to_list(), key=lambda path: (len(path), path))

    def until(self, met: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S_MAX
        while not met():
            assert time.monotonic() < deadline, self.paths()[:20]
            time.sleep(0.05)

    def until_taken(self, wanted: Sequence[str]) -> None:
        """All of them, and each once."""
        self.until(lambda: len(self.paths()) >= len(wanted))
        assert self.paths() == list(wanted)


@contextmanager
def receiving(folder: Path, format_: str = "combined") -> Iterator[Receiving]:
    """Open for `NAME`, whose lines are of `format_`; time stands still."""
    http_port, syslog_port = free_ports(2)
    with opened(folder) as ingest:
        key = ingest.add_source(replace(SOURCE, name=NAME, format=format_)).key
        site = Receiving(ingest, AwayLog(ingest.log, retry_after_s=1), key, http_port, syslog_port)
        site.settle()
        site.open()
        try:
            yield site
        finally:
            site.shut()
