"""A case from its receipt to its end: every step decided, recorded, and in the evidence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa

from services.enricher import dsr_api, records
from services.enricher.access.decisions import Actor
from services.enricher.access.grants import Nobody, Refused
from services.enricher.access.service import open_access
from services.enricher.persons.directory import Profile
from services.enricher.rights import carrying
from services.enricher.rights.book import NoSuchCase
from services.enricher.rights.desk import Cases, Wanted
from services.enricher.rights.records import case_steps
from services.enricher.rights.states import IdentityCheck, Kind, NotNow, Refusal, State, Step
from services.enricher.service import OWN_TOPICS, Identity
from services.runtime.clock import FixedClock
from services.runtime.errors import WrongUse
from services.runtime.minisign import CERTIFICATE_KEY, public_key_line, read_public_key, signed_comment
from services.runtime.web.people import is_name
from tests.parts.cases import CLEO, DORA, SAM, answer, approved, fill, open_desk, opened_case, present
from tests.parts.identity import NOON, TENANT, access, apply_accounts, batch, count, link, linked, opened, send

GOOD_REASON = "identity and request are in order"


@pytest.fixture
def desk(plane: Identity) -> Cases:
    fill(plane)
    return open_desk(plane)


def test_a_request_gets_a_receipt_and_a_date(desk: Cases, plane: Identity) -> None:
    """A number that says nothing of anybody, one calendar month, and the words of the person sealed."""
    file = desk.open(SAM, Wanted(TENANT, "ann", Kind.ERASURE, note="please forget Ann Martin"))
    assert (file.state, file.due, file.opened_by) == (State.RECEIVED, date(2026, 4, 10), "sam")
    assert file.case.startswith("CASE-")
    (step,) = desk.view(DORA, file.case).evidence
    assert (step.step, step.actor, step.at, step.note) == (Step.OPEN, "sam", NOON, "please forget Ann Martin")
    stored = (plane.settings.data / "identity.db").read_bytes() + (plane.settings.data / "identity.db-wal").read_bytes()
    assert b"forget Ann" not in stored


def test_a_person_is_found_by_an_exact_email(desk: Cases) -> None:
    """As a request by e-mail comes in; nobody else is."""
    by_mail = Wanted(TENANT, "Ann@Example.org", Kind.ACCESS, by="email", note="wrote an e-mail")
    assert desk.open(SAM, by_mail).pseudonym == opened_case(desk).pseudonym
    with pytest.raises(Nobody):
        desk.open(SAM, Wanted(TENANT, "nobody@example.org", Kind.ACCESS, by="email", note="wrote an e-mail"))


@pytest.mark.parametrize(
    "wrong",
    [
        Wanted(TENANT, "ann", Kind.ERASURE, case="ann@example.org"),
        Wanted(TENANT, "", Kind.ERASURE),
        Wanted(TENANT, "ann", Kind.ERASURE, lift=True),
        Wanted(TENANT, "ann", Kind.ERASURE, by="name"),
        Wanted(TENANT, "ann", Kind.ERASURE, language="xx"),
        Wanted(TENANT, "ann", Kind.ERASURE, note="x" * 3000),
    ],
)
def test_what_cannot_be_a_case_is_refused(desk: Cases, wrong: Wanted) -> None:
    """A number that could name somebody, nobody, something that cannot be taken back, ..."""
    with pytest.raises(WrongUse):
        desk.open(SAM, wrong)


def test_an_erasure_is_approved_executed_verified_and_certified(desk: Cases, plane: Identity) -> None:
    """Each step with time, actor and outcome; the certificate's signature is good."""
    case = approved(desk).case
    assert desk.execute(DORA, case).file.state is State.EXECUTED
    view = desk.view(DORA, case)
    assert [step.step for step in view.evidence] == [
        Step.OPEN, Step.CHECK_IDENTITY, Step.APPROVE, Step.EXECUTE, Step.SIGNAL, Step.DESTROY_KEY, Step.TOMBSTONE,
        Step.DELETE, Step.VERIFY, Step.CERTIFY,
    ]  # fmt: skip
    assert (linked(plane, "ann"), linked(plane, "bob")) == ([], ["/bob"])
    assert {store: rows for store, rows in view.evidence[7].facts.items() if rows} == {
        "activity": 1, "look_ups": 2, "profiles": 1, "person_keys": 1, "subjects": 1,
    }  # fmt: skip
    key = read_public_key(public_key_line(plane.keys, CERTIFICATE_KEY))
    for name in (f"certificate-{case}-issued.json", f"certificate-{case}-issued.txt"):
        content, signature = desk.document(DORA, case, name), desk.document(DORA, case, f"{name}.minisig")
        assert (signed_comment(key, content, signature) or "").startswith(f"voile certificate {case} issued")
        assert b"ann" not in content
        assert signed_comment(key, content.replace(b"0", b"1", 1), signature) is None


