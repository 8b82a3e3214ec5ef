"""A second person, broken glass, ending another's grant, notes, and how far back a grant shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.enricher.access.approvals import Approvals
from services.enricher.access.decisions import Action
from services.enricher.access.grants import UNREVIEWED_MAX, Ask, Nobody, Refused, Waits
from services.enricher.access.request_book import AccessRequest, RequestBook
from services.enricher.access.service import Access
from services.enricher.plane import housekeep
from services.enricher.service import Identity
from services.runtime.metrics import IDENTITY_GLASS_UNREVIEWED
from services.runtime.stop import Stop
from tests.parts.identity import NOON, TENANT
from tests.unit.enricher.access.gate_fixtures import (
    ASK,
    CHOIR_DPO,
    CHOIR_SUPPORT,
    CLEAR,
    DAVE,
    DPO,
    REASON,
    SUPPORT,
    a_copy,
    clock,
    leaves,
)


@pytest.fixture
def plane(peopled: Path, tmp_path: Path) -> Iterator[Identity]:
    with a_copy(peopled, tmp_path) as identity:
        yield identity


LEGAL = dataclasses.replace(ASK, purpose="legal", ticket="LAW-7", reason="the court asks for it", minutes=60)
URGENT = Ask(TENANT, "42", "security", "", "somebody is in their account right now", minutes=15)


def queued(gate: Access) -> AccessRequest:
    with pytest.raises(Waits) as waits:
        gate.gate.ask(DPO, LEGAL)
    return waits.value.request


def test_a_request_waits_until_somebody_else_agrees(gate: Access) -> None:
    """No grant before; afterwards one that names both, with the time and the window that were asked for."""
    request = queued(gate)
    assert gate.gate.held(DPO) == []
    assert (gate.approvals.count(DPO), gate.approvals.count(DAVE)) == (0, 1)
    (waiting,) = gate.approvals.waiting(DAVE)
    assert (waiting.request.actor, waiting.reason, waiting.mine) == ("dora", LEGAL.reason, False)
    with pytest.raises(Nobody):
        gate.approvals.start(DPO, request.id)
    gate.approvals.answer(DAVE, request.id, True, "the letter is in the file")
    grant = gate.approvals.start(DPO, request.id)
    assert (grant.actor, grant.approver, grant.ends - grant.starts) == ("dora", "dave", timedelta(hours=1))
    assert gate.gate.view(DPO, grant.id).visits
    told = [(e.leaf["actor"], e.leaf["action"], e.leaf["outcome"], e.leaf["fields"]) for e in leaves(gate)]
    assert told == [
        ("dora", "askAccess", "waits", []), ("dave", "approve", "granted", ["approved"]),
        ("dora", "askAccess", "granted", []), ("dora", "viewActivity", "granted", ["activity"]),
    ]  # fmt: skip
    assert {e.leaf["grant"] for e in leaves(gate)} == {grant.id}


def test_nobody_approves_their_own_request(gate: Access) -> None:
    """Refused and recorded; the request goes on waiting for somebody else."""
    request = queued(gate)
    with pytest.raises(Refused, match="Somebody else"):
        gate.approvals.answer(DPO, request.id, True, "I need it myself")
    assert leaves(gate)[-1].leaf["rules"] == ["nobody-approves-their-own-request"]
    assert gate.approvals.count(DAVE) == 1


@pytest.mark.parametrize("actor", [SUPPORT, CHOIR_DPO, CHOIR_SUPPORT])
def test_who_may_not_approve(gate: Access, actor: object) -> None:
    request = queued(gate)
    with pytest.raises(Refused):
        gate.approvals.answer(actor, request.id, True, "looks fine to me")  # type: ignore[arg-type]
    assert gate.approvals.count(DAVE) == 1
    assert gate.approvals.waiting(CHOIR_DPO) == []


def test_a_refusal_says_why_to_who_asked(gate: Access) -> None:
    request = queued(gate)
    gate.approvals.answer(DAVE, request.id, False, "the letter is missing")
    (asked,) = gate.approvals.asked(DPO)
    assert (asked.request.state, asked.request.approver, asked.answer) == ("refused", "dave", "the letter is missing")
    with pytest.raises(Nobody):
        gate.approvals.start(DPO, request.id)


def test_who_asked_takes_it_back_on_record(gate: Access) -> None:
    """Theirs alone, and once: a request that is over says nothing more to the log."""
    request = queued(gate)
    with pytest.raises(Nobody):
        gate.approvals.withdraw(DAVE, request.id)
    gate.approvals.withdraw(DPO, request.id)
    with pytest.raises(Nobody):
        gate.approvals.withdraw(DPO, request.id)
    told = [(e.leaf["actor"], e.leaf["action"], e.leaf["outcome"], e.leaf["grant"]) for e in leaves(gate)]
    assert told == [("dora", "askAccess", "waits", request.id), ("dora", "askAccess", "withdrawn", request.id)]
    assert leaves(gate)[0].leaf["subject"] == leaves(gate)[1].leaf["subject"]


def _after_a_day(gate: Access, plane: Identity, request: str) -> None:
    clock(plane).advance(timedelta(hours=24))


def _withdrawn(gate: Access, plane: Identity, request: str) -> None:
    gate.approvals.withdraw(DPO, request)


def _answered(gate: Access, plane: Identity, request: str) -> None:
    gate.approvals.answer(DAVE, request, False, "the letter is missing")


@pytest.mark.parametrize("before", [_after_a_day, _withdrawn, _answered])
def test_what_is_over_is_not_answered(
    gate: Access, plane: Identity, before: Callable[[Access, Identity, str], None]
) -> None:
    """Neither a request that expired, nor one that was withdrawn, nor one that was answered."""
    request = queued(gate)
    before(gate, plane, request.id)
    assert gate.approvals.count(DAVE) == 0
    with pytest.raises(Nobody, match="meanwhile"):
        gate.approvals.answer(DAVE, request.id, True, "the letter is in the file")
    with pytest.raises(Nobody):
        gate.approvals.start(DPO, request.id)


def test_an_approval_is_taken_up_once_and_within_its_day(gate: Access, plane: Identity) -> None:
    request, late = queued(gate), queued(gate)
    for one in (request, late):
        gate.approvals.answer(DAVE, one.id, True, "the letter is in the file")
    gate.approvals.start(DPO, request.id)
    with pytest.raises(Nobody):
        gate.approvals.start(DPO, request.id)
    clock(plane).advance(timedelta(hours=24))
    with pytest.raises(Nobody, match="meanwhile"):
        gate.approvals.start(DPO, late.id)
    assert len(gate.gate.held(DPO)) == 1


def test_an_approval_does_not_outlive_what_changed_since(gate: Access, plane: Identity) -> None:
    """The policies are asked again when it is taken up: here their officer was made a supporter meanwhile."""
    request = queued(gate)
    gate.approvals.answer(DAVE, request.id, True, "the letter is in the file")
    with pytest.raises(Refused):
        gate.approvals.start(dataclasses.replace(DPO, roles=frozenset({"support"})), request.id)
    plane.rights.erase(TENANT, "42", "DSR-9")
    with pytest.raises(Nobody, match="erased"):
        gate.approvals.start(DPO, request.id)


def test_without_the_state_in_its_update_an_approval_would_give_two_grants(
    gate: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch: what holds a double start off is the update that expects the state."""
    request = queued(gate)
    gate.approvals.answer(DAVE, request.id, True, "the letter is in the file")
    found = gate.approvals._found(request.id)
    monkeypatch.setattr(Approvals, "_found", lambda *_: found)  # two processes that read it at once
    gate.approvals.start(DPO, request.id)
    with pytest.raises(Nobody):
        gate.approvals.start(DPO, request.id)
    monkeypatch.setattr(RequestBook, "move_with", lambda *_, **__: True)
    with pytest.raises(Exception, match=r"UNIQUE|unique"):
        gate.approvals.start(DPO, request.id)


