"""Signals: what must not be counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.runtime import avro
from services.runtime.log.interface import Partition, Record
from services.stats.rights.suppression import Signal, Suppressions, signals_of
from tests.parts.counting import NOON, TENANT, access, accesses


def signal(kind: str, account: str = "nina", active: bool = True, cutoff: datetime = NOON) -> Signal:
    return Signal("case-1", TENANT, account, kind, active, cutoff)


FRAME = accesses(
    [
        access(0, account="nina", timestamp=NOON - timedelta(hours=1)),
        access(1, account="nina", timestamp=NOON),
        access(2, account="nina", timestamp=NOON + timedelta(hours=1)),
        access(3, account=None),
        access(4, account="paul"),
        access(5, account="nina", tenant="choir"),
    ]
)


@pytest.mark.parametrize(
    ("signals", "kept"),
    [
        ([], [0, 1, 2, 3, 4, 5]),
        ([signal("erasure")], [2, 3, 4, 5]),
        ([signal("restriction")], [3, 4, 5]),
        ([signal("restriction"), signal("restriction", active=False)], [0, 1, 2, 3, 4, 5]),
        ([signal("erasure"), signal("erasure", cutoff=NOON + timedelta(hours=2))], [3, 4, 5]),
        ([signal("erasure"), signal("restriction"), signal("restriction", active=False)], [2, 3, 4, 5]),
        ([signal("objection")], [0, 1, 2, 3, 4, 5]),
        ([signal("linking-objection")], [0, 1, 2, 3, 4, 5]),
        ([signal("erasure"), signal("erasure", account="paul")], [2, 3, 5]),
    ],
)
def test_what_is_dropped(signals: list[Signal], kept: list[int]) -> None:
    """Erasure up to its cut-off, restriction while it lasts, of this tenant's account alone; nothing else."""
    suppressions = Suppressions()
    suppressions.apply(signals)
    assert suppressions.drop_suppressed(FRAME)["position"].to_list() == kept
    assert suppressions.drop_suppressed(FRAME).schema == FRAME.schema


def test_objectors_are_named_while_they_object() -> None:
    """For the closing of the day; per tenant."""
    suppressions = Suppressions()
    suppressions.apply([signal("objection"), signal("objection", account="paul"), signal("erasure", account="li")])
    assert sorted(suppressions.objectors(TENANT)) == ["nina", "paul"]
    assert suppressions.objectors("choir") == []
    suppressions.apply([signal("objection", active=False)])
    assert suppressions.objectors(TENANT) == ["paul"]


def test_signals_are_read_from_the_topic() -> None:
    """As the identity plane writes them; a tombstone is nothing."""
    body = {"case": "c", "tenant": TENANT, "account": "nina", "kind": "erasure", "active": True}
    value = avro.encode_record({**body, "cutoff": NOON.replace(tzinfo=UTC)}, "privacy_signal")
    records = [Record(Partition("privacy-signal.v1", 0), o, b"k", v, {}, 0) for o, v in enumerate([value, None])]
    assert signals_of(records) == [Signal("c", TENANT, "nina", "erasure", True, NOON)]
