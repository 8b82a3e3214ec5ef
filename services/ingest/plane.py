"""Runs ingest: the web server and the work that comes round, until stopped."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Sequence

from services.ingest.committer import Committer
from services.ingest.receivers.gate import Gate
from services.ingest.receivers.http import HttpReceiver, ingest_app
from services.ingest.receivers.quotas import LineQuotas
from services.ingest.reporting import Reporter, reporting
from services.ingest.service import Ingest, open_ingest
from services.runtime.clock import Clock
from services.runtime.errors import Transient
from services.runtime.logs import get_logger
from services.runtime.settings import Settings
from services.runtime.stop import Stop
from services.runtime.web.server import serving

__all__ = ["housekeep", "missing", "open_receiver", "open_reporter", "run"]

HOUSEKEEPING_S = 60.0
_ORIGIN_BYTES = 12  # 96 random bits: no two requests share an origin


def run(settings: Settings, clock: Clock, stop: Stop) -> None:
    """Until `stop`; requests under way are answered first. Raises `Fatal` when it cannot start."""
    ingest = open_ingest(settings, clock)
    committer = Committer(ingest.request_claims, ingest.publisher, clock)
    try:
        receiver = open_receiver(ingest, committer)
        app = ingest_app(receiver, lambda: missing(ingest))
        reports = reporting(open_reporter(ingest, lambda: 0))
        with reports, serving(app, settings.ingest.listen) as (host, port):
            get_logger().info("ingest listens", listen=f"{host}:{port}")
            while not stop.wait(HOUSEKEEPING_S):
                housekeep(ingest, receiver)
    finally:
        committer.close()
        ingest.close()


def open_receiver(ingest: Ingest, committer: Committer) -> HttpReceiver:
    """`committer` belongs to the caller, who closes it after the last request."""
    return HttpReceiver(
        gate=Gate(ingest.sources, ingest.tenants, ingest.clock),
        quotas=LineQuotas(ingest.clock),
        committer=committer,
        fingerprints=ingest.fingerprints,
        policy=ingest.policy,
        meters=ingest.meters,
        clock=ingest.clock,
        body_bytes_max=ingest.settings.ingest.body_bytes_max,
        new_origin=lambda: secrets.token_hex(_ORIGIN_BYTES),
    )


def open_reporter(ingest: Ingest, spool_bytes: Callable[[], int]) -> Reporter:
    return Reporter(
        *(ingest.source_counts, ingest.meters.refusals, ingest.sources, ingest.log, ingest.clock),
        edge=socket.gethostname(), spool_bytes=spool_bytes,
    )  # fmt: skip


def housekeep(ingest: Ingest, receiver: HttpReceiver) -> None:
    try:
        for (source, code), count in receiver.gate.note_use().items():
            get_logger().warning("a sender is turned away and loses data", source=source, code=code, count=count)
        forgotten = ingest.request_claims.forget(ingest.clock.now())
        get_logger().info("claims past their term deleted", count=forgotten)
    except Transient as error:
        get_logger().warning("housekeeping waits", retry_after_s=error.retry_after_s)


def missing(ingest: Ingest) -> Sequence[str]:
    """For `/readyz`: what keeps ingest from accepting now."""
    return () if ingest.log.ready() else ("events",)
