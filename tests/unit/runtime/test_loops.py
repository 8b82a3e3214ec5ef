"""A service's start while what it stands on is away."""

from __future__ import annotations

import pytest

from services.runtime.errors import Transient
from services.runtime.loops import patiently
from services.runtime.stop import Stop


def test_a_start_waits_until_the_stores_answer() -> None:
    """Twice they do not; then the service runs."""
    tries: list[int] = []

    def run() -> None:
        tries.append(len(tries))
        if len(tries) < 3:
            raise Transient("away", retry_after_s=0)

    patiently(run, Stop())
    assert tries == [0, 1, 2]


def test_a_loop_that_failed_is_no_start_that_waits() -> None:
    """The service had begun, and its loops had stopped: whoever watches it has to know."""
    stop = Stop()

    def run() -> None:
        stop.set()
        raise Transient("away")

    with pytest.raises(Transient):
        patiently(run, stop)
