"""Accesses are linked to their person once, and only those that may be."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.enricher import records
from services.enricher.activity import blocks as activity
from services.enricher.activity import pipeline
from services.enricher.activity.ledger import Ledger
from services.enricher.activity.pipeline import drop_suppressed, resolve_tenant_policy
from services.enricher.service import Identity
from services.enricher.tenants.registry import Tenant
from services.runtime import avro
from services.runtime.batches import AccessBatch, decode_access_batch, encode_access_batch
from services.runtime.clock import FixedClock
from services.runtime.metrics import IDENTITY_ROWS
from services.runtime.topics import TOPICS
from tests.parts import identity
from tests.parts.identity import (
    NOON,
    TENANT,
    access,
    batch,
    count,
    ledger_total,
    link,
    linked,
    opened,
    send,
)


def test_an_access_is_found_again_under_its_person(plane: Identity) -> None:
    """Every column that is kept comes back as it was sent, newest first."""
    rows = [access("ann", f"/{n}", at=NOON + timedelta(minutes=n), response_bytes=n, gpc=True) for n in range(3)]
    send(plane, batch(rows))
    link(plane)
    (subject,) = plane.directory.find(TENANT, "account", "ann")
    frame = plane.activity.read(subject, NOON - timedelta(days=1), NOON + timedelta(days=1))
    assert frame["path"].to_list() == ["/2", "/1", "/0"]
    assert frame["timestamp"].to_list() == [row["timestamp"] for row in reversed(rows)]
    assert frame["response_bytes"].to_list() == [2, 1, 0]
    assert frame["gpc"].to_list() == [True] * 3
    assert "account" not in frame.columns


@given(
    hours=st.lists(st.integers(0, 24 * 20), max_size=40),
    since=st.integers(0, 24 * 20),
    length=st.integers(0, 24 * 20),
    limit=st.integers(1, 20),
)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_reading_equals_filtering_and_sorting_everything(
    plane: Identity, hours: list[int], since: int, length: int, limit: int
) -> None:
    """The slow, obvious model: every row of the person in memory."""
    start = NOON - timedelta(days=25)
    who = f"person-{uuid4()}"
    for number, hour in enumerate(hours):  # a batch each: as many blocks as possible
        send(plane, batch([access(who, f"/{number}", at=start + timedelta(hours=hour))], origin=f"{who}/{number}"))
    link(plane)
    asked = start + timedelta(hours=since), start + timedelta(hours=since + length)
    times = [start + timedelta(hours=hour, seconds=-1) for hour in hours]
    expected = sorted((at for at in times if asked[0] <= at < asked[1]), reverse=True)[:limit]
    for subject in plane.directory.find(TENANT, "account", who) or ["nobody"]:
        frame = plane.activity.read(subject, *asked, limit)
        assert [at.replace(tzinfo=UTC) for at in frame["timestamp"].to_list()] == expected


def test_persons_and_tenants_are_apart(plane: Identity) -> None:
    """The same account id of two tenants is two persons."""
    send(plane, batch([access("ann", "/a"), access("bob", "/b"), access("ann", "/c", tenant="other")]))
    link(plane)
    assert linked(plane, "ann") == ["/a"]
    assert linked(plane, "bob") == ["/b"]
    assert linked(plane, "ann", "other") == ["/c"]
    assert count(plane, records.subjects) == 3


def test_every_row_is_accounted_for(plane: Identity) -> None:
    """rows = linked + duplicates + unauthenticated + suppressed + expired, and a damaged batch is one reject."""
    plane.rights.signal(TENANT, "eve", "C-1", kind="restriction")
    old = access("ann", "/old", at=NOON - timedelta(days=200))
    rows = [access("ann", "/a"), access(None), access("eve"), old]
    send(plane, batch(rows), batch(rows), b"damaged")
    link(plane)
    totals = ledger_total(plane)
    assert totals == {
        "rows": 8, "linked": 1, "duplicates": 4, "unauthenticated": 1, "suppressed": 1, "expired": 1, "rejected": 1,
    }  # fmt: skip
    assert linked(plane, "ann") == ["/a"]
    shown = {name: plane.metrics.value(IDENTITY_ROWS, outcome=name) for name in totals if name != "rows"}
    assert shown == {name: total for name, total in totals.items() if name != "rows"}


def test_a_dead_letter_says_where_and_never_what(plane: Identity) -> None:
    """The reason, place, length and a keyed digest; none of the bytes."""
    send(plane, b"ann@example.org")
    link(plane)
    follower = plane.log.follower([TOPICS["dead-letter"].name])
    (record,) = follower.poll()
    follower.close()
    letter = avro.decode_record(record.value or b"", "dead_letter")
    assert (letter["reason"], letter["offset"], letter["length"]) == ("undecodable_batch", 0, 15)
    assert b"ann@" not in (record.value or b"") + record.key


def test_what_ingest_published_twice_is_linked_once_also_after_a_restart(tmp_path: Path) -> None:
    """Coverage comes back from the ledger, also for a batch that overlaps only in part."""
    with opened(tmp_path) as plane:
        send(plane, batch([access("ann", f"/{n}") for n in range(4)]))
        link(plane)
    with opened(tmp_path) as plane:
        send(plane, batch([access("ann", f"/{n}") for n in range(2, 6)], first=2))
        link(plane)
        assert sorted(linked(plane, "ann")) == [f"/{n}" for n in range(6)]


def _without_note(value: bytes) -> bytes:
    """As it was written before a batch said how many accounts it names."""
    return value.replace(b"voile.accounts", b"voile.accountx")


@given(st.lists(st.tuples(st.integers(0, 12), st.lists(st.booleans(), min_size=1, max_size=5)), max_size=6))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_batch_that_names_nobody_is_counted_as_if_it_were_read(
    tmp_path: Path, drawn: list[tuple[int, list[bool]]]
) -> None:
    """Ledger and spans are the same as of batches without the note, also where batches repeat positions."""
    batches = [batch([access("ann" if named else None) for named in who], first=first) for first, who in drawn]
    values = [encode_access_batch(b) for b in batches]
    found = []
    for sent in (values, [_without_note(value) for value in values]):
        identity.forget_everything()
        with opened(tmp_path / str(uuid4())) as plane:
            send(plane, *sent)
            link(plane)
            found.append((ledger_total(plane), count(plane, records.spans), len(linked(plane, "ann"))))
    assert found[0] == found[1]


def test_no_row_of_a_batch_that_names_nobody_is_decoded(plane: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is accounted for by its header; the batch beside it, which names one, is decoded."""
    decoded: list[bytes] = []

    def noted(value: bytes) -> AccessBatch:
        decoded.append(value)
        return decode_access_batch(value)

    monkeypatch.setattr(pipeline, "decode_access_batch", noted)
    nameless, named = batch([access(None)] * 3), batch([access("ann", "/a")], first=10)
    send(plane, nameless, named)
    link(plane)
    assert [len(value) for value in decoded] == [len(encode_access_batch(named))]
    totals = ledger_total(plane)
    assert (totals["rows"], totals["unauthenticated"], totals["linked"]) == (4, 3, 1)


