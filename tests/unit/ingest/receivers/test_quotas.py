"""Lines a minute by source."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.receivers.quotas import RETRY_S_MAX, LineQuotas
from services.ingest.receivers.refusals import Refusal
from services.runtime.clock import FixedClock
from tests.parts.edge import NOW, SOURCE

LIMITED = replace(SOURCE, lines_per_minute=600)


def _wait(quotas: LineQuotas) -> int:
    """Seconds that a sender is told to wait; 0 when it may send."""
    try:
        quotas.require(LIMITED)
    except Refusal as refusal:
        return refusal.retry_s or -1
    return 0


def test_a_source_without_a_quota_is_never_refused() -> None:
    """Whatever it has sent."""
    quotas = LineQuotas(FixedClock(NOW))
    quotas.charge(SOURCE, 10**9)
    quotas.require(SOURCE)


def test_the_refusal_is_429_and_says_whose_it_is() -> None:
    """For the metric."""
    quotas = LineQuotas(FixedClock(NOW))
    quotas.charge(LIMITED, 600)
    with pytest.raises(Refusal, match="quota") as caught:
        quotas.require(LIMITED)
    assert (caught.value.status, caught.value.source) == (429, "web")


def test_a_minutes_lines_may_come_at_once_and_then_evenly() -> None:
    """The wait that is told is long enough, and no longer."""
    clock = FixedClock(NOW)
    quotas = LineQuotas(clock)
    quotas.charge(LIMITED, 599)
    assert _wait(quotas) == 0
    quotas.charge(LIMITED, 11)
    assert _wait(quotas) == 2
    clock.sleep(1)
    assert _wait(quotas) == 1
    clock.sleep(1)
    assert _wait(quotas) == 0


def test_a_body_larger_than_the_quota_is_taken_and_then_paid_for() -> None:
    """A body is never cut; the wait is bounded, so that a sender asks again now and then."""
    clock = FixedClock(NOW)
    quotas = LineQuotas(clock)
    quotas.charge(LIMITED, 60_000)
    assert _wait(quotas) == RETRY_S_MAX
    clock.sleep(99 * 60 + 1)
    assert _wait(quotas) == 0


def test_a_pause_saves_no_more_than_a_minute() -> None:
    """Else a night would allow a flood."""
    clock = FixedClock(NOW)
    quotas = LineQuotas(clock)
    clock.sleep(3600)
    quotas.charge(LIMITED, 600)
    assert _wait(quotas) > 0


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 300)), max_size=50))
def test_no_more_than_the_quota_passes_in_the_long_run(sent: list[tuple[float, int]]) -> None:
    """A minute's worth, what refilled, and the last body."""
    clock = FixedClock(NOW)
    quotas = LineQuotas(clock)
    passed = last = 0
    for pause, lines in sent:
        clock.sleep(pause)
        if not _wait(quotas):
            quotas.charge(LIMITED, lines)
            passed, last = passed + lines, lines
    elapsed_s = (clock.now() - NOW).total_seconds()
    assert passed <= 600 + elapsed_s * 10 + last