def test_broken_glass_opens_at_once_for_a_quarter_of_an_hour(gate: Access, plane: Identity) -> None:
    """Without ticket or approval, for a purpose that support has not otherwise."""
    grant = gate.gate.break_glass(SUPPORT, URGENT)
    assert grant.ends - grant.starts == timedelta(minutes=15)
    assert gate.gate.view(SUPPORT, grant.id).visits
    clock(plane).advance(timedelta(minutes=15))
    with pytest.raises(Refused, match="The access is over"):
        gate.gate.view(SUPPORT, grant.id)


def test_broken_glass_is_reviewed_by_somebody_else(gate: Access) -> None:
    """It stays on the officer's desk until then, with what they found."""
    grant = gate.gate.break_glass(DPO, URGENT)
    assert (gate.watch.unreviewed(DAVE), gate.watch.unreviewed(CHOIR_DPO)) == (1, 0)
    with pytest.raises(Refused, match="Somebody else"):
        gate.watch.review(DPO, grant.id, "justified", "I had my reasons")
    with pytest.raises(Refused):
        gate.watch.review(CHOIR_DPO, grant.id, "justified", "they had their reasons")
    gate.watch.review(DAVE, grant.id, "not-justified", "there was time to ask")
    assert gate.watch.unreviewed(DAVE) == 0
    with pytest.raises(Refused, match="The access is over"):
        gate.gate.view(DPO, grant.id)
    watched = gate.watch.look(DAVE)
    (reviewed,) = watched.broken
    assert (reviewed.verdict, reviewed.reviewer) == ("not-justified", "dave")
    assert watched.reasons[grant.id] == URGENT.reason
    with pytest.raises(Nobody, match="meanwhile"):
        gate.watch.review(DAVE, grant.id, "justified", "on second thoughts")


