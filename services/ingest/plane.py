"""Runs ingest: its receivers, the spool and the work that comes round, until stopped."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from services.ingest.acknowledging import Acknowledging
from services.ingest.committer import Committer
from services.ingest.publisher import Publisher
from services.ingest.receivers.gate import Gate
from services.ingest.receivers.http import HttpReceiver, ingest_app
from services.ingest.receivers.quotas import LineQuotas
from services.ingest.receivers.raw_topic import RawTopic, RawWork
from services.ingest.receivers.syslog import serving_syslog
from services.ingest.receivers.syslog_batches import SyslogBatches
from services.ingest.reporting import Reporter, reporting
from services.ingest.service import Ingest, open_ingest
from services.ingest.spooling import Spooling, spooling
from services.runtime.clock import Clock
from services.runtime.database import missing_records
from services.runtime.errors import Transient
from services.runtime.log.interface import EventLog
from services.runtime.logs import get_logger
from services.runtime.loops import Loops
from services.runtime.retention.keeping import EVERY
from services.runtime.retention.terms import GONE
from services.runtime.settings import Settings, local_path
from services.runtime.stop import Stop
from services.runtime.topics import TOPICS
from services.runtime.web.server import serving

__all__ = [
    "housekeep",
    "let_go",
    "loops",
    "missing",
    "open_durable",
    "open_raw_topic",
    "open_receiver",
    "open_reporter",
    "open_syslog",
    "run",
]

HOUSEKEEPING_S = 60.0
TENANTS = "tenants.json"  # in the spool's folder: who may be spooled for, after a start while the log is away
TOPICS_AGAIN_S = 1.0  # until they were made or seen once
_ORIGIN_BYTES = 12  # 96 random bits: no two requests share an origin


def run(settings: Settings, clock: Clock, stop: Stop) -> None:
    """Until `stop`; what is under way is finished first. Starts without the event log too: what comes is spooled for
    tenants it knew before. Raises `Fatal` when it cannot start, and what ended one of its threads."""
    ingest = open_ingest(settings, clock, log_may_be_away=True)
    try:
        with contextlib.ExitStack() as started:
            durable = started.enter_context(open_durable(ingest))
            committer = Committer(ingest.request_claims, Publisher(durable), clock)
            started.callback(committer.close)
            receiver = open_receiver(ingest, committer)
            running = loops(ingest, receiver, stop, lambda: _waiting_since(durable))
            started.callback(stop.set)  # also when the web server finds its port taken
            running.start()
            started.enter_context(_syslog(ingest, committer))
            started.enter_context(reporting(open_reporter(ingest, lambda: _spool_bytes(durable))))
            app = ingest_app(receiver, lambda: [*running.missing(), *missing(ingest, durable)])
            host, port = started.enter_context(serving(app, settings.ingest.listen))
            get_logger().info("ingest listens", listen=f"{host}:{port}")
            running.wait()
    finally:
        ingest.close()


@contextlib.contextmanager
def open_durable(ingest: Ingest) -> Iterator[Spooling | EventLog]:
    """Where accepted batches go. The embedded log is a file on the same disk: a spool beside it would take what it
    does not take only in theory, so there is none."""
    if not _is_kafka(ingest):
        yield ingest.log
        return
    bytes_max = ingest.settings.ingest.spool_bytes_max
    with spooling(_spool_folder(ingest), bytes_max, ingest.log, ingest.clock, ingest.meters.metrics) as durable:
        yield durable


def _spool_folder(ingest: Ingest) -> Path:
    return local_path(ingest.settings.url(ingest.settings.ingest.spool))


def _is_kafka(ingest: Ingest) -> bool:
    return ingest.settings.events.startswith("kafka://")


def loops(
    ingest: Ingest, receiver: HttpReceiver, stop: Stop, waiting_since: Callable[[], datetime | None] = lambda: None
) -> Loops:
    """What runs beside the receivers. Nobody but Voile writes to the embedded log, so there is no raw topic."""
    acknowledging = Acknowledging(ingest.log, ingest.clock, waiting_since, member=socket.gethostname())
    work: dict[str, Callable[[], None]] = {
        "tenants": lambda: ingest.tenants.follow(stop, _spool_folder(ingest) / TENANTS if _is_kafka(ingest) else None),
        "housekeeping": lambda: come_round(ingest, receiver, stop),
        "signals": lambda: acknowledging.run(stop),
    }
    if _is_kafka(ingest):
        work["raw topic"] = lambda: open_raw_topic(ingest).run(stop)
    return Loops(work, stop)


def open_raw_topic(ingest: Ingest) -> RawTopic:
    """Sends to the log and not to the spool: while Kafka is away there is nothing to read from it either."""
    work = RawWork(ingest.senders, ingest.publisher, ingest.policy, ingest.meters, ingest.clock)
    member = socket.gethostname()
    return RawTopic(ingest.log, work, ingest.publisher, ingest.meters, ingest.source_counts, member=member)


@contextlib.contextmanager
def _syslog(ingest: Ingest, committer: Committer) -> Iterator[None]:
    rules = ingest.settings.ingest.syslog
    if not rules:
        yield
        return
    for rule in rules:
        ingest.sources.named(rule.source)
    with serving_syslog(rules, open_syslog(ingest, committer)) as bound:
        for host, port in bound:
            get_logger().info("syslog listens", listen=f"{host}:{port}")
        yield


def open_syslog(ingest: Ingest, committer: Committer) -> SyslogBatches:
    origin = secrets.token_hex(_ORIGIN_BYTES)
    return SyslogBatches(
        ingest.senders, committer, ingest.policy, meters=ingest.meters, clock=ingest.clock, origin=origin
    )


def come_round(ingest: Ingest, receiver: HttpReceiver, stop: Stop) -> None:
    """Until `stop`. Raises `Fatal` when a topic has other settings than it must have."""
    topics_are_there, next_terms = False, ingest.clock.now()
    while not stop.wait(HOUSEKEEPING_S if topics_are_there else TOPICS_AGAIN_S):
        with contextlib.suppress(Transient):
            if not topics_are_there:
                ingest.ensure_topics()
                topics_are_there = True
            housekeep(ingest, receiver)
            let_go(ingest)
            if (now := ingest.clock.now()) >= next_terms:
                ingest.retention.run()
                next_terms = now + EVERY


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


def _spool_bytes(durable: Spooling | EventLog) -> int:
    return durable.size if isinstance(durable, Spooling) else 0


def _waiting_since(durable: Spooling | EventLog) -> datetime | None:
    return durable.waiting_since if isinstance(durable, Spooling) else None


def housekeep(ingest: Ingest, receiver: HttpReceiver) -> None:
    try:
        for (source, code), count in receiver.gate.note_use().items():
            get_logger().warning("a sender is turned away and loses data", source=source, code=code, count=count)
        ingest.log.apply_retention([TOPICS["access-log-raw"]])
        forgotten = ingest.request_claims.forget(ingest.clock.now())
        get_logger().info("claims past their term deleted", count=forgotten)
    except Transient as error:
        get_logger().warning("housekeeping waits", reason=str(error), retry_after_s=error.retry_after_s)


def let_go(ingest: Ingest) -> None:
    """Of tenants that leave everything is deleted; one that fails does not keep the others. Raises `Transient`."""
    leaving = [tenant for tenant, status in ingest.tenants.all().items() if status in GONE]
    for tenant in leaving:
        try:
            ingest.departures.carry_out(tenant)
        except Transient as error:
            get_logger().warning(
                "a departure waits", tenant=tenant, reason=str(error), retry_after_s=error.retry_after_s
            )


def missing(ingest: Ingest, durable: Spooling | EventLog | None = None) -> Sequence[str]:
    """For `/readyz`: what keeps ingest from accepting now. With room in the spool the log may be away."""
    records = missing_records(ingest.engine)
    if isinstance(durable, Spooling) and durable.has_room and ingest.tenants.are_known:
        return records
    return [*([] if ingest.log.ready() else ["events"]), *records]
