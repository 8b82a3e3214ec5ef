"""Runs the statistics plane: the worker, the closer with its snapshots, pages and commands, until stopped."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

from services.runtime import control
from services.runtime.clickhouse import open_analytics
from services.runtime.clock import Clock
from services.runtime.database import check_schema, open_records
from services.runtime.errors import Transient
from services.runtime.logs import get_logger
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings
from services.runtime.stop import DRAIN_S_MAX, Stop
from services.runtime.web.server import serving
from services.stats import SERVICE
from services.stats.close import close_due
from services.stats.operations import operations
from services.stats.records import MIGRATIONS
from services.stats.service import Statistics, open_statistics
from services.stats.snapshot import take_snapshot
from services.stats.web import statistics_app

__all__ = ["Loops", "come_round", "run", "run_loops", "serve"]

LOOK_S = 5.0  # how soon a day that is due is taken up
WAIT_S = 0.2  # between two looks at how far the worker is


def run(settings: Settings, clock: Clock, stop: Stop) -> None:
    """Loops, pages and commands in one process. Raises what ended one of the loops."""
    statistics = open_statistics(settings, clock)
    try:
        with _control(statistics, stop), _web(statistics):
            loops = Loops(statistics, stop)
            loops.start()
            loops.wait()
    finally:
        statistics.close()


def run_loops(settings: Settings, clock: Clock, stop: Stop) -> None:
    """Without the pages; several such processes share the work. Raises what ended one of the loops."""
    statistics = open_statistics(settings, clock)
    try:
        loops = Loops(statistics, stop)
        loops.start()
        loops.wait()
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


class Loops:
    """The plane's threads. When one ends by an error all stop, and `wait` raises it."""

    def __init__(self, statistics: Statistics, stop: Stop) -> None:
        self._stop = stop
        self._errors: list[BaseException] = []
        member = socket.gethostname()
        work: Mapping[str, Callable[[], None]] = {
            "count": lambda: statistics.worker(member).run(stop),
            "close": lambda: come_round(statistics, stop),
        }
        self._threads = [threading.Thread(target=self._guard, args=(f,), name=n) for n, f in work.items()]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Blocks until stopped and drained."""
        while not self._stop.wait(1.0):
            pass
        for thread in self._threads:
            thread.join(DRAIN_S_MAX)
        if self._errors:
            raise self._errors[0]

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # handed to `wait`, which raises it in the main thread
            self._errors.append(error)
            self._stop.set()


def come_round(statistics: Statistics, stop: Stop) -> None:
    """Days that are due are closed, today's snapshot is renewed. What must wait is tried again."""
    next_snapshot = statistics.clock.now()
    while not stop.is_set:
        try:
            close_due(statistics.closer(lambda: pause(stop)), statistics.settings.zone)
            if statistics.clock.now() >= next_snapshot:
                take_snapshot(statistics.snapshotter())
                next_snapshot = statistics.clock.now() + timedelta(
                    minutes=statistics.settings.statistics.snapshot_minutes
                )
        except Transient as error:
            get_logger().warning("closing waits", retry_after_s=error.retry_after_s)
        stop.wait(LOOK_S)


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
