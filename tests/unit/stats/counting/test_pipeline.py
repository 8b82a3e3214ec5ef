"""The whole pipeline against a slow row-by-row reference, and what may never come out of it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import iptocc
import polars as pl
import pytest

from services.runtime.clock import FixedClock
from services.stats.counting.agents import Agents
from services.stats.counting.pipeline import EVENT_COLUMNS
from services.stats.counting.referrers import Referrers
from services.stats.counting.routes import Templater
from services.stats.rights.suppression import Signal, Suppressions
from services.stats.tenants.registry import Tenant, Tenants
from tests.parts.counting import CHROME, DAY, NOON, TENANT, KnownDays, access, accesses, pipeline

PARIS = "Europe/Paris"
ROWS = [
    access(
        i,
        timestamp=NOON + timedelta(minutes=37 * i, milliseconds=i),
        tenant=(TENANT, "choir")[i % 2],
        client_address=("198.51.100.7", "8.8.8.8", "2001:db8::1", "193.0.6.139")[i % 4],
        user_agent=(CHROME, None, "Googlebot/2.1 (+http://www.google.com/bot.html)")[i % 3],
        account=(None, "nina", None, None, "paul")[i % 5],
        path=("/rules", "/members/nina", "/app.css", "/orders/1234")[i % 4],
        referrer=(None, "https://www.google.com/", "https://t.co/x")[i % 3],
        method=("GET", "POST", "GET", "BREW")[i % 4],
        status=(200, 304, 404, None, 500)[i % 5],
        query=(None, "utm_source=News&utm_campaign=nina%40x.example", "page=2")[i % 3],
        event=(None, None, "order placed", "nina@example.org", "order 1234")[i % 5],
        response_bytes=(100, None)[i % 2],
        duration_ms=(None, 3)[i % 2],
    )
    for i in range(120)
]


def reference(row: dict[str, Any], key: bytes) -> tuple[Any, ...]:
    """One event as the documents say it, without columns, caches or distinct values."""
    agent = Agents_.classify(row["user_agent"] or "")
    local = row["timestamp"].replace(tzinfo=UTC).astimezone(ZoneInfo(PARIS))
    host = row["client_address"] if "." in row["client_address"] else "20010db800000000"
    net = host.rpartition(".")[0] if "." in host else "20010db80000"

    def digest(person: bytes, size: int, *parts: str) -> int:
        message = b"".join(b"%d:%b" % (len(p.encode()), p.encode()) for p in (row["tenant"], *parts))
        return int.from_bytes(blake2b(message, key=key, person=person, digest_size=size).digest(), "little")

    page = row["method"] == "GET" and row["status"] in {200, 304} and row["path"] != "/app.css" and not row["event"]
    return (
        row["tenant"],
        local.date(),
        row["timestamp"].replace(microsecond=0),
        local.hour,
        digest(b"voile.visitor", 8, host, row["user_agent"] or ""),
        digest(b"voile.network", 2, net),
        digest(b"voile.account", 8, row["account"]) if row["account"] else 0,
        int(page),
        Templater_.template(row["path"]),
        *Referrers_.classify(row["tenant"], row["host"], row["referrer"]),
        iptocc.country_code(row["client_address"]) or "ZZ",
        *agent,
        row["method"] if row["method"] != "BREW" else "Other",
        row["status"] or 0,
        {None: "", "order placed": "order placed"}.get(row["event"], "(undeclared)"),
        *(("news", "", "{email}") if "utm" in (row["query"] or "") and row["tenant"] == TENANT else ("", "", "")),
        row["response_bytes"] or 0,
        -1 if row["duration_ms"] is None else row["duration_ms"],
        0,  # late
    )


def test_columns_are_the_row_by_row_result(tmp_path: Path) -> None:
    """Two tenants, two days in Paris, every kind of value: exactly the reference, in any order."""
    steps = pipeline(tmp_path, zone=PARIS, tenants=[Tenant(TENANT, "Chess", campaigns=True)])
    events = steps.run(accesses(ROWS))
    keys = {(t, d): steps.keyring.key(t, d) for t, d in events.frame.select("tenant", "event_day").unique().rows()}
    assert len(keys) > 4
    expected = []
    for row in ROWS:
        day = row["timestamp"].replace(tzinfo=UTC).astimezone(ZoneInfo(PARIS)).date()
        expected.append(reference(row, keys[row["tenant"], day] or b""))
    assert Counter(events.frame.rows()) == Counter(expected)
    assert dict(events.frame.schema) == EVENT_COLUMNS


def test_the_same_rows_give_the_same_events_again(tmp_path: Path) -> None:
    """Caches and keys of the first run change nothing in the second."""
    steps = pipeline(tmp_path)
    first, second = (steps.run(accesses(ROWS)).frame.sort(pl.all()) for _ in range(2))
    assert first.equals(second)


def test_late_and_suppressed_rows_are_counted_and_gone(tmp_path: Path) -> None:
    """Their numbers are all that is left of them."""
    suppressions = Suppressions()
    suppressions.apply([Signal("c", TENANT, "nina", "erasure", True, NOON + timedelta(days=9))])
    days = KnownDays({(TENANT, DAY): "closed"})
    rows = [
        access(0, account="nina"),
        access(1),
        access(2, tenant="choir"),
        access(3, timestamp=NOON + timedelta(days=1)),
    ]
    events = pipeline(tmp_path, days=days, suppressions=suppressions).run(accesses(rows))
    assert (events.suppressed, events.late) == (1, 1)
    assert sorted(events.frame["tenant"].to_list()) == [TENANT, "choir"]


def test_late_rows_become_nameless_requests_of_the_day_they_arrive_on(tmp_path: Path) -> None:
    """Who and how many stays, by that day's key; nothing tells what they were about, or when."""
    days = KnownDays({(TENANT, DAY): "closed"})
    today = NOON + timedelta(days=3)
    rows = [access(0, path="/agenda"), access(1, account="nina"), access(2, timestamp=today, path="/agenda")]
    events = pipeline(tmp_path, days=days, clock=FixedClock(today.replace(tzinfo=UTC))).run(accesses(rows))
    assert (events.frame.height, events.late) == (3, 0)
    assert events.frame["event_day"].unique().to_list() == [today.date()]
    on_time, first, second = events.frame.sort("late", "account").iter_rows(named=True)
    assert [row["late"] for row in (on_time, first, second)] == [0, 1, 1]
    assert second["account"] != 0
    told = {"visitor", "network", "bot_class", "late", "tenant", "event_day", "account", "time"}
    assert {value for name, value in first.items() if name not in told} == {"", 0}
    assert first["time"] == today.replace(hour=0)


