"""So many requests an hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.runtime.clock import FixedClock
from services.runtime.web.quota import Quota


def test_the_hours_share_is_used_up_and_comes_back() -> None:
    """600 an hour at once, then one every six seconds; another key is not touched."""
    clock = FixedClock(datetime(2026, 3, 2, tzinfo=UTC))
    quota = Quota(600, clock)
    assert [quota.take("a") for _ in range(600)] == [0.0] * 600
    assert 0 < quota.take("a") <= 6
    assert quota.take("b") == 0
    clock.advance(timedelta(seconds=6))
    assert quota.take("a") == 0
    assert quota.take("a") > 0


def test_a_clock_set_back_gives_nothing_away() -> None:
    """Time that runs backwards refills no bucket."""
    clock = FixedClock(datetime(2026, 3, 2, 12, tzinfo=UTC))
    quota = Quota(1, clock)
    assert quota.take("a") == 0
    clock.advance(timedelta(hours=-2))
    assert quota.take("a") > 0
