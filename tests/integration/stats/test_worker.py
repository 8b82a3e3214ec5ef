"""The worker on the embedded profile: log, loop, store and records together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.runtime import avro
from services.runtime.clickhouse import sql
from services.runtime.clock import FixedClock
from services.runtime.consumer import PlannedConsumer
from services.runtime.log.interface import Message
from services.runtime.receipts import PRESENT_EVERY, receipts_of
from services.runtime.settings import Settings
from services.runtime.topics import TOPICS
from services.stats.counting.parts import Parts
from services.stats.rights import erasure
from services.stats.service import Statistics, open_statistics
from tests.parts.counting import NOON, TENANT, access, encoded, rows_stored

NOW = NOON.replace(tzinfo=UTC) + timedelta(hours=1)


@contextlib.contextmanager
def plane(data: Path, clock: FixedClock | None = None) -> Iterator[tuple[Statistics, PlannedConsumer]]:
    statistics = open_statistics(Settings(data=data), clock or FixedClock(NOW))
    worker = statistics.worker("member")
    try:
        yield statistics, worker
    finally:
        worker.close()
        statistics.close()


def send(statistics: Statistics, topic: str, *values: tuple[str, bytes | None]) -> None:
    statistics.log.send([Message(TOPICS[topic].name, key.encode(), value) for key, value in values])


def feed(statistics: Statistics, *batches: Sequence[dict[str, Any]]) -> None:
    send(statistics, "access-log", *(("web", encoded(batch)) for batch in batches))


def drain(worker: PlannedConsumer) -> None:
    while worker.step(0.1):
        pass


def numbered(first: int, rows: int, **changed: Any) -> list[dict[str, Any]]:
    return [access(n, response_bytes=n, **changed) for n in range(first, first + rows)]


def signal(kind: str, account: str, cutoff: datetime, case: str = "case-1", active: bool = True) -> tuple[str, bytes]:
    body = {"case": case, "tenant": TENANT, "account": account, "kind": kind, "active": active, "cutoff": cutoff}
    return f"{TENANT}/{account}/{kind}", avro.encode_record(body, "privacy_signal")


def receipts(statistics: Statistics) -> list[dict[str, Any]]:
    follower = statistics.log.follower([TOPICS["privacy-receipt"].name])
    found = [avro.decode_record(r.value or b"", "privacy_receipt") for r in follower.poll()]
    follower.close()
    return [receipt for receipt in found if receipt["state"] != "present"]


def numbers(statistics: Statistics) -> list[int]:
    query = "SELECT response_bytes AS n FROM events WHERE kind = 'event' ORDER BY n"
    return [int(n) for n in statistics.reading.frame(query)["n"]]


def test_what_the_log_brings_is_counted_once(tmp_path: Path) -> None:
    """And again nothing after a restart; what cannot be decoded is in the dead letters, without its text."""
    with plane(tmp_path) as (statistics, worker):
        feed(statistics, numbered(0, 100), numbered(100, 100))
        send(statistics, "access-log", ("web", b"nina@example.org"))
        drain(worker)
        assert rows_stored(statistics.reading)[0] == 200
    with plane(tmp_path) as (statistics, worker):
        feed(statistics, numbered(200, 50))
        drain(worker)
        assert numbers(statistics) == list(range(250))
        follower = statistics.log.follower([TOPICS["dead-letter"].name])
        (letter,) = [avro.decode_record(r.value or b"", "dead_letter") for r in follower.poll()]
        follower.close()
        assert (letter["reason"], letter["offset"], letter["length"]) == ("undecodable_batch", 2, 16)
        assert "nina" not in str(letter)


def counted_in_three_parts(data: Path) -> None:
    with plane(data) as (statistics, worker):
        for first in (0, 100, 200):
            feed(statistics, numbered(first, 100))
            drain(worker)
        assert rows_stored(statistics.reading) == (300, 3)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_part_that_went_missing_is_filled_from_the_log(tmp_path: Path, which: int) -> None:
    """First, middle or last: the ledger's ranges show the gap, the loop repairs it at its next assignment."""
    counted_in_three_parts(tmp_path)
    with plane(tmp_path) as (statistics, worker):
        part = sorted(Parts(statistics.writing).active())[which]
        statistics.writing.command(f"ALTER TABLE events DROP PART '{part}'")
        drain(worker)
        assert numbers(statistics) == list(range(300))


def test_a_part_that_breaks_is_found_by_the_watch_and_filled_from_the_log(tmp_path: Path) -> None:
    """It is dropped, and the loop recovers its partition without a restart."""
    counted_in_three_parts(tmp_path)
    with plane(tmp_path) as (statistics, worker):
        parts = Parts(statistics.writing)
        (data,) = [f for f in parts._files(sorted(parts.active())[1]) if f.name == "data.bin"]
        data.write_bytes(data.read_bytes()[:50])
        assert not worker.step(0.1)
        drain(worker)
        assert numbers(statistics) == list(range(300))


