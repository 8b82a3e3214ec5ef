"""K2: an erased person is gone from every store and every file, for good, whatever is replayed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.enricher import records
from services.enricher.activity import pipeline
from services.enricher.persons.directory import Profile
from services.enricher.rights import execution as rights
from services.enricher.rights.ordering import require_current
from services.enricher.service import Identity
from services.runtime.clock import FixedClock
from services.runtime.database import transaction
from services.runtime.errors import Fatal
from services.runtime.log.interface import Message
from services.runtime.topics import TOPICS
from tests.parts.identity import (
    MEMBER,
    NOON,
    TENANT,
    access,
    apply_accounts,
    batch,
    count,
    link,
    linked,
    opened,
    send,
)

ANN = Profile("ann", "Ann Martin", "ann@example.org", "1 rue X", "+33612345678")
STORES = ("activity", "look_ups", "profiles", "person_keys", "subjects")


def test_erasing_deletes_in_every_store_and_says_how_much(plane: Identity) -> None:
    """Others stay as they are."""
    _fill(plane)
    done = plane.rights.erase(TENANT, "ann", "C-1")
    assert (done.state, done.cutoff) == ("done", NOON)
    found = {store: rows for store, rows in done.counts.items() if rows}
    assert found == {"activity": 1, "look_ups": 2, "profiles": 1, "person_keys": 1, "subjects": 1}
    assert linked(plane, "ann") == []
    assert plane.directory.find(TENANT, "email", "ann@example.org") == []
    assert linked(plane, "bob") == ["/bob"]


def test_nothing_returns_when_everything_is_replayed(tmp_path: Path) -> None:
    """Accesses and accounts are read again from their beginning, in a new process."""
    with opened(tmp_path) as plane:
        _fill(plane)
        plane.rights.erase(TENANT, "ann", "C-1")
    with opened(tmp_path) as plane:
        _replay(plane)
        assert count(plane, records.subjects) == 1
        assert linked(plane, "bob") == ["/bob"]


def test_without_suppression_a_replay_brings_the_person_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch: the step that drops what an erasure covers, replaced by one that keeps it."""
    with opened(tmp_path) as plane:
        _fill(plane)
        plane.rights.erase(TENANT, "ann", "C-1")
        monkeypatch.setattr(pipeline, "drop_suppressed", lambda frame, **_: frame)
        _replay(plane)
        assert linked(plane, "ann") == ["/ann"]


def test_an_erasure_between_two_steps_of_a_batch_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch was cut and sealed before the signal; its rows must not be stored after the deletion."""
    with opened(tmp_path) as plane, opened(tmp_path) as other:
        send(plane, batch([access("ann", "/ann"), access("bob", "/bob")]))
        _before_sealing(monkeypatch, lambda: other.rights.erase(TENANT, "ann", "C-1"))
        link(plane)
        assert [count(plane, records.metadata.tables[name]) for name in STORES] == [1, 0, 1, 1, 1]
        assert linked(plane, "bob") == ["/bob"]


def test_without_the_gate_such_a_batch_brings_the_person_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch: transactions that do not look whether a signal came in between."""
    with opened(tmp_path) as plane, opened(tmp_path) as other:
        send(plane, batch([access("ann", "/ann"), access("bob", "/bob")]))
        monkeypatch.setattr(pipeline, "require_current", lambda *_: None)
        _before_sealing(monkeypatch, lambda: other.rights.erase(TENANT, "ann", "C-1"))
        link(plane)
        assert count(plane, records.activity) == 2


def test_erasing_while_ingesting(tmp_path: Path) -> None:
    """Two processes' worth of threads on the same files: what was received by the cut-off is gone, the rest is not."""
    clock = FixedClock(NOON)
    with opened(tmp_path, clock) as plane, opened(tmp_path, clock) as other:
        fed = threading.Event()
        linker = threading.Thread(target=_keep_linking, args=(plane, fed))
        linker.start()
        for number in range(10):
            send(other, batch([access("ann", f"/{number}"), access("bob", f"/{number}")], first=number * 2))
            if number == 5:
                other.rights.erase(TENANT, "ann", "C-1")
                clock.advance(timedelta(hours=1))
        later = access("ann", "/later", at=NOON + timedelta(hours=2))
        send(other, batch([later], first=100))
        fed.set()
        linker.join(60)
        assert linked(other, "ann") == ["/later"]
        assert len(linked(other, "bob")) == 10


def test_an_erasure_waits_for_a_transaction_that_passed_the_gate(tmp_path: Path) -> None:
    """What such a transaction stores is committed first and deleted then; nothing slips in between."""
    with opened(tmp_path) as plane, opened(tmp_path) as other:
        eraser = threading.Thread(target=other.rights.erase, args=(TENANT, "ann", "C-1"))
        with transaction(plane.engine) as connection:
            require_current(connection, plane.signals)
            eraser.start()
            eraser.join(0.5)
            assert eraser.is_alive()
            plane.directory.ensure(connection, [(TENANT, "ann")])
        eraser.join(30)
        assert count(other, records.subjects) == 0
        assert other.rights.case("C-1").counts["person_keys"] == 1


class _Crash(BaseException):
    """What kill -9 looks like from inside."""


