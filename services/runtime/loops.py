"""A plane's threads: each a loop that runs until it is asked to stop; when one fails, all stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from services.runtime.errors import Transient
from services.runtime.logs import get_logger
from services.runtime.stop import DRAIN_S_MAX, Stop

__all__ = ["Loops", "patiently"]


def patiently(run: Callable[[], None], stop: Stop) -> None:
    """A service at its start: a database or broker that is away is waited for, because after a power cut nobody says
    which machine is up first. Raises what `run` raises, but for a `Transient` before its work began."""
    while True:
        try:
            run()
            return
        except Transient as error:
            if stop.is_set:  # it ran, and one of its loops failed; or somebody stops it
                raise
            get_logger().warning("start waits", reason=str(error), retry_after_s=error.retry_after_s)
            if stop.wait(error.retry_after_s):
                return


class Loops:
    """`work`: what each thread runs, by its name; each returns soon after `stop` is set."""

    def __init__(self, work: Mapping[str, Callable[[], None]], stop: Stop) -> None:
        self._stop = stop
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._guard, args=(f,), name=n) for n, f in work.items()]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Blocks until stopped and drained. Raises what ended one of the loops."""
        while not self._stop.wait(1.0):
            pass
        for thread in self._threads:
            thread.join(DRAIN_S_MAX)
        if self._errors:
            raise self._errors[0]

    def missing(self) -> list[str]:
        """The loops that do not run."""
        return [thread.name for thread in self._threads if not thread.is_alive()]

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # handed to `wait`, which raises it in the main thread
            self._errors.append(error)
            self._stop.set()