def test_a_certificate_is_completed_when_everything_has_ended(tmp_path: Path) -> None:
    """Not by the date alone: the log must have let the records go."""
    clock = FixedClock(NOON)
    with opened(tmp_path, clock) as plane:
        fill(plane)
        desk = open_desk(plane)
        case = approved(desk).case
        desk.execute(DORA, case)
        clock.advance(timedelta(days=8))
        waiting = desk.execute(DORA, case)
        assert waiting.file.state is State.EXECUTED
        assert list(waiting.later) == ["access-log.v1", "account.v1"]
        send(plane, batch([access("bob", "/new")], first=50))  # a log's newest record is never deleted
        plane.log.apply_retention(OWN_TOPICS)
        plane.accounts.withdraw(TENANT, "bob")
        clock.advance(timedelta(days=8))
        plane.log.apply_retention(OWN_TOPICS)
        assert desk.execute(DORA, case).file.state is State.COMPLETED
        assert f"certificate-{case}-completed.json" in {d.name for d in desk.view(DORA, case).documents}


def test_after_an_erasure_the_case_itself_names_nobody(desk: Cases, plane: Identity) -> None:
    """Its key is destroyed: no backup of the records tells whose case it was."""
    case = approved(desk).case
    assert f"case/{case}/person" in plane.keys.names("case/")
    desk.execute(DORA, case)
    assert f"case/{case}/person" not in plane.keys.names("case/")
    assert not any(path.is_file() and b"ann" in path.name.encode() for path in Path(plane.settings.data).rglob("*"))


def test_nobody_approves_what_they_opened(desk: Cases) -> None:
    """Nor carries out what nobody approved."""
    case = desk.open(DORA, Wanted(TENANT, "ann", Kind.ERASURE, note="came by post")).case
    desk.check(DORA, case, IdentityCheck.DOCUMENT)
    for act in (desk.approve, desk.extend):
        with pytest.raises(Refused):
            act(DORA, case, GOOD_REASON)
    with pytest.raises(Refused) as refused:
        desk.execute(DORA, case)
    assert refused.value.decision.needs_approval


def test_an_objection_needs_no_second_person(desk: Cases, plane: Identity) -> None:
    """It harms nobody and cannot be refused on a whim."""
    case = desk.open(DORA, Wanted(TENANT, "ann", Kind.OBJECTION, note="does not want it")).case
    desk.check(DORA, case, IdentityCheck.SIGNED_IN)
    assert desk.execute(DORA, case).file.state is State.COMPLETED
    assert _in_force(plane) == ["objection"]


def test_a_withdrawal_ends_both_uses_and_can_be_taken_back(desk: Cases, plane: Identity) -> None:
    """Statistics and linking; consent given again lifts both."""
    for lift, in_force in ((False, ["objection", "linking-objection"]), (True, [])):
        case = opened_case(desk, Kind.WITHDRAWAL, lift=lift).case
        assert desk.execute(DORA, case).file.state is State.COMPLETED
        assert _in_force(plane) == in_force


def test_support_can_take_in_but_neither_see_nor_decide(desk: Cases) -> None:
    """Who opened a case learns its number; the rest is for the DPO."""
    case = opened_case(desk).case
    acts: list[Callable[[], object]] = [
        lambda: desk.view(SAM, case),
        lambda: desk.listed(SAM),
        lambda: desk.approve(SAM, case, GOOD_REASON),
        lambda: desk.refuse(SAM, case, Refusal.UNFOUNDED, GOOD_REASON),
        lambda: desk.execute(SAM, case),
        lambda: desk.take_package(SAM, case),
        lambda: desk.hold(SAM, TENANT, "ann", GOOD_REASON),
    ]
    for act in acts:
        with pytest.raises(Refused):
            act()