class _Crash(BaseException):
    """What kill -9 looks like from inside: no handler of ours catches it."""


@pytest.mark.parametrize("point", ["ensure", "reserve", "seal", "ledger", "insert", "after"])
def test_a_crash_anywhere_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """The transaction holds the blocks and the ledger row, so either both stand or neither does."""
    rows = [access(who, f"/{n}") for n, who in enumerate(["ann", "bob"] * 5)]
    with opened(tmp_path) as plane:
        send(plane, batch(rows))
        with monkeypatch.context() as patch:
            _break(patch, plane, point)
            with pytest.raises(_Crash):
                link(plane)
    with opened(tmp_path) as plane:
        link(plane)
        link(plane)
        assert sorted(linked(plane, "ann") + linked(plane, "bob")) == sorted(str(row["path"]) for row in rows)
        assert ledger_total(plane)["linked"] == len(rows)


def test_without_one_transaction_a_crash_doubles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch: with the ledger row left out of the transaction the same check fails."""
    with opened(tmp_path) as plane:
        send(plane, batch([access("ann", "/a")]))
        monkeypatch.setattr(Ledger, "write", lambda *_, **__: None)
        link(plane)
        link(plane)
        assert linked(plane, "ann") == ["/a", "/a"]


def test_a_block_past_its_term_is_deleted(tmp_path: Path) -> None:
    """The tenant's shorter term wins over the operator's ceiling, and a longer one does not."""
    clock = FixedClock(NOON)
    with opened(tmp_path, clock) as plane:
        plane.registry.add(Tenant("short", "S", NOON, retention={"linked": 7}))
        plane.registry.add(Tenant("long", "L", NOON, retention={"linked": 900}))
        send(plane, batch([access("ann", tenant=t) for t in ("short", "long")]))
        link(plane)
        assert _expired(plane, clock, 7) == {}
        assert _expired(plane, clock, 1) == {"short": 1}
        assert _expired(plane, clock, 82) == {}
        assert _expired(plane, clock, 1) == {"long": 1}


def _expired(plane: Identity, clock: FixedClock, days: int) -> dict[str, int]:
    """What goes after so many more days."""
    clock.sleep(timedelta(days=days).total_seconds())
    return {line.tenant: line.removed for line in plane.retention.run() if line.kind == "linked" and line.removed}


def test_a_tenant_that_left_gets_no_new_activity(plane: Identity) -> None:
    """What still comes of it is dropped and counted."""
    plane.registry.add(Tenant(TENANT, "Chess Club", NOON, status="terminated"))
    send(plane, batch([access("ann")]))
    link(plane)
    assert ledger_total(plane)["suppressed"] == 1
    assert count(plane, records.subjects) == 0


def test_an_erasure_covers_what_happened_or_came_before_it() -> None:
    """A server's clock that runs ahead does not carry an access over the cut-off."""
    at = datetime(2026, 1, 1, 12)
    hour = timedelta(hours=1)
    times = [(at - hour, at - hour), (at - hour, at + hour), (at + hour, at - hour), (at + hour, at + hour)]
    columns: dict[str, list[Any]] = {
        "tenant": ["t"] * 4,
        "account": ["a"] * 4,
        "timestamp": [t for t, _ in times],
        "received_at": [r for _, r in times],
    }
    kinds = {"timestamp": pl.Datetime("ms"), "received_at": pl.Datetime("ms")}
    frame = pl.DataFrame(columns, schema_overrides=kinds)
    until = {"tenant": ["t"], "account": ["a"], "until": [at]}
    suppressions = pl.DataFrame(until, schema_overrides={"until": pl.Datetime("ms")})
    assert drop_suppressed(frame, suppressions)["timestamp"].to_list() == [at + hour]


def test_the_first_day_after_the_term_is_the_expiry() -> None:
    """An access of March 1st kept one day may still be there on March 2nd, not on the 3rd."""
    frame = pl.DataFrame({"tenant": ["t"], "timestamp": [datetime(2026, 3, 1, 23)]})
    expires = resolve_tenant_policy(frame, [], 1)["expires"].to_list()
    assert expires == [date(2026, 3, 3)]


def _break(patch: pytest.MonkeyPatch, plane: Identity, point: str) -> None:
    """Replace one step by one that dies (before it, or after it)."""

    def die(*_: Any, **__: Any) -> Any:
        raise _Crash

    def die_after(self: Any, *args: Any, **kwargs: Any) -> Any:
        real(self, *args, **kwargs)
        raise _Crash

    targets: dict[str, tuple[Any, str]] = {
        "ensure": (type(plane.directory), "ensure"),
        "reserve": (records, "reserve"),
        "seal": (activity, "seal"),
        "ledger": (Ledger, "write"),
        "insert": (type(plane.activity), "insert"),
        "after": (pipeline.LinkedActivity, "write"),
    }
    owner, name = targets[point]
    real = getattr(owner, name)
    patch.setattr(owner, name, die_after if point in {"ensure", "insert", "after"} else die)
