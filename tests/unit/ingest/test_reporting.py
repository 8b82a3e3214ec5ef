"""Reports of the sources: what changed, once, and nothing of a line."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from services.ingest.accounting import Outcome
from services.ingest.plane import open_reporter
from services.ingest.reporting import REPORT_EVERY, Reporter, reporting
from services.ingest.service import Ingest
from services.ingest.source_counts import Tally
from services.runtime import avro
from services.runtime.errors import Transient
from services.runtime.log.interface import EventLog
from tests.parts.edge import NOW, AwayLog, opened, records


def reports(log: EventLog) -> list[pl.DataFrame]:
    return [avro.decode_batch(record.value or b"", "source_report")[0] for record in records(log, "source-report")]


def said(log: EventLog) -> list[tuple[str | None, str, int]]:
    """(source, outcome, count) of every row, in order."""
    return [row for frame in reports(log) for row in frame.select("source", "outcome", "count").iter_rows()]


def _reporter(ingest: Ingest, log: AwayLog) -> Reporter:
    parts = (ingest.source_counts, ingest.meters.refusals, ingest.sources)
    return Reporter(*parts, log, ingest.clock, edge="here", spool_bytes=lambda: 7)  # type: ignore[arg-type]  # a switch on the real log


def test_what_changed_is_reported_once(tmp_path: Path) -> None:
    """With what stands: that this process lives, and which sources there are."""
    standing = [(None, "spool_bytes", 0), ("web", "declared", 1)]
    with opened(tmp_path) as ingest:
        reporter = open_reporter(ingest, lambda: 0)
        ingest.source_counts.add(Tally("web", Outcome(3, 2, 0, {"bad_status": 1}), NOW))
        ingest.meters.refused("web", "bad_key", NOW)
        reporter.step()
        counts = [("web", "accepted", 2), ("web", "rejected:bad_status", 1), ("web", "refused:bad_key", 1)]
        assert sorted(map(str, said(ingest.log))) == sorted(map(str, [*standing, *counts]))
        reporter.step()
        assert len(said(ingest.log)) == 5, "before a minute is over nothing is said again"
        ingest.clock.sleep(REPORT_EVERY.total_seconds())
        reporter.step()
        assert said(ingest.log)[5:] == standing


def test_reports_wait_for_the_log(tmp_path: Path) -> None:
    """And come whole once it is back, with how much waits in the spool."""
    with opened(tmp_path) as ingest:
        log = AwayLog(ingest.log)
        reporter = _reporter(ingest, log)
        ingest.source_counts.add(Tally("web", Outcome(1, 1), NOW))
        log.away = True
        with pytest.raises(Transient):
            reporter.report()
        log.away = False
        reporter.report()
        assert said(ingest.log) == [(None, "spool_bytes", 7), ("web", "declared", 1), ("web", "accepted", 1)]


def test_a_stop_reports_what_is_left(tmp_path: Path) -> None:
    """Refusals of the last seconds too."""
    with opened(tmp_path) as ingest:
        with reporting(open_reporter(ingest, lambda: 0)):
            ingest.meters.refused("web", "bad_key", NOW)
        assert ("web", "refused:bad_key", 1) in said(ingest.log)


def test_a_defect_in_a_report_does_not_stop_ingest(tmp_path: Path) -> None:
    """It is logged."""

    def broken() -> int:
        raise ZeroDivisionError

    with opened(tmp_path) as ingest:
        with reporting(open_reporter(ingest, broken)):
            ingest.source_counts.add(Tally("web", Outcome(1, 1), NOW))
        assert said(ingest.log) == []