def test_support_goes_on_with_their_own_cases_alone(desk: Cases) -> None:
    """Who asks is made sure of by who took the request in, or by the officer; nor does anybody else take it back."""
    sue = Actor("sue", SAM.roles, SAM.tenants)
    theirs = desk.open(SAM, Wanted(TENANT, "ann", Kind.ACCESS, note="wrote an e-mail")).case
    with pytest.raises(Refused):
        desk.check(sue, theirs, IdentityCheck.SIGNED_IN)
    with pytest.raises(Refused):
        desk.cancel(sue, theirs, GOOD_REASON)
    desk.check(DORA, theirs, IdentityCheck.SIGNED_IN)
    assert desk.cancel(SAM, theirs, GOOD_REASON).state is State.CANCELLED


def test_another_tenants_officer_learns_nothing(desk: Cases) -> None:
    """The same answer as for a case that does not exist."""
    case = opened_case(desk).case
    with pytest.raises(NoSuchCase) as there:
        desk.view(CLEO, case)
    with pytest.raises(NoSuchCase) as missing:
        desk.view(CLEO, "CASE-1")
    assert str(there.value).replace(case, "?") == str(missing.value).replace("CASE-1", "?")
    assert desk.listed(CLEO) == []


def test_a_case_is_refused_with_its_ground(desk: Cases) -> None:
    """A closed list, and words that are sealed; nothing can follow."""
    case = opened_case(desk).case
    file = desk.refuse(DORA, case, Refusal.EXCESSIVE, "the fourth request this week")
    assert (file.state, file.refusal) == (State.REFUSED, "excessive")
    assert desk.view(DORA, case).evidence[-1].note == "the fourth request this week"
    with pytest.raises(NotNow):
        desk.approve(DORA, case, GOOD_REASON)


def test_the_term_is_extended_once_and_in_time(tmp_path: Path) -> None:
    """By two months of the calendar; never after the first month is over."""
    clock = FixedClock(NOON)
    with opened(tmp_path, clock) as plane:
        desk = open_desk(plane)
        first, second = opened_case(desk).case, opened_case(desk).case
        assert desk.extend(DORA, first, "eleven accounts to look at").due == date(2026, 6, 10)
        with pytest.raises(NotNow):
            desk.extend(DORA, first, "and some more accounts")
        clock.advance(timedelta(days=32))
        with pytest.raises(NotNow):
            desk.extend(DORA, second, "nobody had looked at it")


def test_a_case_waits_for_workers_that_run(desk: Cases, plane: Identity) -> None:
    """And is certified with what they said."""
    present(plane, "stats/one", "ingest/edge")
    case = approved(desk).case
    assert desk.execute(DORA, case).waiting == ["ingest/edge", "stats/one"]
    answer(plane, case, "stats/one", deleted=7)
    assert desk.execute(DORA, case).waiting == ["ingest/edge"]
    answer(plane, case, "ingest/edge", "spool", 0)
    assert desk.execute(DORA, case).file.state is State.EXECUTED
    text = desk.document(DORA, case, f"certificate-{case}-issued.txt").decode()
    assert "stats/one / statistics events: 7 -> 0" in text


def test_a_person_of_two_accounts_is_one_case(desk: Cases, plane: Identity) -> None:
    """The account that became this one is erased with it; a worker has to answer for both; one certificate sums up."""
    plane.accounts.put(TENANT, Profile("old-ann"), merged_into="ann")
    apply_accounts(plane)
    send(plane, batch([access("old-ann", "/before")], first=20))
    link(plane)
    present(plane, "stats/one")
    case = approved(desk).case
    desk.execute(DORA, case)
    parts = [part.case for part in plane.rights.parts(case)]
    assert (parts[0], len(parts)) == (case, 2)
    for part in parts:
        assert list(desk.execute(DORA, case).waiting) == ["stats/one"]
        answer(plane, part, "stats/one")
    assert desk.execute(DORA, case).file.state is State.EXECUTED
    told = orjson.loads(desk.document(DORA, case, f"certificate-{case}-issued.json"))
    deleted = {row["store"]: row["deleted"] for row in told["stores"] if row["plane"] == "identity"}
    assert (deleted["subjects"], deleted["activity"]) == (2, 2)
    assert linked(plane, "ann") == linked(plane, "old-ann") == []


