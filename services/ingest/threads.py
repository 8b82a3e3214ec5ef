"""Threads of a service that end with it: when one ends by an error, the service stops and says why."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from services.runtime.stop import DRAIN_S_MAX, Stop

__all__ = ["Threads"]


class Threads:
    """Runs each of `work` in a thread of its name. `work` looks at `stop`."""

    def __init__(self, stop: Stop, work: Mapping[str, Callable[[], None]]) -> None:
        self._stop = stop
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._guard, args=(f,), name=n, daemon=True) for n, f in work.items()]

    def __enter__(self) -> Threads:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(DRAIN_S_MAX)

    def raise_error(self) -> None:
        """The first that ended a thread."""
        if self._errors:
            raise self._errors[0]

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # handed to `raise_error`, in the main thread
            self._errors.append(error)
            self._stop.set()