def test_an_erasure_deletes_what_is_there_and_keeps_out_what_comes(tmp_path: Path) -> None:
    """Up to its cut-off, for this account alone; the receipt says how many rows, once, also after a restart."""
    before = NOON - timedelta(hours=1)
    with plane(tmp_path) as (statistics, worker):
        feed(statistics, numbered(0, 10, account="nina", timestamp=before), numbered(10, 5, account="nina"))
        feed(statistics, numbered(15, 5, account="paul", timestamp=before), numbered(20, 5, timestamp=before))
        drain(worker)
        send(statistics, "privacy-signal", signal("erasure", "nina", before.replace(tzinfo=UTC)))
        feed(statistics, numbered(30, 5, account="nina", timestamp=before))
        drain(worker)
        assert numbers(statistics) == list(range(10, 25))
        said = [(r["case"], r["worker"], r["state"], r["store"], r["deleted"]) for r in receipts(statistics)]
        events, active = ("statistics events", 10), ("active accounts", 2)
        assert said == [("case-1", "stats/member", "completed", *store) for store in (events, active)]
        assert statistics.reading.frame("SELECT sum(suppressed) AS s FROM events")["s"][0] == 5
        left = "SELECT count() AS n FROM system.parts WHERE table = 'events' AND NOT active"
        assert statistics.reading.frame(left)["n"][0] == 0
    with plane(tmp_path) as (statistics, worker):
        drain(worker)
        assert len(receipts(statistics)) == 2


def test_a_replay_does_not_bring_an_erased_account_back(tmp_path: Path) -> None:
    """The part is lost, the log still has the batch: repaired without the account's rows."""
    with plane(tmp_path) as (statistics, worker):
        feed(statistics, [*numbered(0, 5, account="nina"), *numbered(5, 5)])
        drain(worker)
        send(statistics, "privacy-signal", signal("erasure", "nina", NOON.replace(tzinfo=UTC)))
        drain(worker)
        assert numbers(statistics) == list(range(5, 10))
        for part in Parts(statistics.writing).active():
            statistics.writing.command(f"ALTER TABLE events DROP PART '{part}'")
    with plane(tmp_path) as (statistics, worker):
        drain(worker)
        assert numbers(statistics) == list(range(5, 10))


def test_without_the_signals_the_replay_brings_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch of the two tests above."""
    monkeypatch.setattr("services.stats.rights.suppression.Suppressions.drop_suppressed", lambda _, frame: frame)
    with plane(tmp_path) as (statistics, worker):
        send(statistics, "privacy-signal", signal("erasure", "nina", NOON.replace(tzinfo=UTC)))
        feed(statistics, [*numbered(0, 5, account="nina"), *numbered(5, 5)])
        drain(worker)
        assert numbers(statistics) == list(range(10))


def test_the_registry_is_followed_while_the_worker_runs(tmp_path: Path) -> None:
    """Hosts and accepted routes of a tenant count for the next batch."""
    with plane(tmp_path) as (statistics, worker):
        feed(statistics, numbered(0, 1, path="/teams/nina", referrer="https://www.new.example/"))
        drain(worker)
        body = {"tenant": TENANT, "hosts": ["www.new.example"], "routes": ["/teams/{team}"], "status": "active"}
        word = {"name": None, "size_class": None, "releases": None, "platform_releases": None, "retention": None}
        value = avro.encode_record({**word, **body, "updated_at": NOW}, "tenant")
        send(statistics, "tenant", (TENANT, value))
        feed(statistics, numbered(1, 1, path="/teams/nina", referrer="https://www.new.example/"))
        drain(worker)
        query = (
            "SELECT route, CAST(referrer_class, 'String') AS c FROM events WHERE kind = 'event' ORDER BY response_bytes"
        )
        assert statistics.reading.frame(query).rows() == [("/teams/nina", "other"), ("/teams/{team}", "internal")]


@pytest.mark.parametrize(("kind", "active"), [("objection", True), ("restriction", True), ("restriction", False)])
def test_every_signal_is_answered_once(tmp_path: Path, kind: str, active: bool) -> None:
    """Also one that takes nothing away: its case waits for the word that it is in force."""
    for _ in range(2):
        with plane(tmp_path) as (statistics, worker):
            if not receipts(statistics):
                send(statistics, "privacy-signal", signal(kind, "nina", NOW, active=active))
            drain(worker)
            assert [(r["case"], r["state"]) for r in receipts(statistics)] == [("case-1", "acknowledged")]


def test_a_worker_says_that_it_runs(tmp_path: Path) -> None:
    """At its start and then every five minutes, so that an erasure knows whom to wait for."""
    clock = FixedClock(NOW)
    with plane(tmp_path, clock) as (statistics, worker):
        for _ in range(3):
            drain(worker)
            clock.advance(PRESENT_EVERY)
        follower = statistics.log.follower([TOPICS["privacy-receipt"].name])
        said = [(receipt.worker, receipt.at) for receipt in receipts_of(follower.poll())]
        follower.close()
        assert said == [("stats/member", NOW + n * PRESENT_EVERY) for n in range(3)]


def test_rows_that_stay_are_not_answered_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deletion that does not delete: the worker takes no further batch and says nothing false."""
    with plane(tmp_path) as (statistics, worker):
        feed(statistics, numbered(0, 10, account="nina"))
        drain(worker)
        with monkeypatch.context() as patch:
            patch.setattr(erasure, "sql", lambda package, name: sql(package, name.replace("delete", "count")))
            send(statistics, "privacy-signal", signal("erasure", "nina", NOW))
            assert not worker.step(0.1)
            assert receipts(statistics) == []
        drain(worker)
        assert [r["deleted"] for r in receipts(statistics)] == [10, 2]