def test_without_the_waiting_a_case_is_certified_too_early(
    desk: Cases, plane: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch of the test above."""
    present(plane, "stats/one")
    monkeypatch.setattr(carrying, "waited_for", lambda *_: [])
    assert desk.execute(DORA, approved(desk).case).file.state is State.EXECUTED


def test_somebody_decides_to_go_on_without_a_worker(desk: Cases, plane: Identity) -> None:
    """With a reason; the certificate names the worker."""
    present(plane, "stats/one")
    case = approved(desk).case
    desk.execute(DORA, case)
    with pytest.raises(WrongUse, match="stats/one"):
        desk.go_on_without(DORA, case, "stats/two", "that machine is gone")
    assert desk.go_on_without(DORA, case, "stats/one", "that machine is gone").file.state is State.EXECUTED
    assert b'"stats/one"' in desk.document(DORA, case, f"certificate-{case}-issued.json")


def test_a_legal_hold_defers_an_erasure_until_it_is_lifted(desk: Cases, plane: Identity) -> None:
    """Nothing is signalled meanwhile; the person's data is the DPO's alone."""
    hold = desk.hold(DORA, TENANT, "ann", "court order 12 C 34/26")
    case = approved(desk).case
    assert desk.execute(DORA, case).file.state is State.DEFERRED
    assert linked(plane, "ann") == ["/ann"]
    assert plane.signals.erasures() == []
    world = open_access(plane).gate._decider.world
    assert world.is_restricted(TENANT, "ann")
    assert [h.reason for h in desk.holds(DORA)] == ["court order 12 C 34/26"]
    desk.lift(DORA, hold, "the matter is closed")
    assert not world.is_restricted(TENANT, "ann")
    assert desk.execute(DORA, case).file.state is State.EXECUTED
    assert linked(plane, "ann") == []


def test_a_hold_on_another_account_of_the_person_defers_it_too(desk: Cases, plane: Identity) -> None:
    """Before anything is signalled; the case would stand still in the middle otherwise."""
    plane.accounts.put(TENANT, Profile("old-ann"), merged_into="ann")
    apply_accounts(plane)
    desk.hold(DORA, TENANT, "old-ann", "court order 12 C 34/26")
    case = approved(desk).case
    assert desk.execute(DORA, case).file.state is State.DEFERRED
    assert plane.signals.erasures() == []


def test_an_account_that_nobody_has_is_said_to_be_nobodys(desk: Cases) -> None:
    """Before somebody certifies, or holds, nothing; and the certificate claims no key that was destroyed."""
    first = opened_case(desk).case
    assert desk.view(DORA, first).known
    case = approved(desk, account="an").case
    assert not desk.view(DORA, case).known
    desk.execute(DORA, case)
    text = desk.document(DORA, case, f"certificate-{case}-issued.txt").decode()
    assert "Nobody was known under this account" in text
    assert "key was destroyed" not in text
    assert not desk.view(DORA, case).known, "also when it was carried out"
    for account in ("ann", "an"):
        desk.hold(DORA, TENANT, account, "court order 12 C 34/26")
    assert [hold.known for hold in desk.holds(DORA)] == [True, False]


def test_a_case_names_the_others_of_the_same_person(desk: Cases) -> None:
    """So that nobody answers twice; those of other people, and closed ones, are not among them."""
    first, second, bobs = (
        opened_case(desk).case,
        opened_case(desk, Kind.ACCESS).case,
        opened_case(desk, account="bob").case,
    )
    assert [list(desk.view(DORA, case).others) for case in (first, second, bobs)] == [[second], [first], []]
    desk.execute(DORA, desk.approve(DORA, first, GOOD_REASON).case)
    desk.refuse(DORA, second, Refusal.UNFOUNDED, GOOD_REASON)
    assert not desk.view(DORA, first).others
    assert desk.view(DORA, first).known


def test_retention_keeps_what_is_held(tmp_path: Path) -> None:
    """Past its term, while the hold stands; others' goes."""
    clock = FixedClock(NOON)
    with opened(tmp_path, clock) as plane:
        fill(plane)
        desk = open_desk(plane)
        hold = desk.hold(DORA, TENANT, "ann", "court order 12 C 34/26")
        clock.advance(timedelta(days=200))
        plane.retention.run()
        assert (linked(plane, "ann"), linked(plane, "bob")) == (["/ann"], [])
        desk.lift(DORA, hold, "the matter is closed")
        plane.retention.run()
        assert count(plane, records.activity) == 0


class _Crash(BaseException):
    """What kill -9 looks like from inside."""


@pytest.mark.parametrize(
    ("owner", "step"),
    [("rights", "erase"), ("book", "note"), ("documents", "add"), ("book", "forget_account"), ("rights", "remaining")],
)
def test_the_service_goes_on_where_a_killed_one_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: str, step: str
) -> None:
    """From any step, without being asked; the account is erased and the case certified."""
    with opened(tmp_path) as plane:
        fill(plane)
        desk = open_desk(plane)
        case = approved(desk).case
        with monkeypatch.context() as patch:
            patch.setattr(getattr(desk._carrying, f"_{owner}"), step, _die)
            with pytest.raises(_Crash):
                desk.execute(DORA, case)
    with opened(tmp_path) as plane:
        again = open_desk(plane)
        again._carrying.advance(case)
        assert again.view(DORA, case).file.state is State.EXECUTED
        assert linked(plane, "ann") == []
        again._carrying.advance(case)
        assert f"case/{case}/person" not in plane.keys.names("case/")