def test_rows_that_the_day_of_their_arrival_does_not_take_are_only_counted(tmp_path: Path) -> None:
    """It may have been closed by hand already."""
    days = KnownDays({(TENANT, DAY): "closed"})
    events = pipeline(tmp_path, days=days, clock=FixedClock(NOON.replace(tzinfo=UTC))).run(accesses([access(0)]))
    assert (events.frame.height, events.late) == (0, 1)


def test_an_empty_batch_gives_an_empty_one(tmp_path: Path) -> None:
    """With the columns of every other."""
    events = pipeline(tmp_path).run(accesses([]))
    assert events.frame.is_empty()
    assert dict(events.frame.schema) == EVENT_COLUMNS


CANARIES = {
    "client_address": "203.0.113.77",
    "account": "canary-account-4711",
    "user_agent": "Canary-Agent/4711 (canary@example.org)",
    "path": "/members/canary-nina/canary@example.org/4711-4712-canary",
    "query": "canary=1&utm_source=canary@example.org&utm_medium=canary.nina&utm_campaign=canary-4711-4712",
    "referrer": "https://canary-host.example.net/canary-path",
    "host": "canary-host-of-ours.example",
    "site": "canary-site.example",
    "source": "canary-source",
    "event": "canary@example.org",
    "protocol": "canary-protocol",
    "method": "CANARY",
}


def leaks(frame: pl.DataFrame) -> list[str]:
    """Columns in which a canary can be read."""
    return [
        c
        for c in frame.columns
        if any("canary" in json.dumps(v, default=str).lower() or "203.0.113" in str(v) for v in frame[c])
    ]


def test_nothing_that_identifies_is_in_any_column(tmp_path: Path) -> None:
    """Marked values in every text field of an access: none comes out."""
    steps = pipeline(tmp_path, tenants=[Tenant(TENANT, "Chess", campaigns=True)])
    assert leaks(steps.run(accesses([access(0, **CANARIES)])).frame) == []


@pytest.mark.parametrize("column", ["client_address", "user_agent", "account"])
def test_the_canary_test_sees_a_column_too_many(tmp_path: Path, column: str) -> None:
    """Its switch: with an allow-list that lets one raw column pass, it finds it."""
    frame = accesses([access(0, **CANARIES)])
    kept = pipeline(tmp_path).run(frame).frame.hstack(frame.select(pl.col(column).alias("route_"))[:1])
    assert leaks(kept) == ["route_"]


def test_the_day_and_hour_are_the_installations(tmp_path: Path) -> None:
    """23:30 UTC in March is the next day in Paris, and half past midnight."""
    found = pipeline(tmp_path, zone=PARIS).run(accesses([access(0, timestamp=datetime(2026, 3, 10, 23, 30))])).frame
    assert found.select("event_day", "hour").row(0) == (DAY + timedelta(days=1), 0)


Agents_, Templater_, Referrers_ = Agents(), Templater(), Referrers(Tenants())
