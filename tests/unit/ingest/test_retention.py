"""The terms of what the edge keeps, with what is planted too old in each store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from services.ingest.accounting import Outcome
from services.ingest.request_claims import KEY_TERM, RequestClaim
from services.ingest.service import Ingest
from services.ingest.source_counts import Tally
from services.ingest.sources import Source
from services.runtime.log.interface import Message
from services.runtime.retention.kinds import kinds_of
from services.runtime.retention.published import Line
from services.runtime.topics import TOPICS
from tests.parts.edge import NOW, SOURCE, opened, register


def _plant_topic(topic: str) -> Callable[[Ingest], None]:
    def plant(ingest: Ingest) -> None:
        ingest.log.send([Message(TOPICS[topic].name, b"k", b"v")])
        ingest.clock.sleep(((TOPICS[topic].kept_hours or 0) + 3) * 3600)

    return plant


def _claim(ingest: Ingest, name: str, after: timedelta) -> None:
    now = ingest.clock.now()
    ingest.request_claims.begin([RequestClaim(SOURCE.name, name, name, "body", 1, now + after)], now)


def _plant_claim(ingest: Ingest) -> None:
    _claim(ingest, "old", timedelta(hours=-3))
    _claim(ingest, "fresh", KEY_TERM)


def _plant_count(ingest: Ingest) -> None:
    old = ingest.clock.now() - timedelta(days=15)
    ingest.source_counts.add(Tally(SOURCE.name, Outcome(3, 3), old))
    ingest.source_counts.add(Tally(SOURCE.name, Outcome(3, 3), NOW))


PLANTS: Mapping[str, Callable[[Ingest], None]] = {
    "raw": _plant_topic("access-log"),
    "raw-lines": _plant_topic("access-log-raw"),
    "dead-letters": _plant_topic("dead-letter"),
    "claims": _plant_claim,
    "source-counts": _plant_count,
}


def _too_old(lines: Sequence[Line]) -> set[str]:
    return {line.kind for line in lines if not line.kept}


@pytest.mark.parametrize("kind", [kind.name for kind in kinds_of("ingest")])
@pytest.mark.parametrize("works", [True, False], ids=["removed", "switch"])
def test_what_is_too_old_fails_the_report_until_it_is_removed(
    tmp_path: Path, kind: str, works: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a run none is too old; with the removal replaced by nothing the report goes on failing."""
    with opened(tmp_path) as ingest:
        PLANTS[kind](ingest)
        assert _too_old(ingest.retention.report()) == {kind}
        (keeper,) = (keeper for keeper in ingest.retention.keepers if keeper.kind == kind)
        if not works:
            monkeypatch.setattr(type(keeper), "remove", lambda *_: {})
        ingest.retention.run()
        assert _too_old(ingest.retention.report()) == (set() if works else {kind})


def test_what_is_within_its_term_stays(tmp_path: Path) -> None:
    """The fresh claim and count of the same source."""
    with opened(tmp_path) as ingest:
        _plant_claim(ingest)
        _plant_count(ingest)
        lines = {line.kind: line for line in ingest.retention.run() if line.tenant == SOURCE.tenant}
        assert (lines["claims"].rows, lines["claims"].removed) == (1, 1)
        assert (lines["source-counts"].rows, lines["source-counts"].removed) == (1, 1)


def test_of_a_tenant_that_has_left_nothing_stays_and_the_twins_does(tmp_path: Path) -> None:
    """Fresh or not."""
    with opened(tmp_path) as ingest:
        register(ingest.log, "twin", "active")
        ingest.clock.sleep(2)
        ingest.add_source(Source("twin-web", "twin", "combined"))
        for source in (SOURCE.name, "twin-web"):
            ingest.source_counts.add(Tally(source, Outcome(3, 3), NOW))
        register(ingest.log, SOURCE.tenant, "terminating")
        ingest.clock.sleep(2)
        assert _too_old(ingest.retention.report()) == {"source-counts"}
        lines = [line for line in ingest.retention.run() if line.kind == "source-counts"]
        assert {line.tenant: (line.rows, line.over) for line in lines} == {"twin": (1, 0), SOURCE.tenant: (0, 0)}
