"""What is kept of ingest's reports, and what the collection page makes of it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import typer.main

from services.cli.main import COMMANDS
from services.ingest.accounting import RejectReason
from services.runtime.database import open_plane_records
from services.runtime.web.languages import language
from services.stats.collection.reports import BLOCK, LAG, TERM, Collection
from services.stats.collection.senders import REJECTED_MIN, Sender, senders
from services.stats.dashboard.sources import REASON_WORDS, SILENT, sources_page
from services.stats.records import MIGRATIONS
from tests.parts.collecting import reported

NOW = datetime(2026, 11, 23, 12, 2, tzinfo=UTC)
BLOCK_NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PARIS = ZoneInfo("Europe/Paris")


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    engine = open_plane_records(f"sqlite:///{tmp_path}/statistics.db", MIGRATIONS)
    found = Collection(engine)
    found.take(reported([_row("declared", 1)], NOW))
    yield found
    engine.dispose()


def _row(outcome: str, count: int, ago: int = 0, source: str = "web", tenant: str = "acme") -> dict[str, Any]:
    """`ago` in blocks."""
    block = BLOCK_NOW - ago * BLOCK
    return {"source": source, "tenant": tenant, "block": block, "outcome": outcome, "count": count}


def _only(collection: Collection, tenants: frozenset[str] | None = None, now: datetime = NOW) -> Sender:
    (sender,) = senders(collection, tenants, now)
    return sender


def test_the_highest_count_of_a_block_is_the_latest(collection: Collection) -> None:
    """Reports that come again, or late, change nothing; blocks add up."""
    for count in (3, 8, 5, 8):
        collection.take(reported([_row("accepted", count), _row("accepted", count, ago=3)], NOW))
    assert _only(collection).accepted == 16


def test_a_source_that_nothing_came_from_is_there(collection: Collection) -> None:
    """It may be the one that is not set up rightly."""
    sender = _only(collection)
    assert (sender.accepted, sender.last_block, sender.alerts) == (0, None, [])


def test_refusals_are_no_sign_of_life(collection: Collection) -> None:
    """Last seen is when a line came."""
    collection.take(reported([_row("accepted", 1, ago=9), _row("refused:bad_key", 1)], NOW))
    assert _only(collection).last_block == BLOCK_NOW - 9 * BLOCK


def test_a_viewer_sees_rounded_counts_of_their_tenants(collection: Collection) -> None:
    """A five-minute block of a small site may be one visit: neither rates nor counts tell. Operators see all, exact."""
    other = [_row("declared", 1, source="other", tenant="rival"), _row("accepted", 9, source="other", tenant="rival")]
    collection.take(reported([*other, _row("accepted", 7, ago=1), _row("rejected:bad_json", 1, ago=2)], NOW))
    mine = _only(collection, frozenset({"acme"}))
    assert (mine.name, mine.accepted, mine.rejected) == ("web", 5, {"bad_json": 5})
    assert senders(collection, frozenset(), NOW) == []
    exact = {sender.name: sender for sender in senders(collection, None, NOW)}
    assert (exact["web"].accepted, exact["web"].rejected, exact["other"].accepted) == (7, {"bad_json": 1}, 9)
    assert all(count % 5 == 0 for sender in (mine, *exact.values()) for count in sender.series)


def test_the_rate_is_of_complete_blocks(collection: Collection) -> None:
    """288 of them; the one that goes on would look like a fall."""
    collection.take(
        reported([_row("accepted", 500), _row("accepted", 100, ago=1), _row("duplicates", 20, ago=288)], NOW)
    )
    series = _only(collection).series
    assert (len(series), series[-1], series[0], sum(series)) == (288, 100, 20, 120)


@pytest.mark.parametrize(
    ("code", "ago", "alarmed"),
    [("bad_key", 0, True), ("quota", 12, True), ("bad_key", 14, False), ("busy", 0, False), ("something_new", 0, True)],
)
def test_a_sender_that_is_being_refused_is_alarmed(collection: Collection, code: str, ago: int, alarmed: bool) -> None:
    """For an hour after the last one; not for what passes by itself: then the sender was told to come again."""
    collection.take(reported([_row(f"refused:{code}", 4, ago), _row(f"refused:{code}", 3, ago + 20)], NOW))
    alerts = _only(collection).alerts
    assert [(a.code, a.count, a.since) for a in alerts] == (
        [(code, 7, BLOCK_NOW - (ago + 20) * BLOCK)] if alarmed else []
    )


@pytest.mark.parametrize(("rejected", "accepted", "alarmed"), [(40, 40, True), (40, 41, False), (19, 0, False)])
def test_a_format_that_does_not_fit_is_alarmed(
    collection: Collection, rejected: int, accepted: int, alarmed: bool
) -> None:
    """When half of the last hour's lines or more are rejected, and they are not just a few."""
    assert REJECTED_MIN == 20
    rows = [_row("rejected:unknown_shape", rejected - 1), _row("rejected:empty_line", 1), _row("accepted", accepted, 2)]
    collection.take(reported(rows, NOW))
    assert [(a.kind, a.code) for a in _only(collection).alerts] == ([("rejected", "unknown_shape")] if alarmed else [])


