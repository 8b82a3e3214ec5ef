"""Runs the identity plane: linking, accounts, the work that comes round, and the web service, until stopped."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, timedelta

from services.enricher.access.grant_book import GrantBook
from services.enricher.access.service import open_access
from services.enricher.console.app import create_console
from services.enricher.rights.carrying import Carrying
from services.enricher.rights.execution import NotErased
from services.enricher.rights.service import open_callbacks, open_carrying
from services.enricher.service import OWN_TOPICS, Identity, open_identity
from services.runtime.clock import Clock
from services.runtime.database import Lease, missing_records
from services.runtime.errors import Fatal, Transient
from services.runtime.logs import get_logger
from services.runtime.loops import Loops
from services.runtime.metrics import (
    IDENTITY_BLOCKS_MERGED,
    IDENTITY_BLOCKS_TAMPERED,
    IDENTITY_CASES_OVERDUE,
    IDENTITY_ERASURES,
    IDENTITY_GLASS_UNREVIEWED,
    IDENTITY_KEYS_REWRAPPED,
)
from services.runtime.retention.keeping import EVERY
from services.runtime.settings import Settings
from services.runtime.stop import Stop
from services.runtime.web.server import serving

__all__ = ["housekeep", "loops", "merge_by_night", "run", "run_loops", "serve"]

LOOK_S = 2.0  # how soon an erasure that another process signalled is taken up
LEASE_NAME = "housekeeping"
MERGING_LEASE = "merging"
MERGE_LOOK_S = 60.0  # how soon after midnight


def run(settings: Settings, clock: Clock, stop: Stop) -> None:
    """Loops and web service in one process. Raises what ended one of the loops."""
    identity = open_identity(settings, clock)
    try:
        running = loops(identity, stop)
        running.start()
        with _web(identity, running.missing):
            running.wait()
    finally:
        identity.close()


def run_loops(settings: Settings, clock: Clock, stop: Stop) -> None:
    """Without the web service; several such processes share the work. Raises what ended one of the loops."""
    identity = open_identity(settings, clock)
    try:
        running = loops(identity, stop)
        running.start()
        running.wait()
    finally:
        identity.close()


def serve(settings: Settings, clock: Clock, stop: Stop) -> None:
    """The web service alone."""
    identity = open_identity(settings, clock)
    try:
        with _web(identity, list):
            while not stop.wait(1.0):
                pass
    finally:
        identity.close()


def loops(identity: Identity, stop: Stop) -> Loops:
    """Linking, accounts, and the work that comes round."""
    member = socket.gethostname()
    work = {
        "link": lambda: identity.linker(member).run(stop),
        "accounts": lambda: identity.account_feed(member).run(stop),
        "housekeeping": lambda: housekeep(identity, member, stop),
        "merging": lambda: merge_by_night(identity, member, stop),
    }
    return Loops(work, stop)


def housekeep(identity: Identity, member: str, stop: Stop) -> None:
    """Under a lease, so that of several members one does it: erasures to finish, terms that are over."""
    lease = Lease(identity.engine, LEASE_NAME, member)
    next_expiry = identity.clock.now()
    carrying, callbacks, leaving = open_carrying(identity), open_callbacks(identity), identity.leaving()
    grants = GrantBook(identity.engine)
    while not stop.is_set:
        try:
            now = identity.clock.now()
            if lease.acquire(now):
                _finish_erasures(identity)
                _carry_on(identity, carrying)
                callbacks.tell()
                leaving.step()
                identity.metrics.set(IDENTITY_GLASS_UNREVIEWED, len(grants.unreviewed()))
                if now >= next_expiry:
                    _expire(identity)
                    next_expiry = now + EVERY
        except Transient as error:
            get_logger().warning("housekeeping waits", reason=str(error), retry_after_s=error.retry_after_s)
            stop.wait(error.retry_after_s)
        stop.wait(LOOK_S)
    leaving.close()
    lease.release()


def merge_by_night(identity: Identity, member: str, stop: Stop) -> None:
    """At the start, and after each midnight (UTC). Apart from the rest, which must not wait for it."""
    lease = Lease(identity.engine, MERGING_LEASE, member)
    merged_on: date | None = None
    while not stop.is_set:
        now = identity.clock.now()
        try:
            if now.date() != merged_on and lease.acquire(now):
                _index_anew(identity, stop)
                _merge(identity, stop)
                merged_on = now.date()
        except Transient as error:
            get_logger().warning("merging waits", reason=str(error), retry_after_s=error.retry_after_s)
            stop.wait(error.retry_after_s)
        stop.wait(MERGE_LOOK_S)
    lease.release()


def _index_anew(identity: Identity, stop: Stop) -> None:
    """Of every person after a change of the form, of nobody otherwise."""
    if persons := identity.reindexing.run(stop):
        get_logger().info("look-ups made anew", count=persons)


def _merge(identity: Identity, stop: Stop) -> None:
    done = identity.merging.run(stop)
    identity.metrics.count(IDENTITY_BLOCKS_MERGED, done.blocks)
    identity.metrics.count(IDENTITY_BLOCKS_TAMPERED, done.tampered)
    if done.blocks or done.tampered:
        get_logger().info("blocks merged", rows=done.blocks, count=done.into, rejected=done.tampered)


def _web(identity: Identity, missing_loops: Callable[[], list[str]]) -> AbstractContextManager[tuple[str, int]]:
    def missing() -> list[str]:
        log = [] if identity.log.ready() else ["event log"]
        return [*missing_loops(), *log, *missing_records(identity.engine)]

    app = create_console(identity, open_access(identity), missing)
    return serving(app, identity.settings.identity.listen)


def _finish_erasures(identity: Identity) -> None:
    for case in identity.rights.resume():
        identity.metrics.count(IDENTITY_ERASURES)
        get_logger().info("erasure finished", case=case)


def _carry_on(identity: Identity, carrying: Carrying) -> None:
    """Every case as far as it goes. One that fails does not stop the others; what is wrong shows on it."""
    for file in carrying.open_cases():
        try:
            carrying.advance(file.case)
        except (NotErased, Fatal) as error:
            get_logger().error("case stands still", case=file.case, error_type=type(error).__name__)
    identity.metrics.set(IDENTITY_CASES_OVERDUE, carrying.overdue())


def _expire(identity: Identity) -> None:
    identity.log.apply_retention(OWN_TOPICS)
    identity.retention.run()
    _keep_keys(identity)
    if accounted := identity.ledger.forget(identity.log):
        get_logger().info("terms over", count=accounted)


def _keep_keys(identity: Identity) -> None:
    settings = identity.settings.identity
    every = timedelta(days=settings.rotate_keys_days) if settings.rotate_keys_days else None
    rewrapped = identity.rotation.keep_term(every, timedelta(days=settings.keep_old_keys_days))
    identity.metrics.count(IDENTITY_KEYS_REWRAPPED, rewrapped)
    if rewrapped:
        get_logger().info("keys wrapped anew", count=rewrapped)
