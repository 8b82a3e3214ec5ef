"""Who has to answer a signal: everybody who runs, somebody of every plane, nobody for ever."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from services.enricher.rights.receipts import GONE_AFTER, waited_for
from services.enricher.rights.states import Kind
from services.enricher.service import Identity
from services.runtime.log.interface import Message
from services.runtime.receipts import ACKNOWLEDGED, TOPIC, Receipt, receipt_message
from tests.parts.cases import present
from tests.parts.identity import NOON

SOON, LATE = NOON + timedelta(seconds=30), NOON + GONE_AFTER
BEFORE = NOON - timedelta(minutes=1)


@pytest.mark.parametrize(
    ("known", "answered", "now", "waiting"),
    [
        pytest.param({}, [], SOON, [], id="no worker ever ran"),
        pytest.param({"stats/a": BEFORE, "ingest/i": BEFORE}, [], SOON, ["ingest/i", "stats/a"], id="both run"),
        pytest.param({"stats/a": BEFORE, "stats/b": BEFORE}, ["stats/a"], SOON, ["stats/b"], id="one of two"),
        pytest.param({"stats/a": BEFORE, "stats/b": BEFORE}, ["stats/a"], LATE, [], id="b was shut down"),
        pytest.param({"stats/a": BEFORE, "stats/b": SOON}, ["stats/a"], LATE, ["stats/b"], id="b runs and is silent"),
        pytest.param({"stats/a": BEFORE}, [], LATE, ["stats"], id="the plane is down: its store keeps the rows"),
        pytest.param({"stats/a": NOON - timedelta(days=9)}, [], SOON, ["stats"], id="down for long"),
        pytest.param({"stats/a": NOON - timedelta(days=9)}, ["stats/new"], SOON, [], id="another one took over"),
    ],
)
def test_who_is_waited_for(known: dict[str, datetime], answered: list[str], now: datetime, waiting: list[str]) -> None:
    """After an erasure at noon."""
    assert waited_for(Kind.ERASURE, known, answered, NOON, now) == waiting


def test_an_objection_to_linking_concerns_this_plane_alone() -> None:
    """Statistics and ingest have nothing to do with it."""
    assert waited_for(Kind.LINKING_OBJECTION, {"stats/a": BEFORE}, [], NOON, SOON) == []


def test_the_first_word_of_a_worker_stays(plane: Identity) -> None:
    """A worker that starts anew says it again, with other counts and later."""
    for deleted, at in ((5, NOON), (0, NOON + timedelta(days=1))):
        receipt = Receipt("C-1", "stats/a", ACKNOWLEDGED, at, "statistics events", deleted)
        plane.log.send([receipt_message(receipt)])
        plane.receipts.follow()
    (kept,) = plane.receipts.of("C-1")
    assert (kept.deleted, kept.at) == (5, NOON)


def test_of_what_is_read_at_once_the_first_word_stays(plane: Identity) -> None:
    """The same when both came before anybody looked."""
    words = [Receipt("C-1", "stats/a", ACKNOWLEDGED, NOON, "events", deleted) for deleted in (5, 0)]
    plane.log.send([receipt_message(word) for word in words])
    plane.receipts.follow()
    assert [kept.deleted for kept in plane.receipts.of("C-1")] == [5]


def test_presence_is_the_newest_word(plane: Identity) -> None:
    """Whoever runs says so again and again."""
    present(plane, "stats/a")
    assert plane.receipts.known() == {"stats/a": NOON}


def test_a_damaged_receipt_hides_no_other(plane: Identity) -> None:
    """Its worker is shown as one that has not answered."""
    plane.log.send([Message(TOPIC, b"k", b"damaged"), receipt_message(Receipt("C-1", "stats/a", ACKNOWLEDGED, NOON))])
    plane.receipts.follow()
    assert [receipt.worker for receipt in plane.receipts.of("C-1")] == ["stats/a"]
