"""Graceful stop: SIGTERM and SIGINT set one flag that every loop looks at."""

from __future__ import annotations

import signal
import threading

__all__ = ["DRAIN_S_MAX", "Stop"]

DRAIN_S_MAX = 15.0  # service managers kill after this long; what is in hand must be done by then


class Stop:
    def __init__(self) -> None:
        self._event = threading.Event()

    def on_signals(self) -> Stop:
        """Main thread only."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._event.set())
        return self

    def set(self) -> None:
        self._event.set()

    @property
    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """True when asked to stop within that time."""
        return self._event.wait(seconds)