@pytest.mark.parametrize("step", ["publish", "_delete", "scrub", "withdraw", "_verify"])
@pytest.mark.parametrize("resumed_by", ["the same command", "the running service"])
def test_an_erasure_goes_on_after_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, resumed_by: str
) -> None:
    """Killed right before or in any step; once the signal is out the service finishes it without being asked."""
    with opened(tmp_path) as plane:
        _fill(plane)
        with monkeypatch.context() as patch:
            owner = {"publish": plane.signals, "withdraw": plane.accounts, "scrub": rights}.get(step, plane.rights)
            patch.setattr(type(owner) if step != "scrub" else rights, step, _die)
            with pytest.raises(_Crash):
                plane.rights.erase(TENANT, "ann", "C-1")
    with opened(tmp_path) as plane:
        if resumed_by == "the same command" or step == "publish":
            plane.rights.erase(TENANT, "ann", "C-1")
        else:
            assert plane.rights.resume() == ["C-1"]
        done = plane.rights.case("C-1")
        assert done.state == "done"
        assert done.counts["person_keys"] == 1
        assert plane.rights.resume() == []
        _replay(plane)
        assert linked(plane, "ann") == []


def test_a_case_belongs_to_one_request(plane: Identity) -> None:
    """The id of another person's case would hide that this one was never served."""
    plane.rights.erase(TENANT, "ann", "C-1")
    for tenant, account in ((TENANT, "bob"), ("other", "ann")):
        with pytest.raises(Fatal, match="C-1"):
            plane.rights.erase(tenant, account, "C-1")
    with pytest.raises(Fatal, match="C-1"):
        plane.rights.signal(TENANT, "ann", "C-1")


def test_a_person_may_come_back_after_an_erasure(tmp_path: Path) -> None:
    """A new account under the old id is a new person: another subject, another key, nothing of before."""
    clock = FixedClock(NOON)
    with opened(tmp_path, clock) as plane:
        _fill(plane)
        (before,) = plane.directory.find(TENANT, "account", "ann")
        plane.rights.erase(TENANT, "ann", "C-1")
        clock.advance(timedelta(days=1))
        plane.accounts.put(TENANT, ANN)
        apply_accounts(plane)
        (after,) = plane.directory.find(TENANT, "account", "ann")
        assert before != after
        assert linked(plane, "ann") == []


def test_erasing_somebody_unknown_protects_what_is_still_on_its_way(plane: Identity) -> None:
    """The signal stands even when there is nothing to delete yet."""
    send(plane, batch([access("ann", "/ann")]))
    plane.rights.erase(TENANT, "ann", "C-1")
    link(plane)
    assert linked(plane, "ann") == []


@pytest.mark.parametrize("kind", ["restriction", "linking-objection"])
def test_a_signal_stops_linking_until_it_is_lifted(plane: Identity, kind: str) -> None:
    """What came in between is not linked later."""
    plane.rights.signal(TENANT, "ann", "C-1", kind=kind)
    send(plane, batch([access("ann", "/during")]))
    link(plane)
    plane.rights.signal(TENANT, "ann", "C-2", kind=kind, active=False)
    send(plane, batch([access("ann", "/after")], first=1))
    link(plane)
    assert linked(plane, "ann") == ["/after"]


def test_an_objection_to_statistics_leaves_linking_alone(plane: Identity) -> None:
    """Support still sees what happened; the statistics plane honours it."""
    plane.rights.signal(TENANT, "ann", "C-1")
    send(plane, batch([access("ann", "/a")]))
    link(plane)
    assert linked(plane, "ann") == ["/a"]
    assert [s.kind for s in plane.signals.in_force(TENANT, "ann")] == ["objection"]


def test_an_unreadable_signal_stops_the_service(plane: Identity) -> None:
    """Going on would mean not knowing whom it protects; the sentence names the place, not the content."""
    plane.log.send([Message(TOPICS["privacy-signal"].name, b"k", b"damaged")])
    with pytest.raises(Fatal, match="offset 0"):
        plane.signals.follow()


def _fill(plane: Identity) -> None:
    plane.accounts.put(TENANT, ANN)
    apply_accounts(plane)
    send(plane, batch([access("ann", "/ann"), access("bob", "/bob")]))
    link(plane)


def _replay(plane: Identity) -> None:
    """Read both topics again from their first record, as after a lost ledger and lost offsets."""
    with transaction(plane.engine) as connection:
        connection.execute(sa.delete(records.activity))
        connection.execute(sa.delete(records.ledger))
        connection.execute(sa.delete(records.spans))
    feed = plane.account_feed(MEMBER)
    for partition in plane.log.partitions(TOPICS["account"].name):
        feed._consumer.take_assigned()
        feed._consumer.commit(partition, 0)
    feed.close()
    apply_accounts(plane)
    link(plane)


def _before_sealing(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something once, at the moment a batch holds its persons' keys and has stored nothing yet."""
    real = pipeline.LinkedActivity._seal
    todo = [act]

    def acting(self: pipeline.LinkedActivity, *args: Any) -> Any:
        if todo:
            todo.pop()()
        return real(self, *args)

    monkeypatch.setattr(pipeline.LinkedActivity, "_seal", acting)


def _keep_linking(plane: Identity, fed: threading.Event) -> None:
    linker = plane.linker(MEMBER)
    while linker.step(0.05) or not fed.is_set():
        pass
    linker.close()


def _die(*_: Any, **__: Any) -> None:
    raise _Crash