def test_everything_is_in_the_audit_log(desk: Cases, plane: Identity) -> None:
    """Allowed and refused, before it is done; nobody is named."""
    case = approved(desk).case
    desk.execute(DORA, case)
    with pytest.raises(Refused):
        desk.view(SAM, case)
    leaves = [entry.leaf for entry in open_access(plane).audit.newest(100)][::-1]
    seen = [(leaf["actor"], leaf["action"], leaf["outcome"]) for leaf in leaves]
    assert seen == [
        ("sam", "openCase", "granted"),
        ("sam", "openCase", "granted"),
        ("dora", "decideCase", "granted"),
        ("dora", "executeCase", "granted"),
        ("sam", "viewCases", "refused"),
    ]
    assert {leaf["ticket"] for leaf in leaves[1:4]} == {case}


def test_nobody_signs_in_as_who_is_no_person() -> None:
    """What Voile does by itself, and what a tenant's system asked for, is nobody's who could take a name."""
    assert not is_name(carrying.SYSTEM)
    assert not is_name(dsr_api.system_of(TENANT).name)


def test_a_request_carried_out_at_once_leaves_the_same_evidence(desk: Cases, plane: Identity) -> None:
    """By one person whom the policies let; the same again goes on, another person's is refused."""
    wanted = Wanted(TENANT, "ann", Kind.ERASURE, note="the only administrator", case="DSR-1")
    assert desk.at_once(DORA, wanted, IdentityCheck.TENANT).file.state is State.EXECUTED
    assert desk.at_once(DORA, wanted, IdentityCheck.TENANT).file.state is State.EXECUTED
    assert linked(plane, "ann") == []
    with pytest.raises(WrongUse, match="DSR-1"):
        desk.at_once(
            DORA, Wanted(TENANT, "bob", Kind.ERASURE, note="somebody else", case="DSR-1"), IdentityCheck.TENANT
        )
    with pytest.raises(WrongUse):
        desk.at_once(DORA, Wanted(TENANT, "ann", Kind.ACCESS, note="a package", case="DSR-2"), IdentityCheck.TENANT)


def test_what_comes_after_an_erasure_is_not_linked(desk: Cases, plane: Identity) -> None:
    """Accesses from before its cut-off, delivered late."""
    desk.execute(DORA, approved(desk).case)
    send(plane, batch([access("ann", "/late"), access("bob", "/late")], first=10))
    link(plane)
    assert (linked(plane, "ann"), linked(plane, "bob")) == ([], ["/bob", "/late"])


def _in_force(plane: Identity) -> list[str]:
    plane.signals.follow()
    return [signal.kind for signal in plane.signals.in_force(TENANT, "ann")]


def _die(*_: object, **__: object) -> None:
    raise _Crash


def test_a_closed_case_goes_with_its_term_and_its_keys(tmp_path: Path) -> None:
    """File, evidence, documents and the key of its words; an open one stays, and what was erased stays erased."""
    clock = FixedClock(NOON)
    with opened(tmp_path, clock) as plane:
        fill(plane)
        desk = open_desk(plane)
        closed = desk.refuse(DORA, opened_case(desk).case, Refusal.EXCESSIVE, "the fourth request this week").case
        still_open = opened_case(desk).case
        clock.advance(timedelta(days=1096))
        removed = {line.kind: line.removed for line in plane.retention.run() if line.kind == "cases"}
        assert removed["cases"] == 1
        assert [desk.view(DORA, still_open).file.case] == [still_open]
        with pytest.raises(NoSuchCase):
            desk.view(DORA, closed)
        names = plane.keys.names("case/")
        assert [closed in name for name in names] == [False] * len(names)
        assert f"case/{still_open}/texts" in names
        with plane.engine.connect() as connection:
            left = sa.select(sa.func.count()).where(case_steps.c.case == closed)
            assert connection.execute(left).scalar_one() == 0