def test_glass_is_not_broken_without_end_while_nobody_reviews(gate: Access) -> None:
    """Otherwise it would be a way to everybody. A review, or another person, goes on; what was justified runs on."""
    broken = [gate.gate.break_glass(SUPPORT, URGENT) for _ in range(UNREVIEWED_MAX)]
    with pytest.raises(Refused, match="nobody has reviewed"):
        gate.gate.break_glass(SUPPORT, URGENT)
    assert leaves(gate)[-1].leaf["rules"] == ["reviews-come-first"]
    assert gate.gate.break_glass(DPO, URGENT)
    gate.watch.review(DAVE, broken[0].id, "justified", "the account was taken over")
    assert gate.gate.view(SUPPORT, broken[0].id).visits
    assert gate.gate.break_glass(SUPPORT, URGENT)


class _Once(Stop):
    """Stops the loop at its first rest."""

    def wait(self, seconds: float) -> bool:
        self.set()
        return True


def test_broken_glass_alarms_until_it_is_reviewed(gate: Access, plane: Identity) -> None:
    """The number that the alert asks for, also when a command broke it in another process."""
    grant = gate.gate.break_glass(SUPPORT, URGENT)
    housekeep(plane, "here", _Once())
    assert plane.metrics.value(IDENTITY_GLASS_UNREVIEWED) == 1
    gate.watch.review(DAVE, grant.id, "justified", "the account was taken over")
    housekeep(plane, "here", _Once())
    assert plane.metrics.value(IDENTITY_GLASS_UNREVIEWED) == 0


def test_an_unreviewed_glass_is_never_forgotten(gate: Access, plane: Identity) -> None:
    """Other grants leave the list after a month."""
    broken, plain = gate.gate.break_glass(SUPPORT, URGENT), gate.gate.ask(SUPPORT, ASK)
    clock(plane).advance(timedelta(days=40))
    gate.gate.ask(SUPPORT, ASK)
    assert [grant.id for grant in gate.watch.look(DAVE).broken] == [broken.id]
    with pytest.raises(Nobody):
        gate.watch.revoke(DAVE, plain.id, "to see that it is gone")


def test_the_officer_ends_anothers_grant(gate: Access) -> None:
    """Their next look is refused, and their list says that it was taken away."""
    grant = gate.gate.ask(SUPPORT, ASK)
    assert [g.id for g in gate.watch.look(DPO).running] == [grant.id]
    for other in (SUPPORT, CHOIR_DPO):
        with pytest.raises(Refused):
            gate.watch.revoke(other, grant.id, "not needed any more")
    gate.watch.revoke(DPO, grant.id, "not needed any more")
    assert not gate.gate.runs(SUPPORT, grant.id)
    with pytest.raises(Refused, match="The access is over"):
        gate.gate.view(SUPPORT, grant.id)
    assert [g.is_revoked for g in gate.gate.held(SUPPORT)] == [True]
    assert gate.watch.look(DPO).running == []


def test_running_grants_are_seen_by_the_officer_of_the_tenant_alone(gate: Access) -> None:
    gate.gate.ask(SUPPORT, ASK)
    assert gate.watch.look(CHOIR_DPO).running == []
    with pytest.raises(Refused):
        gate.watch.look(SUPPORT)


def test_a_grant_shows_no_more_than_was_asked_for(gate: Access) -> None:
    """The person has visits of five minutes and of three hours ago."""
    until = NOON - timedelta(hours=1)
    grant = gate.gate.ask(SUPPORT, dataclasses.replace(ASK, days=1, until=until))
    view = gate.gate.view(SUPPORT, grant.id, 366)
    assert [[a.path for a in visit.accesses] for visit in view.visits] == [["/login"]]
    assert (view.since, view.until) == (until - timedelta(days=1), until)


