"""A day that is due and does not close shows in the metrics."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from services.runtime.clock import FixedClock
from services.runtime.metrics import STATS_DAYS_OVERDUE
from services.stats.days.states import AFTER_IMPORT
from services.stats.plane import tell_overdue
from services.stats.service import open_statistics
from tests.parts.backups import settings_of
from tests.parts.closing import FIRST, START, crowd, new_world, rows


def test_overdue_days_are_counted_until_they_are_closed(tmp_path: Path) -> None:
    """From the moment they are due; a closed one no more."""
    world = new_world(tmp_path)
    world.put(rows("chess-club", FIRST, crowd(30)))
    world.put(rows("rowing", FIRST, crowd(30)))
    world.close()
    clock = FixedClock(START)
    statistics = open_statistics(settings_of(tmp_path), clock)
    try:
        seen = []
        for wait in (timedelta(0), AFTER_IMPORT - timedelta(seconds=1), timedelta(seconds=1)):
            clock.advance(wait)
            tell_overdue(statistics)
            seen.append(statistics.metrics.value(STATS_DAYS_OVERDUE))
        assert seen == [0, 0, 2]
        statistics.days.advance([statistics.days.listed()[0].pair], "closed")
        tell_overdue(statistics)
        assert statistics.metrics.value(STATS_DAYS_OVERDUE) == 1
    finally:
        statistics.close()
