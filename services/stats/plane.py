"""Runs the statistics plane: the worker, the closer with its snapshots, pages and commands, until stopped."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from datetime import timedelta

from services.runtime import control
from services.runtime.clickhouse import open_analytics
from services.runtime.clock import Clock
from services.runtime.database import check_schema, open_records
from services.runtime.errors import Transient
from services.runtime.logs import get_logger
from services.runtime.loops import Loops
from services.runtime.metrics import STATS_DAYS_OVERDUE, Metrics
from services.runtime.retention.keeping import EVERY
from services.runtime.settings import Settings
from services.runtime.stop import Stop
from services.runtime.web.server import serving
from services.stats import SERVICE
from services.stats.closing.close import close_due
from services.stats.closing.close_periods import close_due_periods
from services.stats.days.states import CLOSING, DROPPED, OPEN, PUBLISHED, due
from services.stats.delivery.webhooks import Post
from services.stats.operations import operations
from services.stats.records import MIGRATIONS
from services.stats.service import Statistics, open_statistics
from services.stats.today.snapshot import take_snapshot
from services.stats.web import statistics_app

__all__ = ["come_round", "loops", "run", "run_loops", "send_messages", "serve", "tell_overdue"]

LOOK_S = 5.0  # how soon a day that is due is taken up
WAIT_S = 0.2  # between two looks at how far the worker is


def run(settings: Settings, clock: Clock, stop: Stop) -> None:
    """Loops, pages and commands in one process. Raises what ended one of the loops."""
    statistics = open_statistics(settings, clock)
    try:
        with _control(statistics, stop), _web(statistics):
            running = loops(statistics, stop)
            running.start()
            running.wait()
    finally:
        statistics.close()


def run_loops(settings: Settings, clock: Clock, stop: Stop) -> None:
    """Without the pages; several such processes share the work. Raises what ended one of the loops."""
    statistics = open_statistics(settings, clock)
    try:
        running = loops(statistics, stop)
        running.start()
        running.wait()
    finally:
        statistics.close()


def serve(settings: Settings, clock: Clock, stop: Stop) -> None:
    """The pages alone: no topic is read and no key opened; the store's account may be one that reads cells only."""
    engine = open_records(settings.url(settings.statistics.records))
    check_schema(engine, MIGRATIONS)
    analytics = open_analytics(settings.url(settings.statistics.analytics))
    try:
        app = statistics_app(settings=settings, clock=clock, engine=engine, analytics=analytics, metrics=Metrics())
        with serving(app, settings.statistics.listen) as (host, port):
            get_logger().info("statistics listen", listen=f"{host}:{port}")
            while not stop.wait(1.0):
                pass
    finally:
        analytics.close()
        engine.dispose()


def loops(statistics: Statistics, stop: Stop) -> Loops:
    """Counting, the closing of days with today's snapshot, what ingest reports of its sources, the live totals, and
    messages to partners."""
    member = socket.gethostname()
    work = {
        "count": lambda: statistics.worker(member).run(stop),
        "close": lambda: come_round(statistics, stop),
        "collect": lambda: statistics.collector().run(stop),
        "live": lambda: statistics.live_counter().run(stop),
        "webhooks": lambda: send_messages(statistics.post(), stop),
    }
    return Loops(work, stop)


def come_round(statistics: Statistics, stop: Stop) -> None:
    """Days that are due are closed, today's snapshot is renewed. What must wait is tried again."""
    leaving = statistics.leaving()
    next_snapshot = next_terms = statistics.clock.now()
    while not stop.is_set:
        try:
            tell_overdue(statistics)
            statistics.note_route_tables()
            leaving.step()
            close_due(statistics.closer(lambda: pause(stop)), statistics.settings.zone)
            close_due_periods(statistics.period_closer(), statistics.settings.zone)
            if statistics.clock.now() >= next_snapshot:
                statistics.keep_policy()
                take_snapshot(statistics.snapshotter())
                next_snapshot = statistics.clock.now() + timedelta(
                    minutes=statistics.settings.statistics.snapshot_minutes
                )
            if statistics.clock.now() >= next_terms:
                statistics.retention().run()
                next_terms = statistics.clock.now() + EVERY
        except Transient as error:
            get_logger().warning("closing waits", reason=str(error), retry_after_s=error.retry_after_s)
        stop.wait(LOOK_S)


def send_messages(post: Post, stop: Stop) -> None:
    """What partners' systems are to be told, by its own loop: each message may take seconds."""
    while not stop.is_set:
        try:
            post.deliver()
        except Transient as error:
            get_logger().warning("webhooks wait", reason=str(error), retry_after_s=error.retry_after_s)
        stop.wait(LOOK_S)


def tell_overdue(statistics: Statistics) -> None:
    """How many days are due now, before they are closed: a closing that does not get on shows."""
    now, zone = statistics.clock.now(), statistics.settings.zone
    unfinished = statistics.days.listed(OPEN, CLOSING, PUBLISHED, DROPPED)
    statistics.metrics.set(STATS_DAYS_OVERDUE, sum(due(day, now, zone) for day in unfinished))


def pause(stop: Stop) -> None:
    """Between two looks at how far the worker is. Raises `Transient` when asked to stop meanwhile."""
    if stop.wait(WAIT_S):
        raise Transient("The service is stopping; closing goes on at the next start.")


@contextlib.contextmanager
def _web(statistics: Statistics) -> Iterator[None]:
    app = statistics_app(
        settings=statistics.settings,
        clock=statistics.clock,
        engine=statistics.engine,
        analytics=statistics.reading,
        metrics=statistics.metrics,
    )
    with serving(app, statistics.settings.statistics.listen) as (host, port):
        get_logger().info("statistics listen", listen=f"{host}:{port}")
        yield


@contextlib.contextmanager
def _control(statistics: Statistics, stop: Stop) -> Iterator[None]:
    """Commands reach an embedded store only through the process that owns it."""
    if not statistics.writing.embedded:
        yield
        return
    with control.serve(statistics.settings.data, SERVICE, operations(statistics, lambda: pause(stop))):
        yield