def test_asking_again_makes_a_new_grant_of_the_same_window(gate: Access, plane: Identity) -> None:
    """It is decided and recorded like any other; the old one keeps its end."""
    first = gate.gate.ask(SUPPORT, dataclasses.replace(ASK, days=7))
    clock(plane).advance(timedelta(minutes=25))
    second = gate.gate.again(SUPPORT, first.id, "they are still on the phone", 15)
    assert (second.id != first.id, second.pseudonym, second.ticket) == (True, first.pseudonym, first.ticket)
    assert second.ends - second.starts == timedelta(minutes=15)
    clock(plane).advance(timedelta(minutes=5))
    with pytest.raises(Refused, match="The access is over"):
        gate.gate.again(SUPPORT, first.id, "they are still on the phone", 15)
    assert gate.gate.view(SUPPORT, second.id).visits


def test_notes_are_kept_for_the_next_look_and_erased_with_the_person(gate: Access, plane: Identity) -> None:
    """Sealed in the records; the same words are found in no file."""
    grant = gate.gate.ask(SUPPORT, ASK)
    gate.gate.write_note(SUPPORT, grant.id, "Anna's card was refused, sent her the form")
    other = gate.gate.ask(DPO, ASK)
    (note,) = gate.gate.view(DPO, other.id).notes
    assert (note.actor, note.ticket, note.text) == ("sam", "SUP-1", "Anna's card was refused, sent her the form")
    folder: Path = plane.settings.data
    assert not [f for f in folder.rglob("*") if f.is_file() and b"card was refused" in f.read_bytes()]
    assert plane.rights.erase(TENANT, "42", "DSR-3").counts["notes"] == 1


def test_a_note_needs_ones_own_running_grant(gate: Access, plane: Identity) -> None:
    grant = gate.gate.ask(SUPPORT, ASK)
    with pytest.raises(Refused, match="You hold no grant"):
        gate.gate.write_note(DPO, grant.id, "hello")
    with pytest.raises(Nobody, match="empty"):
        gate.gate.write_note(SUPPORT, grant.id, "  ")
    gate.gate.end(SUPPORT, grant.id)
    with pytest.raises(Refused, match="The access is over"):
        gate.gate.write_note(SUPPORT, grant.id, "too late")


def test_errors_come_first_and_are_counted_by_page(gate: Access) -> None:
    grant = gate.gate.ask(SUPPORT, ASK)
    (trouble,) = gate.gate.view(SUPPORT, grant.id).troubles
    assert (trouble.page, trouble.status, trouble.times, trouble.asked) == ("/invoices", 500, 1, 1)


def test_requests_hold_no_clear_text(gate: Access, plane: Identity) -> None:
    """The reason stands sealed in the audit log alone."""
    queued(gate)
    stored = b"".join(file.read_bytes() for file in plane.settings.data.glob("identity.db*"))
    assert b"LAW-7" in stored
    assert not [text for text in (b"the court", *(value.encode() for value in CLEAR)) if text in stored]


def test_every_new_look_is_recorded_before_it_is_done(gate: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the log away, nothing is listed, written, answered or ended."""
    grant, request = gate.gate.ask(SUPPORT, ASK), queued(gate)
    glass = gate.gate.break_glass(SUPPORT, URGENT)
    steps: dict[Action, Callable[[], object]] = {
        Action.BREAK_GLASS: lambda: gate.gate.break_glass(SUPPORT, URGENT),
        Action.WRITE_NOTE: lambda: gate.gate.write_note(SUPPORT, grant.id, "a note"),
        Action.APPROVE: lambda: gate.approvals.answer(DAVE, request.id, True, REASON),
        Action.VIEW_GRANTS: lambda: gate.watch.look(DPO),
        Action.REVOKE_ACCESS: lambda: gate.watch.revoke(DPO, grant.id, REASON),
        Action.REVIEW_BREAK_GLASS: lambda: gate.watch.review(DPO, glass.id, "justified", REASON),
    }
    with monkeypatch.context() as broken:
        broken.setattr("services.enricher.audit.log.AuditLog.append", _away)
        for step in steps.values():
            with pytest.raises(ConnectionError):
                step()
    assert gate.gate.runs(SUPPORT, grant.id)
    assert gate.gate.view(SUPPORT, grant.id).notes == []
    assert (gate.approvals.count(DAVE), gate.watch.unreviewed(DAVE)) == (1, 1)
    for action, step in steps.items():
        step()
        assert leaves(gate)[-1].leaf["action"] == action.value


def _away(*_: object) -> int:
    raise ConnectionError("The records database does not answer.")