def test_what_is_past_its_term_is_deleted(collection: Collection) -> None:
    """Blocks, sources that ingest no longer names, gauges."""
    collection.take(reported([_row("accepted", 1)], NOW))
    collection.measure(LAG, 3, NOW)
    collection.forget(NOW + TERM - timedelta(minutes=5))
    assert (len(collection.counts(None, NOW - TERM)), len(collection.gauges())) == (1, 1)
    collection.forget(NOW + TERM + timedelta(seconds=1))
    assert (collection.counts(None, NOW - TERM), collection.sources(None), collection.gauges()) == ([], [], {})


# --- in words ---


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (0, "in the last 5 minutes"),
        (1, "about 5 minutes ago"),
        (11, "about 55 minutes ago"),
        (12, "about 1 hour ago"),
        (23, "about 2 hours ago"),
        (12 * 47, "about 47 hours ago"),
        (12 * 60, "2 days ago"),
    ],
)
def test_last_seen_is_no_finer_than_a_block(collection: Collection, ago: int, words: str) -> None:
    """The same words from the first to the last second of a block."""
    collection.take(reported([_row("accepted", 1, ago)], NOW))
    for now in (BLOCK_NOW, BLOCK_NOW + BLOCK - timedelta(seconds=1)):
        page = sources_page(senders(collection, None, now), {}, now, PARIS, language("en"), operator=True)
        assert page.rows[0].last_seen == words


def test_an_alert_says_what_to_run(collection: Collection) -> None:
    """To operators; a viewer cannot run it. Times are the installation's, with the day when it is another."""
    collection.take(reported([_row("refused:revoked_key", 12, 1), _row("refused:revoked_key", 300, 23 * 12)], NOW))
    gauges = collection.gauges()
    (alert, silent) = sources_page(
        senders(collection, None, NOW), gauges, NOW, PARIS, language("en"), operator=True
    ).notices
    assert alert.text == "Source web: 312 requests refused since Sun 22 Nov, 14:00: their key was revoked."
    assert alert.command == "voile source rotate-key web"
    assert silent.text.startswith("Nothing was heard from ingest yet")
    mine = senders(collection, frozenset({"acme"}), NOW)
    (told,) = sources_page(mine, gauges, NOW, PARIS, language("en"), operator=False).notices
    assert told.text.startswith("Source web: 310 requests refused")
    assert told.command == ""


@pytest.mark.parametrize("code", ["missing_key", "bad_key", "revoked_key", "wrong_source", "tenant_inactive", "quota"])
def test_what_an_alert_says_to_run_exists(collection: Collection, code: str) -> None:
    """A command that is renamed breaks this before it breaks an operator at night."""
    collection.take(reported([_row(f"refused:{code}", 1), _row("rejected:bad_json", 30)], NOW))
    page = sources_page(senders(collection, None, NOW), collection.gauges(), NOW, PARIS, language("en"), operator=True)
    assert len(page.notices) == 3
    assert "voile formats detect FILE" in [notice.command for notice in page.notices]
    for notice in page.notices:
        _, first, *rest = notice.command.split()
        app = importlib.import_module(f"services.cli.{COMMANDS[first].module}").app
        assert not rest or rest[0] in typer.main.get_group(app).commands, notice.command


def test_every_reason_of_a_reject_has_words() -> None:
    """A new one is shown by its code until somebody says here what it means."""
    assert set(REASON_WORDS) == set(RejectReason)


def test_an_ingest_that_is_silent_is_told(collection: Collection) -> None:
    """It does not run, or the event log is away: figures stand still, and nobody else would say so."""
    spool = {"source": None, "tenant": None, "block": BLOCK_NOW, "outcome": "spool_bytes", "count": 3_400_000}
    collection.take(reported([spool], NOW))
    collection.measure(LAG, 12, NOW)

    def page(now: datetime) -> Any:
        return sources_page(
            senders(collection, None, now), collection.gauges(), now, PARIS, language("en"), operator=True
        )

    assert page(NOW + SILENT).notices == []
    assert page(NOW + SILENT).facts[:2] == [
        "Spool: 3.4 MB wait for the event log",
        "Statistics: 12 batches wait to be counted",
    ]
    late = page(NOW + SILENT + timedelta(seconds=1))
    assert [notice.command for notice in late.notices] == ["voile doctor"]
    assert late.facts == ["Statistics: the worker was last seen at 13:02", "Reported up to 13:02 (Europe/Paris)"]
