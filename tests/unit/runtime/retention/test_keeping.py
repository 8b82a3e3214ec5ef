"""A round of retention: remove, count again, publish; and what the report says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.runtime.clock import FixedClock
from services.runtime.errors import Transient
from services.runtime.log import open_log
from services.runtime.log.interface import EventLog, Message
from services.runtime.metrics import RETENTION_OVER, RETENTION_REMOVED, Metrics
from services.runtime.retention import published
from services.runtime.retention.keeping import EVERY, SLACK, Held, Retention
from services.runtime.retention.published import Published, as_json, from_json
from services.runtime.retention.terms import Standing, Terms
from services.runtime.settings import Kafka, Settings
from services.runtime.topics import TOPICS

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@dataclass
class Shelf:
    """A keeper of moments, by tenant."""

    kind: str = "linked"
    rows: dict[str, list[datetime]] = field(default_factory=dict)
    is_away: bool = False

    def held(self, terms: Terms, now: datetime) -> Sequence[Held]:
        return [Held(t, len(at), min(at), len(self._over(terms, now, t))) for t, at in self.rows.items() if at]

    def remove(self, terms: Terms, now: datetime) -> Mapping[str, int]:
        if self.is_away:
            raise Transient("The shelf is away.")
        over = {tenant: self._over(terms, now, tenant) for tenant in self.rows}
        self.rows = {t: [at for at in rows if at not in over[t]] for t, rows in self.rows.items()}
        return {tenant: len(rows) for tenant, rows in over.items() if rows}

    def _over(self, terms: Terms, now: datetime, tenant: str) -> list[datetime]:
        return [at for at in self.rows[tenant] if at < terms.cutoff(self.kind, now, tenant)]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    made = open_log(f"sqlite://{tmp_path}/events.db", Kafka(), FixedClock(NOW))
    made.ensure_topics([TOPICS["retention-report"]])
    yield made
    made.close()


def _days_ago(*days: int) -> list[datetime]:
    return [NOW - timedelta(days=n) for n in days]


def _retention(log: EventLog, shelf: Shelf, metrics: Metrics | None = None, **tenants: Standing) -> Retention:
    terms = Terms(Settings(), tenants)
    return Retention("identity", [shelf], lambda: terms, log=log, clock=FixedClock(NOW), metrics=metrics)


def test_a_round_removes_what_is_over_and_counts_again(log: EventLog) -> None:
    """Each tenant by its own term."""
    shelf = Shelf(rows={"a": _days_ago(1, 89, 91), "b": _days_ago(20, 40)})
    metrics = Metrics()
    a, b = _retention(log, shelf, metrics, b=Standing(days={"linked": 30})).run()

    assert (a.tenant, a.rows, a.over, a.removed, a.term) == ("a", 2, 0, 1, timedelta(days=90))
    assert (b.tenant, b.rows, b.over, b.removed, b.term) == ("b", 1, 0, 1, timedelta(days=30))
    assert (a.ran_at, a.next_run, a.oldest) == (NOW, NOW + EVERY, NOW - timedelta(days=89))
    assert metrics.value(RETENTION_REMOVED, kind="linked") == 2
    assert metrics.value(RETENTION_OVER, kind="linked") == 0


def test_what_is_not_removed_is_told_as_too_old(log: EventLog) -> None:
    """The switch of the whole: a store that does not delete makes the report fail."""
    shelf, metrics = Shelf(rows={"a": _days_ago(91)}, is_away=True), Metrics()
    (line,) = _retention(log, shelf, metrics).run()
    assert (line.over, line.kept) == (1, False)
    assert metrics.value(RETENTION_OVER, kind="linked") == 1


def test_a_report_removes_nothing_and_remembers_the_last_round(log: EventLog) -> None:
    """It asks the stores anew."""
    shelf = Shelf(rows={"a": _days_ago(1, 91)})
    retention = _retention(log, shelf)
    retention.run()
    shelf.rows["a"] += _days_ago(92)
    (line,) = retention.report()
    assert (line.rows, line.over, line.removed, line.ran_at) == (2, 1, 1, NOW)
    assert len(shelf.rows["a"]) == 2


def test_a_row_is_too_old_only_when_a_round_was_missed(log: EventLog) -> None:
    """The work comes every hour: what has been over for a minute is no broken promise."""
    late = NOW - timedelta(days=90) - SLACK
    shelf = Shelf(rows={"a": [late + timedelta(minutes=1)], "b": [late - timedelta(minutes=1)]})
    assert [line.over for line in _retention(log, shelf).report()] == [0, 1]


def test_a_type_that_there_is_nothing_of_has_a_line(log: EventLog) -> None:
    """Whoever reads the report sees that it was looked at."""
    (line,) = _retention(log, Shelf()).report()
    assert (line.kind, line.tenant, line.rows, line.oldest, line.kept) == ("linked", "", 0, None, True)


def test_the_console_reads_what_was_counted_last(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when there are fewer lines than before, spread over fewer messages; damaged ones are passed over."""
    monkeypatch.setattr(published, "ROWS_MAX", 2)
    shelf = Shelf(rows={name: _days_ago(1) for name in "abcde"})
    clock = FixedClock(NOW)
    retention = Retention("identity", [shelf], lambda: Terms(Settings(), {}), log=log, clock=clock)
    with Published(log) as following:
        retention.run()
        assert [line.tenant for line in following.lines()] == list("abcde")
        clock.sleep(3600)
        shelf.rows = {"a": _days_ago(2)}
        retention.run()
        log.send([Message(TOPICS["retention-report"].name, b"identity/linked/9", b"no report")])
        (line,) = following.lines("identity")
    assert (line.tenant, line.at) == ("a", NOW + EVERY)
    assert from_json(as_json(line)) == line
